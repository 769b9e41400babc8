"""Where an object lives and what is different there: read alike by a pass and by ``hybridpg plan``.

Nothing here writes, so that what a plan shows is what a pass then does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..backends import (
    Absent,
    AdminLogin,
    Backend,
    Change,
    DatabaseRef,
    DatabaseState,
    DesiredDatabase,
    Endpoint,
    Observed,
    Password,
    Present,
    ServerState,
)
from ..crds import DatabaseSpec, ServerSpec
from .adoption import check_takeover
from .binding import ServerTarget, bound_target, new_target, proven_target
from .extensions import allowed_extensions
from .references import database_ref, own_database_name
from .runtime import Runtime, ServerEntry
from .secrets import CredentialsSecret
from .status import StatusDraft
from .subject import Subject


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server where it was found, or where it will be made, and what has to change there."""

    target: ServerTarget
    observed: Observed[ServerState]
    changes: tuple[Change, ...]


async def server_target(runtime: Runtime, draft: StatusDraft, spec: ServerSpec) -> ServerTarget:
    """Return where a server should be, or where a new one goes; nothing is proven by that.

    Raises:
        Unavailable: the backend cannot be used.
        Quota: the namespace may not have another such server.
    """
    return await bound_target(runtime, draft) or new_target(runtime, draft, spec)


async def look_at_server(
    runtime: Runtime, draft: StatusDraft, target: ServerTarget, spec: ServerSpec
) -> ServerView:
    """Return where the server really is, what is there, and what has to change.

    Raises:
        Conflict: it is somebody else's.
        Quota, Unavailable: it is not made yet, and may not be.
        Unknown: no clear answer.
    """
    target, observed = await proven_target(runtime, draft, target, spec)
    ref = target.ref
    if ref.adopt and isinstance(observed, Present):
        check_takeover(runtime.servers, ref.owner, observed.state.owner, ref.external_name)
    allowed, refused = runtime.quotas.confine(draft.subject, spec)
    return ServerView(
        target, observed, (*target.backend.plan_server(ref, allowed, observed), *refused)
    )


async def database_target(runtime: Runtime, draft: StatusDraft, server: ServerEntry) -> DatabaseRef:
    """Return the reference of a database: by the recorded name where that is proven to be ours.

    Who can forge status must not make a second database by it, or take a name from others.

    Raises:
        BackendError: no clear answer.
    """
    own = own_database_name(draft.subject, runtime.cluster_id)
    ref = database_ref(draft, server, runtime.cluster_id)
    if ref.external_name != own:
        observed = await runtime.backends.get(server.backend).observe_database(ref)
        if isinstance(observed, Absent) or not ref.owner.same(observed.state.owner):
            return database_ref(draft, server, runtime.cluster_id, name=own)
    return ref


async def look_at_database(
    runtime: Runtime, subject: Subject, spec: DatabaseSpec, backend: Backend, ref: DatabaseRef
) -> tuple[Observed[DatabaseState], DesiredDatabase, tuple[Change, ...]]:
    """Return what is there, what it should be, and what has to change.

    Raises:
        Conflict: it is somebody else's.
        Unknown: no clear answer.
    """
    observed = await backend.observe_database(ref)
    if ref.adopt and isinstance(observed, Present):
        check_takeover(runtime.databases, ref.owner, observed.state.owner, ref.external_name)
    desired = DesiredDatabase(spec, allowed_extensions(runtime, subject, spec))
    return observed, desired, backend.plan_database(ref, desired, observed)


def newest_password(secret: CredentialsSecret | None) -> Password:
    """Return the newest password; empty where the backend is not given one."""
    if secret is None:
        return Password("")
    return secret.next_password or secret.password or Password("")


def with_admin(endpoint: Endpoint, username: str, secret: CredentialsSecret | None) -> Endpoint:
    """Return the endpoint with a way in for the databases: the backend's own, else the Secret's."""
    if endpoint.admin is not None:
        return endpoint
    return replace(endpoint, admin=AdminLogin(username, password=newest_password(secret)))
