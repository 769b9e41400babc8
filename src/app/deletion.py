"""What the deletions of both kinds share."""

from __future__ import annotations

from typing import Final

from ..backends import Owner
from ..controller import Result
from .kinds import ADOPT
from .reasons import Condition, Reason
from .runtime import Runtime
from .status import StatusDraft

BLOCKED_RETRY_SECONDS: Final = 30.0
"""Until a blocked deletion looks again; what it waits for usually wakes it earlier."""


def block(draft: StatusDraft, reason: Reason, message: str) -> Result:
    """Say what the deletion waits for and how it goes on; nothing was deleted."""
    draft.failed(reason, message, stalled=False)
    draft.condition(Condition.RECONCILING, True, reason, message)
    return Result(requeue_after=BLOCKED_RETRY_SECONDS)


def kept_earlier(owner: Owner, found: Owner | None) -> bool:
    """Return whether an earlier pass, cut short, marked the thing as retained already."""
    return (
        found is not None
        and found.retained
        and (found.cluster_id, found.uid) == (owner.cluster_id, owner.uid)
    )


async def keep_secret(runtime: Runtime, draft: StatusDraft, external_name: str) -> None:
    """Leave the Secret of a retained thing behind, and say how both are taken over."""
    subject = draft.subject
    secret = str(subject.spec.get("credentialsSecret", ""))
    kept = await runtime.secrets.release(subject, secret, external_name)
    what = f"{external_name} and secret {secret} stay" if kept else f"{external_name} stays"
    draft.note(
        "Retained", f"{what}; a new object takes over with annotation {ADOPT}: {external_name}"
    )
