"""Deletion of a server by policy: its databases first, a live read before anything goes."""

from __future__ import annotations

from typing import Final

from ..backends import Absent, Observed, Policy, ServerRef, ServerState
from ..controller import ObjectKey, Result
from .binding import is_ours, target_to_delete
from .deletion import block, carried_out, keep_secret, kept_earlier, leave_alone
from .kinds import DATABASES
from .reasons import Reason
from .runtime import Runtime
from .status import StatusDraft

BY_SERVER: Final = "server"
"""Index of the databases by ``namespace/name`` of their server."""


def databases_of(runtime: Runtime, server: ObjectKey) -> list[str]:
    """Return the names of the databases that still refer to a server."""
    return sorted(obj.name for obj in runtime.databases.by_index(BY_SERVER, str(server)))


async def _live_databases_of(runtime: Runtime, server: ObjectKey) -> list[str]:
    """Ask the API server itself: a watch that fell silent must not cost a database its data."""
    page = await runtime.client.list(DATABASES, namespace=server.namespace)
    specs = {item.name: item.decode().get("spec") or {} for item in page.items}
    refs = {name: (spec.get("serverRef") or {}).get("name") for name, spec in specs.items()}
    return sorted(name for name, ref in refs.items() if ref == server.name)


async def delete_server(runtime: Runtime, draft: StatusDraft, policy: Policy) -> Result | None:
    """Go on with the deletion; None once nothing external holds the object any more."""
    subject = draft.subject
    children = databases_of(runtime, subject.key) or await _live_databases_of(runtime, subject.key)
    if children:
        return block(
            draft,
            Reason.DELETION_BLOCKED,
            f"databases are still on this server; delete them: {_list(children)}",
        )
    found = await target_to_delete(runtime, draft)
    if found is None:
        return None
    target, observed = found
    backend, ref = target.backend, target.ref
    if policy not in backend.capabilities.deletion_policies:
        offered = ", ".join(sorted(p.value for p in backend.capabilities.deletion_policies))
        return block(
            draft,
            Reason.DELETION_BLOCKED,
            f"backend {backend.name} cannot do deletion policy {policy.value}; "
            f"set spec.deletionPolicy to one of {offered}",
        )
    # of one that is gone from its place, something may be left to clear away
    if isinstance(observed, Absent) or is_ours(ref, observed):
        outcome = await backend.delete_server(ref, observed, policy)
        waits = carried_out(draft, outcome, policy)
        if waits is not None or policy is Policy.DELETE:
            return waits
    elif not _retained_by_us(ref, observed):
        await leave_alone(runtime, draft, ref.external_name)
        return None
    # what an earlier pass retained stays: a policy that changes afterwards comes too late
    await keep_secret(runtime, draft, ref.external_name)
    return None


def _retained_by_us(ref: ServerRef, observed: Observed[ServerState]) -> bool:
    """Return whether an earlier pass, cut short, kept the thing already."""
    return not isinstance(observed, Absent) and kept_earlier(ref.owner, observed.state.owner)


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:10])  # a message stays readable; the rest shows up as these go
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
