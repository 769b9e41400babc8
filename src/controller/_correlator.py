"""Decides which events are one and the same, and which ones nobody would read.

Messages with a counter or a time in them never repeat, and an object in trouble brings forth one
after the other. From the tenth on they are taken for one event, which is counted from then on. And
one object may cause only so many events: the rest is dropped before it is a request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, TypeVar

from .protocols import Now
from .ratelimit import BucketLimiter
from .types import ObjectReference

KNOWN_LIMIT: Final = 4096
"""Series, aggregates and spam filters that are remembered; the least recently used goes first."""
TOLD_APART: Final = 9
"""Messages of one reason that are events of their own; client-go, too, combines from the tenth."""
SIMILAR_SECONDS: Final = 600.0
"""A reason without an event for so long begins anew: it is another trouble by then."""
COMBINED: Final = "(combined from similar events): "
SPAM_BURST: Final = 25
SPAM_RATE: Final = 1 / 300
"""One object may cause 25 events of a type at once, then one every five minutes."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def remembered(known: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """Return the entry of a key, made if need be, as the most recently used of a bounded many."""
    found = known.get(key)
    if found is None:
        found = known[key] = make()
        if len(known) > KNOWN_LIMIT:
            known.popitem(last=False)
    else:
        known.move_to_end(key)
    return found


@dataclass(slots=True)
class _Similar:
    """The events of one object, type and reason."""

    # loop time of the last one
    seen: float
    # the first distinct messages, at most TOLD_APART; nearly always one, of which a set is large
    messages: tuple[str, ...] = ()


class Aggregator:
    """Finds the events that differ in nothing but their message, once there are many of them."""

    def __init__(self, now: Now) -> None:
        self._now = now
        # least recently used first
        self._known: OrderedDict[tuple[ObjectReference, str, str], _Similar] = OrderedDict()

    def combines(self, about: ObjectReference, type_: str, reason: str, message: str) -> bool:
        """Count an event, and say whether it is to be taken as one with those of its reason."""
        now = self._now()
        similar = remembered(self._known, (about, type_, reason), lambda: _Similar(now))
        if now - similar.seen > SIMILAR_SECONDS:
            similar.messages = ()
        similar.seen = now
        if message in similar.messages:
            return False
        if len(similar.messages) >= TOLD_APART:
            return True
        similar.messages = (*similar.messages, message)
        return False


class SpamFilter:
    """A budget of events for each object and type."""

    def __init__(self, now: Now) -> None:
        self._now = now
        # least recently used first
        self._known: OrderedDict[tuple[ObjectReference, str], BucketLimiter[str]] = OrderedDict()

    def admits(self, about: ObjectReference, type_: str) -> bool:
        """Take an event out of the budget; False where nothing is left of it."""
        limiter = remembered(
            self._known,
            (about, type_),
            lambda: BucketLimiter(SPAM_RATE, SPAM_BURST, now=self._now),
        )
        return limiter.take()
