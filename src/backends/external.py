"""Servers that exist already: databases and roles on them, and nothing of the servers themselves.

The administrator configures them by name under ``backends.external.servers``; a tenant chooses
one with ``spec.backendOptions.server`` and can say nothing else about it. So host and login come
from the administrator alone, and neither the login nor a way to change it reaches a tenant.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..crds import ServerSpec
from .errors import BackendError, Rejected, Unavailable
from .protocol import (
    BackendContext,
    Capabilities,
    Inventory,
)
from .retained import RetainedThings
from .sql import SqlDatabases
from .sql.pool import Now, loop_time
from .values import (
    AdminLogin,
    Change,
    Credentials,
    Done,
    Endpoint,
    Observed,
    Outcome,
    Password,
    Policy,
    Present,
    Problem,
    ServerRef,
    ServerState,
)

OPTION: Final = "server"
"""The one key of ``spec.backendOptions``."""
FIELD: Final = "backendOptions.server"
DEFAULT_PORT: Final = 5432

# "prefer" and "allow" would fall back to no encryption when an attacker asks for it
SslMode = Literal["disable", "require", "verify-ca", "verify-full"]


class ExternalServer(BaseModel):
    """One server; what is not set here is read from the Secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str | None = Field(
        default=None, min_length=1, description="Name or address. Else the Secret's host."
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port. Else the Secret's port, else 5432."
    )
    secret: str = Field(
        min_length=1,
        description="Secret with the admin login, as namespace/name, or a name in the operator's "
        "own namespace. Keys: username or user, password, and optionally host or hostname, port, "
        "sslmode and ca.crt. No tenant may be able to write to it.",
    )
    sslmode: SslMode | None = Field(
        default=None, description="How TLS is verified. Else the Secret's, else verify-full."
    )
    ca: str | None = Field(
        default=None,
        description="PEM of the authority that signed the server's certificate. Else the Secret's "
        "ca.crt, else the system's authorities.",
    )
    allowed_namespaces: tuple[str, ...] = Field(
        default=(),
        description='Namespaces that may use it, as globs: ["team-*"]. Empty: none.',
    )

    @field_validator("secret")
    @classmethod
    def _one_slash_at_most(cls, value: str) -> str:
        parts = value.split("/")
        if len(parts) > 2 or not all(parts):
            raise ValueError("must be namespace/name, or a name")
        return value


class ExternalOptions(BaseModel):
    """Options of the backend ``external``: servers that exist already, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: dict[str, ExternalServer] = Field(
        default_factory=dict, description="The servers, by the name that tenants choose them by."
    )


class External(SqlDatabases):
    """Databases and roles on existing servers."""

    options = ExternalOptions
    inventory: Inventory | None = None

    def __init__(self, context: BackendContext, *, now: Now = loop_time) -> None:
        if not isinstance(context.options, ExternalOptions):
            raise TypeError("the backend external needs ExternalOptions")
        super().__init__(context, now=now)
        self.name = context.name
        self.capabilities = Capabilities(
            server_fields=frozenset({"backendOptions"}),
            deletion_policies=frozenset(Policy),
            publishes_admin=False,
            provisions=False,
        )
        self._servers_by_name = context.options.servers
        self._kube = context.kube

    def server_spec_valid(self, spec: ServerSpec) -> tuple[Problem, ...]:
        """Return the options that are not known; every other field is unsupported anyway."""
        return tuple(
            Problem(f"backendOptions.{key}", f"there is only the option {OPTION!r}", "that alone")
            for key in spec.backend_options
            if key != OPTION
        )

    async def observe_server(self, server: ServerRef) -> Observed[ServerState]:
        """Log in as the admin and see whether the server is a primary; never ``Absent``."""
        endpoint = await self._endpoint(server)
        catalog = await self.server_catalog(endpoint)
        return Present(
            ServerState(
                owner=None,
                ready=not catalog.read_only,
                message="the server takes no writes" if catalog.read_only else "",
                version=catalog.version,
                admin_username=catalog.admin,
            )
        )

    def plan_server(
        self, server: ServerRef, desired: ServerSpec, observed: Observed[ServerState]
    ) -> tuple[Change, ...]:
        """Return nothing: the server is its administrator's."""
        return ()

    async def create_or_update_server(
        self, server: ServerRef, changes: tuple[Change, ...], admin: Credentials
    ) -> Outcome:
        """Do nothing: there is never a change."""
        return Done()

    async def update_admin_password(
        self, server: ServerRef, observed: ServerState, admin: Credentials
    ) -> Outcome:
        """Refuse: the login is shared and its Secret is the administrator's."""
        raise Rejected(
            "",
            "the admin of an external server is its administrator's: change the password there "
            "and in the Secret that backends.external.servers names",
        )

    async def delete_server(
        self, server: ServerRef, observed: Observed[ServerState], policy: Policy
    ) -> Outcome:
        """Do nothing, by any policy: the server was there before and stays."""
        return Done()

    async def endpoint(self, server: ServerRef, observed: ServerState) -> Endpoint:
        """Return where the server is, with the admin login for the controller alone."""
        return await self._endpoint(server)

    def _configured(self, server: ServerRef) -> tuple[str, ExternalServer]:
        """Return the chosen server; which others there are is none of the tenant's business."""
        name, namespace = server.options.get(OPTION, ""), server.owner.namespace
        if not name:
            raise Rejected(FIELD, "must name a server that the administrator configured")
        chosen = self._servers_by_name.get(name)
        if chosen is None or not any(
            fnmatchcase(namespace, pattern) for pattern in chosen.allowed_namespaces
        ):
            raise Rejected(
                FIELD,
                f"no server {name!r} is open to namespace {namespace!r}: its administrator can "
                f"list the namespace in backends.{self.name}.servers.{name}.allowed_namespaces",
            )
        return name, chosen

    async def retained(self) -> RetainedThings:
        """Return the databases on all configured servers that outlived their objects."""
        things = RetainedThings()
        for name, chosen in sorted(self._servers_by_name.items()):
            try:
                endpoint = await self._endpoint_of(name, chosen)
            except BackendError as error:
                things += RetainedThings(problems=(str(error),))
                continue
            things += await self.retained_databases(endpoint, f"server {name} ({endpoint.host})")
        return things

    async def _endpoint(self, server: ServerRef) -> Endpoint:
        return await self._endpoint_of(*self._configured(server))

    async def _endpoint_of(self, name: str, chosen: ExternalServer) -> Endpoint:
        namespace, _, secret = chosen.secret.rpartition("/")
        namespace = namespace or _own_namespace(f"backends.{self.name}.servers.{name}.secret")
        data = await self._kube.get_secret(namespace, secret)
        if data is None:
            raise Unavailable(
                f"external server {name!r}: there is no Secret {namespace}/{secret}; create it "
                "with the keys username and password"
            )
        return _read_endpoint(name, chosen, data)


def _own_namespace(path: str) -> str:
    namespace = os.environ.get("KUBERNETES_NAMESPACE", "")
    if not namespace:
        raise Unavailable(
            f"{path} has no namespace and KUBERNETES_NAMESPACE is not set: write namespace/name"
        )
    return namespace


def _read_endpoint(name: str, chosen: ExternalServer, data: dict[str, bytes]) -> Endpoint:
    """Put configuration and Secret together; the configuration wins."""

    def text(key: str) -> str:
        try:
            decoded = data.get(key, b"").decode()
        except UnicodeDecodeError as error:
            raise missing(f"has a key {key} that is not UTF-8") from error
        if "\0" in decoded:
            raise missing(f"has a key {key} with a NUL character")
        return decoded

    def value(*keys: str) -> str:
        return next((text(key).strip() for key in keys if data.get(key)), "")

    def missing(what: str) -> Unavailable:
        return Unavailable(f"external server {name!r}: its Secret {chosen.secret} {what}")

    host = chosen.host or value("host", "hostname")
    username, password = value("username", "user"), text("password")
    if not host:
        raise missing("has no key host, and the configuration has no host")
    if not username or not password:
        raise missing("needs the keys username and password")
    port = chosen.port or value("port") or DEFAULT_PORT
    if not (str(port).isascii() and str(port).isdigit() and 0 < int(port) < 65536):
        raise missing(f"has a key port that is no port: {port!r}")
    sslmode = chosen.sslmode or value("sslmode") or "verify-full"
    if not _is_sslmode(sslmode):
        raise missing(f"has a key sslmode that is none of {', '.join(get_args(SslMode))}")
    return Endpoint(
        host,
        int(port),
        ca=chosen.ca or value("ca.crt"),
        sslmode=sslmode,
        admin=AdminLogin(username, Password(password)),
    )


def _is_sslmode(text: str) -> TypeGuard[SslMode]:
    return text in get_args(SslMode)
