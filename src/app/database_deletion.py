"""Deletion of a database by policy: live reads first, the role after its database."""

from __future__ import annotations

from ..backends import Absent, Backend, Busy, DatabaseRef, Owner, Policy, Unknown
from ..controller import NotFound, ObjectKey, Result
from .deletion import block, carried_out, has_secret, keep_secret, kept_earlier, leave_alone
from .kinds import SERVERS
from .reasons import Reason
from .references import own_database_name
from .runtime import Runtime
from .server_identity import Content, content_of, is_another, replaced
from .status import StatusDraft
from .targets import database_target


async def delete_database(runtime: Runtime, draft: StatusDraft, policy: Policy) -> Result | None:
    """Go on with the deletion; None once nothing external holds the object any more."""
    subject = draft.subject
    recorded = draft.get("backend") and draft.get("externalName")
    if not recorded and not await has_secret(runtime, draft):
        return None  # both come before the first external call, so there was none
    try:
        result = await _by_policy(runtime, draft, policy)
    except Busy:
        raise
    except Unknown as error:
        if not runtime.silences.lasts(subject) or policy is Policy.DELETE:
            raise
        await _let_go(runtime, draft, Reason.UNREACHABLE, str(error))
        return None
    if result is None or not draft.shows(Reason.WAITING_FOR_SERVER):
        runtime.silences.forget(subject.key)
    return result


async def _by_policy(runtime: Runtime, draft: StatusDraft, policy: Policy) -> Result | None:
    subject = draft.subject
    key = ObjectKey(subject.namespace, str(subject.spec["serverRef"]["name"]))
    server = runtime.directory.get(key)
    if server is None:
        return await _without_server(runtime, draft, policy, key)
    uid = server.ref.owner.uid
    if is_another(draft, uid) and await content_of(runtime, draft, server) is not Content.OURS:
        return await _on_another(runtime, draft, policy, replaced(draft, key.name, uid))
    backend = runtime.backends.get(server.backend)
    ref = await database_target(runtime, draft, server)
    if policy is Policy.DELETE:
        return await _delete(runtime, draft, backend, ref)
    return await _retain(runtime, draft, backend, ref)


async def _without_server(
    runtime: Runtime, draft: StatusDraft, policy: Policy, key: ObjectKey
) -> Result | None:
    """Wait for a server that exists; one that is proven gone cannot be asked any more."""
    try:
        live = await runtime.client.get(SERVERS, key)
    except NotFound:
        if policy is Policy.RETAIN:
            await keep_secret(runtime, draft, _external_name(runtime, draft))
            return None
        return block(
            draft,
            Reason.SERVER_GONE,
            f"server {key.name} is gone, so the deletion of the data cannot be proven; set "
            f"spec.deletionPolicy to Retain to let the object go",
        )
    if runtime.directory.absent(key):
        uid = str(live["metadata"]["uid"])
        if not is_another(draft, uid):
            return None  # the data went with its server
        return await _on_another(runtime, draft, policy, replaced(draft, key.name, uid))
    if not runtime.directory.seen(key):
        raise Busy(f"server {key.name} was not looked at since the start", retry_after=1.0)
    if runtime.silences.lasts(draft.subject) and policy is Policy.RETAIN:
        message = f"server {key.name} does not answer"
        await _let_go(runtime, draft, Reason.WAITING_FOR_SERVER, message)
        return None
    way_out = "five minutes at most"
    if policy is Policy.DELETE:
        way_out = "set spec.deletionPolicy to Retain to let the object go without"
    message = f"the deletion waits until server {key.name} answers; {way_out}"
    return block(draft, Reason.WAITING_FOR_SERVER, message)


async def _let_go(runtime: Runtime, draft: StatusDraft, reason: Reason, why: str) -> None:
    """End a wait for a server that stays silent: nothing is deleted, and the Secret stays.

    The mark stays as it is, so it does not say that the object is gone.
    """
    name = _external_name(runtime, draft)
    message = f"{name} could not be marked as retained, so hybridpg retained misses it: {why}"
    draft.note(reason, message, warning=True)
    await keep_secret(runtime, draft, name)


async def _on_another(
    runtime: Runtime, draft: StatusDraft, policy: Policy, message: str
) -> Result | None:
    """Conclude nothing from a server that has taken the place of the one with the data."""
    if policy is Policy.DELETE:
        message = f"{message}, or spec.deletionPolicy to Retain to let the object go"
        return block(draft, Reason.SERVER_GONE, message)
    draft.note(Reason.SERVER_GONE, message, warning=True)
    await keep_secret(runtime, draft, _external_name(runtime, draft))
    return None


def _external_name(runtime: Runtime, draft: StatusDraft) -> str:
    """Return what the database is called, where nobody can be asked."""
    own = own_database_name(draft.subject, runtime.cluster_id)
    return str(draft.get("externalName") or own)


async def _delete(
    runtime: Runtime, draft: StatusDraft, backend: Backend, ref: DatabaseRef
) -> Result | None:
    observed = await backend.observe_database(ref)
    if isinstance(observed, Absent):
        return None
    if not ref.owner.same(observed.state.owner):
        await _left(runtime, draft, ref, observed.state.owner)
        return None
    outcome = await backend.delete_database(ref, observed, Policy.DELETE)
    waits = carried_out(draft, outcome, Policy.DELETE)
    return waits or carried_out(draft, await backend.delete_user(ref), Policy.DELETE)


async def _retain(
    runtime: Runtime, draft: StatusDraft, backend: Backend, ref: DatabaseRef
) -> Result | None:
    observed = await backend.observe_database(ref)
    if not isinstance(observed, Absent):
        if not ref.owner.same(observed.state.owner):
            await _left(runtime, draft, ref, observed.state.owner)
            return None
        outcome = await backend.delete_database(ref, observed, Policy.RETAIN)
        waits = carried_out(draft, outcome, Policy.RETAIN)
        if waits is not None:
            return waits
    await keep_secret(runtime, draft, ref.external_name)
    return None


async def _left(
    runtime: Runtime, draft: StatusDraft, ref: DatabaseRef, found: Owner | None
) -> None:
    """Leave what carries another mark, and its password: perhaps we retained it ourselves before.

    Then a policy that changes afterwards comes too late: what is retained waits for its adoption.
    """
    if kept_earlier(ref.owner, found):
        await keep_secret(runtime, draft, ref.external_name)
    else:
        await leave_alone(runtime, draft, ref.external_name)
