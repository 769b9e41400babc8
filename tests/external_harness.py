"""The backend ``external`` on a real server, as the conformance checks and other tests drive it."""

from __future__ import annotations

import asyncio
import signal
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.fix_postgres import SUPERUSER, PgServer

from hybridpg.backends import (
    Backend,
    BackendContext,
    Credentials,
    Owner,
    Password,
    ServerRef,
)
from hybridpg.backends.conformance import ServerCase
from hybridpg.backends.external import External, ExternalOptions
from hybridpg.crds import ServerSpec

CLUSTER = "11111111-2222-4333-8444-555555555555"


@dataclass
class SecretKube:
    """A Kubernetes that holds Secrets and counts how often they are read."""

    secrets: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    reads: list[tuple[str, str]] = field(default_factory=list)

    async def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Return a Secret or None."""
        self.reads.append((namespace, name))
        return self.secrets.get((namespace, name))


def admin_secret(pg: PgServer, admin: str = SUPERUSER) -> dict[str, bytes]:
    """Return what an administrator writes into the Secret of an existing server."""
    return {
        "host": b"127.0.0.1",
        "port": str(pg.port).encode(),
        "username": admin.encode(),
        "password": pg.password.encode(),
        "ca.crt": pg.ca.encode(),
    }


def external_context(
    kube: SecretKube, servers: dict[str, dict[str, Any]] | None = None
) -> BackendContext:
    """Return the context of a backend with one server, ``main``, open to namespaces team-*."""
    main = {"secret": "platform/main-admin", "allowed_namespaces": ["team-*"]}
    options = ExternalOptions.model_validate({"servers": servers or {"main": main}})
    return BackendContext("external", options, kube, CLUSTER)


def server_ref(namespace: str = "team-a", **options: str) -> ServerRef:
    """Return a tenant's reference to the server ``main``, or to what ``options`` say."""
    owner = Owner(CLUSTER, str(uuid.uuid4()), namespace, "orders")
    return ServerRef(owner, f"{namespace}-orders", options=options or {"server": "main"})


@dataclass
class ExternalHarness:
    """The backend ``external`` for the conformance checks, with a clock that can be turned."""

    pg: PgServer
    admin: str = SUPERUSER
    provisions: bool = False
    skipped: float = 0.0

    def __post_init__(self) -> None:
        kube = SecretKube({("platform", "main-admin"): admin_secret(self.pg, self.admin)})
        self.external = External(external_context(kube), now=self.now)

    @property
    def backend(self) -> Backend:
        """The backend under test."""
        return self.external

    def now(self) -> float:
        """Return the time, later by what was skipped."""
        return asyncio.get_running_loop().time() + self.skipped

    async def server(self, *, fresh: bool = False) -> ServerCase:
        """Return the one server."""
        spec = ServerSpec.model_validate(
            {"credentialsSecret": "login", "backendOptions": {"server": "main"}}
        )
        login = Credentials(self.admin, Password(self.pg.password))
        return ServerCase(server_ref(), spec, login)

    async def settle(self, retry_after: float) -> None:
        """Turn the clock on."""
        self.skipped += retry_after
        await asyncio.sleep(0)

    async def disrupt(self, case: ServerCase) -> bool:
        """Stop the server."""
        self.pg.stop(signal.SIGINT)
        return True

    async def restore(self, case: ServerCase) -> None:
        """Start the server again; in this thread, with which it would end."""
        self.pg.up()
