"""From the events of one informer to the keys of one controller: what a ``watch`` call sets up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .handlers import Handler, its_own_key
from .informer import Informer
from .predicates import Event, Predicate
from .registration import Registration
from .types import ObjectKey
from .workqueue import LOW, NORMAL


class Mapping:
    """Takes events, and adds the keys that a handler names to a queue."""

    def __init__(
        self, add: Callable[[ObjectKey, int], None], handler: Handler, predicate: Predicate | None
    ) -> None:
        self._add = add
        self._handler = handler
        self._predicate = predicate

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
            if predicate is None or predicate(event):
                for key in handler(event):
                    add(key, priority)


class Watch:
    """One informer that a controller follows, from when it works on.

    Before that nobody takes keys out of the queue: in a replica that waits for the lease they would
    become more for ever, those of objects that are long gone among them. What is there then is told
    to a handler that comes late anyway.
    """

    def __init__(self, informer: Informer, mapping: Mapping, resync: float | None) -> None:
        self.informer = informer
        self._mapping = mapping
        self._resync = resync

    def follow(self) -> Registration:
        """Have all that is there mapped, and then what happens."""
        return self.informer.add_handler(self._mapping, resync=self._resync)

    async def follow_synced(self) -> None:
        """Wait until the informer is complete, and follow it."""
        await self.informer.wait_synced()
        self.follow()
