"""Where an object lives and what is different there: read alike by a pass and by ``hybridpg plan``.

Nothing here writes, so that what a plan shows is what a pass then does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..backends import (
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
    ServerRef,
    ServerState,
)
from ..crds import DatabaseSpec, ServerSpec
from .adoption import check_takeover
from .extensions import allowed_extensions
from .quota import check_server_quota
from .references import server_ref
from .runtime import Runtime
from .secrets import CredentialsSecret
from .status import StatusDraft
from .subject import Subject


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """The backend of a server and its reference there."""

    backend: Backend
    ref: ServerRef

    def recorded(self, draft: StatusDraft) -> bool:
        """Return whether status says so already."""
        found = (draft.get("backend"), draft.get("externalName"))
        return found == (self.backend.name, self.ref.external_name)


def server_target(runtime: Runtime, draft: StatusDraft, spec: ServerSpec) -> ServerTarget:
    """Return where a server is, or where a new one goes.

    Raises:
        Unavailable: the backend cannot be used.
        Quota: the namespace may not have another such server.
    """
    name = draft.get("backend")
    if not name:
        name = runtime.backends.choose(draft.subject.namespace, spec.backend)
        check_server_quota(runtime, draft.subject, spec)
    backend = runtime.backends.get(name)
    return ServerTarget(backend, server_ref(draft, backend, runtime.cluster_id))


async def look_at_server(
    runtime: Runtime, target: ServerTarget, spec: ServerSpec
) -> tuple[Observed[ServerState], tuple[Change, ...]]:
    """Return what is there and what has to change.

    Raises:
        Conflict: it is somebody else's.
        Unknown: no clear answer.
    """
    ref = target.ref
    observed = await target.backend.observe_server(ref)
    if ref.adopt and isinstance(observed, Present):
        check_takeover(runtime.servers, ref.owner, observed.state.owner, ref.external_name)
    return observed, target.backend.plan_server(ref, spec, observed)


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
