"""What this process has seen of a Lease, timed by its own monotonic clock."""

from __future__ import annotations

from .lease import LeaseConfig, LeaseRecord
from .protocols import Now
from .types import JsonObject


class LeaseView:
    """Tells until when somebody else may believe that they lead.

    That is their own duration after this process saw their last renewal. A Lease that was
    deleted, or whose holder was wiped out, ends nothing: its holder does not know of it yet.

    What it never saw it cannot wait for: a candidate that starts when the Lease was just deleted
    makes a new one, beside a leader that believes in the old one until it hears of that. That is
    at once through its watch, else at its next renewal, and after its renew deadline at the latest.
    To wait so long before each first Lease would delay every installation.
    """

    def __init__(self, config: LeaseConfig, identity: str, now: Now) -> None:
        self._config = config
        self._identity = identity
        self._now = now
        # what was read last; None before that
        self.record: LeaseRecord | None = None
        # the monotonic time from which on no other holder can be leading
        self._held_until = float("-inf")

    def see(self, lease: JsonObject) -> LeaseRecord:
        """Take note of a Lease that was read or watched.

        Errors: :class:`~.errors.DecodeError` if it is none.
        """
        record = LeaseRecord.of(lease)
        if record == self.record:
            return record
        self.record = record
        if record.released:
            self._held_until = float("-inf")
        elif record.holder and record.holder != self._identity:
            self._held_until = self._now() + (record.seconds or self._config.duration)
        return record

    @property
    def holder(self) -> str:
        """Who held the Lease when it was read last; empty for nobody."""
        return self.record.holder if self.record is not None else ""

    @property
    def wait(self) -> float:
        """Seconds until nobody else can be leading; 0 or less if that is now."""
        return self._held_until - self._now()
