"""The login of a server: settled at the target and published in its Secret."""

from __future__ import annotations

from ..backends import Credentials, Endpoint, Password, ServerState
from .binding import ServerTarget
from .connection_keys import connection_keys, endpoint_keys
from .credentials import PasswordKeeper, PasswordTarget
from .kinds import SECRET_STATE
from .references import ADMIN_DATABASE
from .rotation import Login, Rotation, done_or_busy, primary_login
from .runtime import Runtime
from .secrets import ACTIVE, CredentialsSecret
from .server_pass import ServerPass
from .subject import Subject
from .verification import LoginProof


async def publish_login(
    runtime: Runtime,
    rotation: Rotation,
    server: ServerPass,
    secret: CredentialsSecret | None,
    state: ServerState,
    endpoint: Endpoint,
) -> CredentialsSecret:
    """Settle the admin login and publish it, or the endpoint alone where it is not the tenant's."""
    if not server.publishes_admin:
        return await _publish_endpoint(runtime, rotation, server, secret, endpoint)
    if secret is None:
        raise AssertionError("a backend that publishes its admin has a Secret by now")
    login = _admin_login(runtime, server, state, endpoint)
    return await rotation.settle(server.draft, secret, login, server.schedule)


async def prove_login(
    runtime: Runtime,
    keeper: PasswordKeeper,
    secret: CredentialsSecret,
    *,
    subject: Subject,
    role: PasswordTarget,
    endpoint: Endpoint,
) -> None:
    """Make the published password work on a server that is on its way out; once is enough.

    The Secret is the truth there as well: the databases that go first are reached by it.
    """
    proof = LoginProof.of(secret.resource_version, endpoint)
    if runtime.logins.proven(subject.identity, proof):
        return
    runtime.logins.forget(subject.identity)
    await keeper.prove(role, secret)
    runtime.logins.remember(subject.identity, proof)


def _admin_login(
    runtime: Runtime, server: ServerPass, state: ServerState, endpoint: Endpoint
) -> Login:
    def render(password: Password | None) -> dict[str, str]:
        if password is None:
            return endpoint_keys(endpoint, ADMIN_DATABASE, server.provider)
        login = Credentials(state.admin_username, password)
        return connection_keys(endpoint, login, ADMIN_DATABASE, server.provider)

    target = ServerTarget(server.backend, server.ref)
    return Login(endpoint, render, admin_role(runtime, target, state, endpoint))


def admin_role(
    runtime: Runtime, target: ServerTarget, state: ServerState, endpoint: Endpoint
) -> PasswordTarget:
    """Return how the password of the admin is set and tried."""

    async def apply(login: Credentials) -> None:
        done_or_busy(await target.backend.update_admin_password(target.ref, state, login))

    verify = primary_login(runtime.check_login, endpoint, ADMIN_DATABASE)
    return PasswordTarget(state.admin_username, apply, verify)


async def _publish_endpoint(
    runtime: Runtime,
    rotation: Rotation,
    server: ServerPass,
    secret: CredentialsSecret | None,
    endpoint: Endpoint,
) -> CredentialsSecret:
    """Publish where the server is and nothing else: its admin login is not the tenant's."""
    why = f"the admin login of a server of backend {server.provider} is not changed here"
    rotation.refuse(server.draft, why)
    subject, store = server.draft.subject, runtime.secrets
    values = endpoint_keys(endpoint, ADMIN_DATABASE, server.provider)
    if secret is None:
        secret = await store.create(subject, server.spec.credentials_secret, values)
    secret = await store.publish(secret, values, annotations={SECRET_STATE: ACTIVE})
    rotation.published(subject, secret)
    return secret
