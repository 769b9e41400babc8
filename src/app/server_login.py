"""The login of a server: settled at the target and published in its Secret."""

from __future__ import annotations

from ..backends import Credentials, Endpoint, Password, ServerState
from .connection_keys import connection_keys, endpoint_keys
from .credentials import PasswordTarget
from .kinds import SECRET_STATE
from .references import ADMIN_DATABASE
from .rotation import Login, Rotation, done_or_busy, primary_login
from .runtime import Runtime
from .secrets import ACTIVE, CredentialsSecret
from .server_pass import ServerPass


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


def _admin_login(
    runtime: Runtime, server: ServerPass, state: ServerState, endpoint: Endpoint
) -> Login:
    username = state.admin_username

    def render(password: Password | None) -> dict[str, str]:
        if password is None:
            return endpoint_keys(endpoint, ADMIN_DATABASE, server.provider)
        login = Credentials(username, password)
        return connection_keys(endpoint, login, ADMIN_DATABASE, server.provider)

    async def apply(login: Credentials) -> None:
        outcome = await server.backend.update_admin_password(server.ref, state, login)
        done_or_busy(outcome)

    verify = primary_login(runtime.check_login, endpoint, ADMIN_DATABASE)
    return Login(endpoint, render, PasswordTarget(username, apply, verify))


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
