"""One handler of an informer: contained, and with a gate of its own."""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import Iterator, Sequence
from typing import Final, Protocol, runtime_checkable

from ._contain import FAILURES
from .predicates import Event
from .protocols import EventHandler

logger = logging.getLogger(__name__)

MIN_RESYNC: Final = 1.0
"""Seconds between two resyncs at least: a shorter period would be a busy loop."""
_FAILED: Final = "handler of %s failed on %s and misses the event"


@runtime_checkable
class Listener(Protocol):
    """What hears of many events at once: they may be thousands, and a call for each is dear."""

    def on_events(self, events: Iterator[Event], *, repeated: bool) -> None:
        """Take events in order, all repeated or none; what is raised concerns the last one read.

        It is called again for those after that one. Where it raises without having read any, that
        concerns the first one.
        """
        ...


class Registration:
    """One handler of an informer; contains whatever the handler raises."""

    def __init__(self, handler: EventHandler | Listener, title: str, resync: float | None) -> None:
        self.resync = None if resync is None else max(MIN_RESYNC, resync)
        # nothing more is delivered; set once and for all
        self.removed = False
        # whether it takes many events at once
        self.whole = isinstance(handler, Listener)
        if isinstance(handler, Listener):
            self._take = handler.on_events
        else:
            self._handler = handler
            self._take = self._call
        self._title = title
        # set when the handler has returned from everything that was there when it came
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether the handler was called for everything that was there at first."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the handler was called for everything that was there at first."""
        await self._synced.wait()

    def mark_synced(self) -> None:
        """Say that everything that was there at first was delivered."""
        self._synced.set()

    def tell(self, events: Sequence[Event]) -> None:
        """Tell the handler what happened, in order; either all events are repeated or none."""
        if self.removed or not events:
            return
        repeated = events[0].repeated
        left, count = iter(events), len(events)
        while count and not self.removed:
            try:
                self._take(left, repeated=repeated)
                return
            except FAILURES:
                before, count = count, operator.length_hint(left)
                if count == before:  # it read none, and would do so for ever
                    next(left)
                    count -= 1
                logger.exception(_FAILED, self._title, events[-1 - count].object.key)

    def _call(self, events: Iterator[Event], *, repeated: bool) -> None:
        """Call a handler that hears of one event at a time."""
        handler = self._handler
        for event in events:
            if self.removed:
                return
            old, new = event.old, event.new
            if new is None:
                handler.on_delete(event.object)
            elif old is None:
                handler.on_add(new, initial=repeated)
            else:
                handler.on_update(old, new)
