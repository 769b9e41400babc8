"""A crowd of new objects on one server: a few are worked on, the others wait without costing.

A pass that finds no session free has by then read and written as much as one that works, and does
so again each time that it comes back. So a new object is let in to its server first, before its
pass reads anything; who is turned away waits here by name and is called when another one has
ended. What is in use is never held up: it does not come here, and the workers that a crowd may not
take are left to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from ..controller import ObjectKey

Place = tuple[str, int]
"""Host and port of a server: many objects, in many namespaces, may mean the same."""

ADMITTED: Final = 8
"""New objects of one server at a time: three that write to it, and as many again that talk to the
API server before that, or log in after it, so that no session is ever idle."""


def _nobody(_: ObjectKey) -> None:
    """Call nobody: who is turned away comes again with the next event."""


class Crowd:
    """Who is let in to which server.

    Invariants: ``_inside`` names at most ``limit`` keys of a server, and those that were called
    and have not come yet count as inside; while somebody waits for a server, somebody is inside,
    whose end calls the next.
    """

    def __init__(self, limit: int = ADMITTED) -> None:
        self._limit = limit
        self._inside: dict[ObjectKey, Place] = {}
        self._count: dict[Place, int] = {}
        self._waiting: dict[Place, deque[ObjectKey]] = {}
        self._known: set[ObjectKey] = set()  # who waits
        self._turned: set[ObjectKey] = set()  # whose pass was turned away and has not ended yet
        self._call: Callable[[ObjectKey], None] = _nobody

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._known)

    def subscribe(self, call: Callable[[ObjectKey], None]) -> None:
        """Call ``call`` with each key whose turn has come: it must be looked at again."""
        self._call = call

    def enter(self, key: ObjectKey, place: Place) -> bool:
        """Let a key in until :meth:`left`; False means that it waits, and is called."""
        if self._inside.get(key) == place:
            return True  # it was called
        if key not in self._known:
            self.left(key)  # its server has another address now
            if self._count.get(place, 0) < self._limit:
                self._admit(key, place)
                return True
            self._known.add(key)
            self._waiting.setdefault(place, deque()).append(key)
        self._turned.add(key)
        return False

    def left(self, key: ObjectKey) -> None:
        """Say that a pass of this key has ended, whether it was let in or not."""
        if key in self._turned:
            self._turned.remove(key)  # it may have been called since: that is for its next pass
            return
        place = self._inside.pop(key, None)
        if place is None:
            return
        self._count[place] -= 1
        waiting = self._waiting.get(place)
        if waiting:
            following = waiting.popleft()
            self._known.discard(following)
            self._admit(following, place)
            self._call(following)
        if not waiting:
            self._waiting.pop(place, None)
        if not self._count[place]:
            del self._count[place]

    def _admit(self, key: ObjectKey, place: Place) -> None:
        self._inside[key] = place
        self._count[place] = self._count.get(place, 0) + 1
