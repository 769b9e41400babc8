"""What the deletions of both kinds share."""

from __future__ import annotations

from typing import Final

from ..backends import Outcome, Owner, Pending, Policy
from ..controller import Result
from .credentials import known_secret_names, secret_sources
from .errors import SecretConflict
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


def carried_out(draft: StatusDraft, outcome: Outcome, policy: Policy) -> Result | None:
    """Say what a step of a deletion came to; a result means that it goes on without us."""
    if isinstance(outcome, Pending):
        draft.progressing(Reason.DELETING, outcome.message)
        return Result(requeue_after=outcome.retry_after)
    for note in outcome.notes:
        draft.note("Kept" if policy is Policy.RETAIN else "Deleted", note)
    return None


def kept_earlier(owner: Owner, found: Owner | None) -> bool:
    """Return whether an earlier pass, cut short, marked the thing as retained already."""
    return (
        found is not None
        and found.retained
        and (found.cluster_id, found.uid) == (owner.cluster_id, owner.uid)
    )


async def has_secret(runtime: Runtime, draft: StatusDraft) -> bool:
    """Return whether the object owns its Secret: it is made before anything external is.

    So it tells an object that never had anything from one whose status somebody wiped. A rename
    that was not carried out yet left it under a former name.
    """
    names = dict.fromkeys([draft.subject.secret_name, *known_secret_names(draft)])
    for name in filter(None, names):
        try:
            if await runtime.secrets.find(draft.subject, name) is not None:
                return True
        except SecretConflict:
            continue
    return False


async def keep_secret(runtime: Runtime, draft: StatusDraft, external_name: str) -> None:
    """Leave the Secret of a retained thing behind, and say how both are taken over."""
    secrets = await _release(runtime, draft, external_name)
    what = f"{external_name} and secret {secrets} stay" if secrets else f"{external_name} stays"
    draft.note(
        "Retained", f"{what}; a new object takes over with annotation {ADOPT}: {external_name}"
    )


async def leave_alone(runtime: Runtime, draft: StatusDraft, external_name: str) -> None:
    """Touch nothing of a thing that is not ours, whatever the policy; its password stays as well.

    Its mark may name another object only because the cluster id changed, or somebody wrote it: the
    Secret can hold the one copy of a password that logs in.
    """
    secrets = await _release(runtime, draft, external_name)
    too = f", and secret {secrets} with it" if secrets else ""
    draft.note("LeftAlone", f"{external_name} is not ours and stays{too}", warning=True)


async def _release(runtime: Runtime, draft: StatusDraft, external_name: str) -> str:
    """Let the Secrets of the object outlive it, and return their names."""
    subject = draft.subject
    wanted = subject.secret_name
    # a rename that was not carried out yet left the password where it was published last
    names = [wanted, *secret_sources(draft, wanted)]
    kept = [n for n in names if await runtime.secrets.release(subject, n, external_name)]
    return " and ".join(kept)
