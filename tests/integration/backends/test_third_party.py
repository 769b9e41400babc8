"""A backend that somebody else wrote: their package, our checks, nothing of our sources.

It is installed the way pip leaves a package, found by its entry point, configured by its own
options, and passes the same checks as ours.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.external_harness import SecretKube
from tests.fix_postgres import SUPERUSER, PgServer

from hybridpg.backends import (
    Backend,
    BackendContext,
    Credentials,
    Owner,
    Password,
    ServerRef,
    registry,
)
from hybridpg.backends.conformance import Check, NotApplicable, ServerCase, checks
from hybridpg.crds import ServerSpec

pytestmark = pytest.mark.postgres

SOURCE = '''
"""Acme's one big PostgreSQL, as a backend."""

from hybridpg.backends import (
    AdminLogin, Capabilities, Done, Endpoint, Password, Policy, Present, Rejected, ServerState,
)
from hybridpg.backends.sql import SqlDatabases
from pydantic import BaseModel, ConfigDict


class AcmeOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    port: int
    password: str
    ca: str


class Acme(SqlDatabases):
    options = AcmeOptions
    inventory = None
    capabilities = Capabilities(frozenset(), frozenset({Policy.RETAIN}), publishes_admin=False)

    def __init__(self, context):
        super().__init__(context)
        self.name = context.name
        options = context.options
        login = AdminLogin("postgres", Password(options.password))
        self._acme = Endpoint("127.0.0.1", options.port, ca=options.ca, admin=login)

    def server_spec_valid(self, spec):
        return ()

    async def observe_server(self, server):
        catalog = await self.server_catalog(self._acme)
        return Present(ServerState(None, not catalog.read_only, version=catalog.version))

    def plan_server(self, server, desired, observed):
        return ()

    async def create_or_update_server(self, server, changes, admin):
        return Done()

    async def update_admin_password(self, server, observed, admin):
        raise Rejected("", "ask acme")

    async def delete_server(self, server, observed, policy):
        return Done()

    async def endpoint(self, server, observed):
        return self._acme
'''


@pytest.fixture(scope="module")
def acme_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the package and take it away again."""
    site = tmp_path_factory.mktemp("site-packages")
    info = site / "acme_postgres-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-postgres\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hybridpg.backends]\nacme = acme_postgres:Acme\n")
    (site / "acme_postgres.py").write_text(SOURCE)
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    yield site
    sys.path.remove(str(site))
    sys.modules.pop("acme_postgres", None)


@dataclass
class AcmeHarness:
    """What the authors of the package write to run the checks."""

    pg: PgServer
    backend: Backend
    provisions: bool = False

    async def server(self, *, fresh: bool = False) -> ServerCase:
        """Return the one server."""
        owner = Owner("cluster", str(uuid.uuid4()), "team", "big")
        spec = ServerSpec.model_validate({"credentialsSecret": "login"})
        login = Credentials(SUPERUSER, Password(self.pg.password))
        return ServerCase(ServerRef(owner, "team-big"), spec, login)

    async def settle(self, retry_after: float) -> None:
        """Wait as long as their patience lasts."""
        await asyncio.sleep(min(retry_after, 0.04))

    async def disrupt(self, case: ServerCase) -> bool:
        """Leave the one big server alone."""
        return False

    async def restore(self, case: ServerCase) -> None:
        """Do nothing: it was never stopped."""


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.__name__)
async def test_a_third_partys_backend_passes_the_checks(
    check: Check, pg: PgServer, acme_package: Path
):
    """N4."""
    factory = registry.factory("acme")
    options = factory.options.model_validate(
        {"port": pg.port, "password": pg.password, "ca": pg.ca}
    )
    backend = factory(BackendContext("acme", options, SecretKube(), "cluster"))
    try:
        await check(AcmeHarness(pg, backend))
    except NotApplicable:
        # what concerns databases applies to everybody whose server can be stopped
        assert check.__module__.endswith("_server_checks") or "unreachable" in check.__name__
    finally:
        await backend.close()


def test_the_package_is_listed_beside_ours(acme_package: Path):
    assert {"acme", "external", "local"} <= set(registry.available())
