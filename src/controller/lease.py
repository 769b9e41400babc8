"""A Lease as it lies in the API server: what it says, and what a candidate writes into it.

Its times are for people. No process compares them with its own clock; what counts is when a
process sees, by its own monotonic clock, that the record has changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from .errors import DecodeError
from .types import LEASES, JsonObject, ObjectKey

DURATION: Final = 15.0
RENEW_DEADLINE: Final = 10.0
RETRY_PERIOD: Final = 2.0
"""The three defaults of client-go: a crashed leader is replaced within half a minute, and an API
server may be away for ten seconds before a leader gives up."""
JITTER: Final = 1.2
"""A candidate waits up to this share of the retry period longer, so that not all ask at once."""
RELEASED_SECONDS: Final = 1
"""The duration in a released lease: the API server accepts no zero."""


@dataclass(frozen=True, slots=True)
class LeaseConfig:
    """Which Lease, and how long it holds: all times in seconds.

    Others wait for ``duration`` after they saw the last renewal. The leader steps down
    ``renew_deadline`` after its last renewal that worked, which must be earlier, and tries every
    ``retry_period``.

    Errors: ``ValueError`` naming the number that cannot work.
    """

    namespace: str
    name: str
    duration: float = DURATION
    renew_deadline: float = RENEW_DEADLINE
    retry_period: float = RETRY_PERIOD

    def __post_init__(self) -> None:
        """Refuse what would elect two leaders, or none."""
        if not self.namespace or not self.name:
            raise ValueError("a lease needs a namespace and a name")
        for field in ("duration", "renew_deadline", "retry_period"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field} of lease {self.key} must be more than 0, not {value:g}")
        if self.duration <= self.renew_deadline:
            raise ValueError(
                f"duration of lease {self.key} is {self.duration:g} and must be more than its "
                f"renew_deadline {self.renew_deadline:g}: else others take over from a leader "
                "that still works"
            )
        if self.renew_deadline <= JITTER * self.retry_period:
            raise ValueError(
                f"renew_deadline of lease {self.key} is {self.renew_deadline:g} and must be more "
                f"than {JITTER} times its retry_period {self.retry_period:g}: else one failed "
                "renewal loses the lease"
            )

    @property
    def key(self) -> ObjectKey:
        """Namespace and name."""
        return ObjectKey(self.namespace, self.name)

    @property
    def request_timeout(self) -> float:
        """What one request may take: one that hangs leaves time for another."""
        return self.renew_deadline / 2


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str


class _Lease(msgspec.Struct, frozen=True, tag_field="kind", tag="Lease"):
    metadata: _Meta
    spec: _Spec | None = None


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says: equal records mean that nobody renewed it in between."""

    holder: str = ""
    seconds: int | None = None
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0

    @classmethod
    def of(cls, lease: JsonObject) -> LeaseRecord:
        """Read a Lease.

        Errors: :class:`~.errors.DecodeError` for any other object.
        """
        try:
            spec = msgspec.convert(lease, _Lease).spec or _Spec()
        except msgspec.MsgspecError as error:
            raise DecodeError(f"the answer is no Lease: {error}") from error
        return cls(
            spec.holder_identity or "",
            spec.lease_duration_seconds,
            spec.acquire_time or "",
            spec.renew_time or "",
            spec.lease_transitions or 0,
        )

    @property
    def released(self) -> bool:
        """Whether the last holder gave it back, having ended its work.

        One whose holder somebody merely wiped out keeps its duration: that holder may still work.
        """
        return not self.holder and self.seconds == RELEASED_SECONDS

    def claimed(self, identity: str, seconds: float, moment: datetime) -> LeaseRecord:
        """Return what a candidate or the holder itself writes next."""
        now = micro_time(moment, unlike=self.renewed)
        if self.holder == identity:
            return LeaseRecord(
                identity, math.ceil(seconds), self.acquired or now, now, self.transitions
            )
        return LeaseRecord(identity, math.ceil(seconds), now, now, self.transitions + 1)

    def given_back(self, moment: datetime) -> LeaseRecord:
        """Return what the holder writes when its work has ended."""
        now = micro_time(moment, unlike=self.renewed)
        return LeaseRecord("", RELEASED_SECONDS, now, now, self.transitions)

    def written_into(self, lease: JsonObject) -> JsonObject:
        """Return the Lease with this record; what else it holds stays, its version too."""
        spec: dict[str, Any] = {
            **(lease.get("spec") or {}),
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.seconds,
            "acquireTime": self.acquired,
            "renewTime": self.renewed,
            "leaseTransitions": self.transitions,
        }
        return {**lease, "spec": spec}


def new_lease(key: ObjectKey) -> JsonObject:
    """Return a Lease that nobody holds and that does not exist yet."""
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"namespace": key.namespace, "name": key.name},
    }


def micro_time(moment: datetime, *, unlike: str = "") -> str:
    """Return a time as the API server writes it: six digits, UTC.

    It is never ``unlike``: with a clock that was set back, a renewal could otherwise write what
    was there already, and the others would see none.
    """
    text = _format(moment)
    return text if text != unlike else _format(moment + timedelta(microseconds=1))


def _format(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
