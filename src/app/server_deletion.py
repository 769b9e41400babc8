"""Deletion of a server by policy: its databases first, a live read before anything goes."""

from __future__ import annotations

from typing import Final

from ..backends import Absent, Observed, Pending, Policy, ServerRef, ServerState
from ..controller import ObjectKey, Result
from .deletion import block, keep_secret, kept_earlier
from .reasons import Reason
from .references import server_ref
from .runtime import Runtime
from .status import StatusDraft

BY_SERVER: Final = "server"
"""Index of the databases by ``namespace/name`` of their server."""


def databases_of(runtime: Runtime, server: ObjectKey) -> list[str]:
    """Return the names of the databases that still refer to a server."""
    return sorted(obj.name for obj in runtime.databases.by_index(BY_SERVER, str(server)))


async def delete_server(runtime: Runtime, draft: StatusDraft, policy: Policy) -> Result | None:
    """Go on with the deletion; None once nothing external holds the object any more."""
    subject = draft.subject
    children = databases_of(runtime, subject.key)
    if children:
        return block(
            draft,
            Reason.DELETION_BLOCKED,
            f"databases are still on this server; delete them: {_list(children)}",
        )
    if not draft.get("backend") or not draft.get("externalName"):
        return None  # both are recorded before the first external call, so there was none
    backend = runtime.backends.get(draft.get("backend"))
    if policy not in backend.capabilities.deletion_policies:
        offered = ", ".join(sorted(p.value for p in backend.capabilities.deletion_policies))
        return block(
            draft,
            Reason.DELETION_BLOCKED,
            f"backend {backend.name} cannot do deletion policy {policy.value}; "
            f"set spec.deletionPolicy to one of {offered}",
        )
    ref = server_ref(draft, backend, runtime.cluster_id)
    observed = await backend.observe_server(ref)
    if is_ours(ref, observed):
        outcome = await backend.delete_server(ref, observed, policy)
        if isinstance(outcome, Pending):
            draft.progressing(Reason.DELETING, outcome.message)
            return Result(requeue_after=outcome.retry_after)
    elif not isinstance(observed, Absent) and not _retained_by_us(ref, observed):
        draft.note("LeftAlone", f"{ref.external_name} is not ours and stays", warning=True)
    if policy is not Policy.DELETE:
        await keep_secret(runtime, draft, ref.external_name)
    return None


def is_ours(ref: ServerRef, observed: Observed[ServerState]) -> bool:
    """Return whether a deletion still has something of ours to act on.

    A backend whose servers carry no mark (an existing server that is only used) has nothing to
    delete either way and says so itself.
    """
    if isinstance(observed, Absent):
        return False
    return observed.state.owner is None or ref.owner.same(observed.state.owner)


def _retained_by_us(ref: ServerRef, observed: Observed[ServerState]) -> bool:
    """Return whether an earlier pass, cut short, kept the thing already."""
    return not isinstance(observed, Absent) and kept_earlier(ref.owner, observed.state.owner)


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:10])  # a message stays readable; the rest shows up as these go
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
