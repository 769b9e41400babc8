"""What status says of an object that waits: for whoever must act, or for a target without time."""

from __future__ import annotations

from typing import Final

from ..backends import Busy, Policy
from .errors import Underway
from .failures import Failure
from .reasons import Condition, Reason
from .status import StatusDraft

DELETION_BUSY_SECONDS: Final = 5.0
"""A deletion that a busy target holds up for less is not worth a write."""

BUSY_SECONDS: Final = 60.0
"""A target that was busy at each look for this long is as good as none; a crowd takes less."""


def show_failure(draft: StatusDraft, failure: Failure) -> None:
    """Say what an error means; the object is not usable."""
    message = _of_deletion(draft, failure.message)
    draft.failed(failure.reason, message, stalled=failure.stalled)


def show_busy(draft: StatusDraft, error: Busy, seconds: float) -> bool:
    """Say what a target has been busy with for ``seconds``; False where that is said later."""
    message, deleting = _of_deletion(draft, str(error)), draft.subject.deleting
    if isinstance(error, Underway) and not deleting and seconds >= BUSY_SECONDS:
        draft.progressing(_course(draft), message, ready=draft.met(Condition.READY))
    elif seconds >= BUSY_SECONDS and not isinstance(error, Underway):
        draft.failed(Reason.UNREACHABLE, message, stalled=False)
    elif seconds >= DELETION_BUSY_SECONDS and deleting:
        draft.progressing(Reason.DELETING, message)
    else:
        return False
    return True


def deletion_message(draft: StatusDraft, policy: Policy) -> str:
    """Return what a deletion by this policy does with the data."""
    name = str(draft.get("externalName") or "nothing")
    return {
        Policy.DELETE: f"deletion policy Delete: {name} is deleted with its data",
        Policy.RETAIN: f"deletion policy Retain: {name} stays with its data",
        Policy.SNAPSHOT: f"deletion policy Snapshot: of {name} a snapshot stays",
    }[policy]


def _course(draft: StatusDraft) -> Reason:
    """Return what is going on while a backend works on without us."""
    if draft.get("passwordReset"):
        return Reason.PASSWORD_RESET
    return Reason.UPDATING if draft.get("binding") else Reason.CREATING


def _of_deletion(draft: StatusDraft, message: str) -> str:
    return f"the deletion waits: {message}" if draft.subject.deleting else message
