"""What the deletions of both kinds share."""

from __future__ import annotations

from typing import Final

from ..backends import Owner
from ..controller import Result
from .credentials import former_secret_names
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
    wanted = str(subject.spec.get("credentialsSecret", ""))
    # a rename that was not carried out yet left the password where it was published last
    names = [wanted, *former_secret_names(draft, wanted)]
    kept = [n for n in names if await runtime.secrets.release(subject, n, external_name)]
    secrets = " and ".join(kept)
    what = f"{external_name} and secret {secrets} stay" if kept else f"{external_name} stays"
    draft.note(
        "Retained", f"{what}; a new object takes over with annotation {ADOPT}: {external_name}"
    )
