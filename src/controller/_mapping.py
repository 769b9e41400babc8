"""From the events of one informer to the keys of one controller: what a ``watch`` call sets up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from ._contain import FAILURES
from .errors import NotSynced
from .handlers import Handler, its_own_key
from .predicates import Event, Predicate
from .types import ObjectKey
from .workqueue import LOW, NORMAL

logger = logging.getLogger(__name__)


class Mapping:
    """Takes events, and adds the keys that a handler names to a queue."""

    def __init__(
        self, add: Callable[[ObjectKey, int], None], handler: Handler, predicate: Predicate | None
    ) -> None:
        self._add = add
        self._handler = handler
        self._predicate = predicate
        # events whose mapping read a store that was not complete; None once workers run
        self._early: list[Event] | None = []

    def on_events(self, events: Iterator[Event], *, repeated: bool) -> None:
        """Map events; see :class:`~.registration.Listener`."""
        add, handler, predicate = self._add, self._handler, self._predicate
        priority = LOW if repeated else NORMAL
        if handler is its_own_key and predicate is None:
            # nothing of somebody else's is called: the same without a tuple for each event
            for event in events:
                obj = event.object if event.new is None else event.new
                add(ObjectKey(obj.namespace, obj.name), priority)
            return
        for event in events:
            try:
                if predicate is None or predicate(event):
                    for key in handler(event):
                        add(key, priority)
            except NotSynced:
                if self._early is None:
                    raise
                self._early.append(event)

    def open(self) -> None:
        """Map what came too early, now that all stores are complete."""
        early, self._early = self._early or [], None
        for event in early:
            try:
                self.on_events(iter((event,)), repeated=event.repeated)
            except FAILURES:
                logger.exception("mapping of %s failed, which misses an event", event.object.key)
