"""The status of one object during one reconcile: collected, compared, written once if it changed.

A write is a merge patch on ``/status`` with the resourceVersion that was read, so a decision that
was made on a stale object never lands. Nothing changed, nothing written: a converged object costs
no call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..controller import (
    Client,
    EventSink,
    JsonObject,
    find_condition,
    remove_condition,
    set_condition,
    write_status,
)
from .reasons import PROGRESSING, Condition, Reason
from .subject import Subject

Clock = Callable[[], datetime]
"""The wall clock, with a time zone; only what users read is made of it."""


def utc_now() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Render a time as Kubernetes does: RFC 3339 in UTC with seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Note(NamedTuple):
    type: str
    reason: str
    message: str


class StatusDraft:
    """Collects what a reconcile learns about one object and writes the difference."""

    def __init__(self, subject: Subject, clock: Clock) -> None:
        self.subject = subject
        self._read = subject
        self._clock = clock
        self._status: JsonObject = copy.deepcopy(subject.status)
        self._before = self._transition_keys()
        self._notes: list[_Note] = []
        self._remarks: list[str] = []
        self._abandoned = False

    def get(self, field: str) -> Any:
        """Return a field as it stands in the draft."""
        return self._status.get(field)

    def set(self, field: str, value: Any) -> None:
        """Set a field; None, and an empty collection, removes it."""
        if value is None or value in ({}, [], ()):
            self._status.pop(field, None)
        else:
            self._status[field] = value

    def condition(self, type_: Condition, met: bool, reason: Reason, message: str) -> None:
        """Set a condition; its time moves only when its status does."""
        conditions = self._status.get("conditions") or []
        shown = find_condition(self.subject.status.get("conditions") or [], type_.value)
        if shown is not None and find_condition(conditions, type_.value) is None:
            conditions = [*conditions, shown]  # dropped in this pass, which nobody saw
        self._status["conditions"] = set_condition(
            conditions,
            type_.value,
            status="True" if met else "False",
            reason=reason.value,
            message=message,
            observed_generation=self.subject.generation,
            now=self._clock,
        )

    def drop(self, *types: Condition) -> None:
        """Remove conditions that are shown only while true."""
        conditions = self._status.get("conditions") or []
        for type_ in types:
            conditions = remove_condition(conditions, type_.value)
        self.set("conditions", conditions)

    def met(self, type_: Condition) -> bool:
        """Return whether a condition stands at True in the draft."""
        conditions = self._status.get("conditions") or []
        return any(c["type"] == type_.value and c["status"] == "True" for c in conditions)

    def shows(self, reason: Reason) -> bool:
        """Return whether Ready has this reason in the draft."""
        conditions = self._status.get("conditions") or []
        ready = Condition.READY.value
        return any(c["type"] == ready and c["reason"] == reason.value for c in conditions)

    def message(self, type_: Condition) -> str:
        """Return the message of a condition as it stands in the draft; empty where it is not."""
        conditions = self._status.get("conditions") or []
        return next((str(c["message"]) for c in conditions if c["type"] == type_.value), "")

    def ready(self, message: str) -> None:
        """Say that a login with the published Secret works."""
        message = "; ".join([message, *self._remarks])
        self.condition(Condition.READY, True, Reason.AVAILABLE, message)
        self.drop(Condition.STALLED, Condition.RECONCILING)

    def remark(self, message: str) -> None:
        """Keep what Ready says in this pass beside that the object is usable."""
        self._remarks.append(message)

    def progressing(self, reason: Reason, message: str, *, ready: bool = False) -> None:
        """Say that the object is under way; ``ready`` keeps it usable meanwhile."""
        if not ready:
            self.condition(Condition.READY, False, reason, message)
        self.condition(Condition.RECONCILING, True, reason, message)
        self.drop(Condition.STALLED)

    def failed(self, reason: Reason, message: str, *, stalled: bool) -> None:
        """Say that the object is not usable, and whether somebody must act."""
        self.condition(Condition.READY, False, reason, message)
        if stalled:
            self.condition(Condition.STALLED, True, reason, message)
            self.drop(Condition.RECONCILING)
        else:
            self.drop(Condition.STALLED)

    def note(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Keep an event that is recorded once the status is written."""
        self._notes.append(_Note("Warning" if warning else "Normal", reason, message))

    @property
    def has_written(self) -> bool:
        """Whether this pass wrote the object, which the API server took: so it is no stale view."""
        return self.subject is not self._read

    def abandon(self) -> None:
        """Write nothing: the pass has changed the object itself, and comes again with it."""
        self._abandoned = True

    async def write(self, client: Client) -> Subject:
        """Write what changed and return the object as it is now.

        Raises:
            Conflict: the object changed since it was read; nothing was written.
        """
        if self._abandoned:
            return self.subject
        self._status["observedGeneration"] = self.subject.generation
        self._set_deployment()
        resource = self.subject.resource
        written = await write_status(client, resource, self.subject.obj, self._status)
        if written is not None:
            self.subject = Subject(resource, written)
        return self.subject

    def rebase(self, subject: Subject) -> None:
        """Go on from a newer version of the object after a write of our own to its metadata."""
        self.subject = subject

    def announce(self, events: EventSink) -> None:
        """Record the notes, and an event for Ready and Synced each where they changed."""
        for note in self._notes:
            events.event(self.subject.reference, note.type, note.reason, note.message)
        self._notes.clear()
        after = self._transition_keys()
        for type_, key in after.items():
            if key is not None and key != self._before.get(type_):
                self._announce_transition(events, type_)
        self._before = after

    def _announce_transition(self, events: EventSink, type_: str) -> None:
        condition = next(c for c in self._status["conditions"] if c["type"] == type_)
        fine = condition["status"] == "True" or condition["reason"] in PROGRESSING
        kind = "Normal" if fine else "Warning"
        events.event(self.subject.reference, kind, condition["reason"], condition["message"])

    def _transition_keys(self) -> dict[str, tuple[str, str] | None]:
        found = {c["type"]: c for c in self._status.get("conditions") or []}
        keys: dict[str, tuple[str, str] | None] = {}
        for type_ in (Condition.READY.value, Condition.SYNCED.value):
            condition = found.get(type_)
            keys[type_] = (condition["status"], condition["reason"]) if condition else None
        if keys[Condition.SYNCED.value] == ("True", Reason.AVAILABLE.value):
            keys[Condition.SYNCED.value] = None  # being in sync is not news
        return keys

    def _set_deployment(self) -> None:
        """Keep the predecessor's ``status.deployment`` right for tools that read it."""
        ready = next(
            (c for c in self._status.get("conditions") or [] if c["type"] == Condition.READY.value),
            None,
        )
        if ready is None:
            return
        state = "finished" if ready["status"] == "True" else "working"
        if any(c["type"] == Condition.STALLED.value for c in self._status["conditions"]):
            state = "failed"
        reason = "" if state == "finished" else f"{ready['reason']}: {ready['message']}"
        old = self._status.get("deployment") or {}
        if (old.get("status"), old.get("reason", "")) != (state, reason):
            latest = timestamp(self._clock())
            self._status["deployment"] = {
                "status": state,
                "reason": reason,
                "latest-update": latest,
            }
