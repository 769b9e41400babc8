"""The whole operator: objects on a real API server, real servers of the backend ``local``.

A ``Stage`` is a namespace with a folder for the servers. Controllers come and go on it, in this
process or as processes of their own; what users see (objects, Secrets, logins) and what they do
not (marks, process ids) is read past the controller.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.fix_local import LocalSite, local_folder
from tests.fix_testenv import TestEnv
from tests.requirements import require

from hybridpg.backends.local.account import resolve
from hybridpg.backends.local.installations import Installations
from hybridpg.backends.local.layout import Home, Layout
from hybridpg.backends.local.process import postmaster
from hybridpg.backends.local.record import load
from hybridpg.controller import SECRETS, Client, JsonObject, MergePatch, NotFound, ObjectKey
from hybridpg.controller.types import Resource
from hybridpg.crds import GROUP, VERSION

SERVERS = Resource(GROUP, VERSION, "postgresqlservers", "PostgreSQLServer")
DATABASES = Resource(GROUP, VERSION, "postgresqldatabases", "PostgreSQLDatabase")
LOOK_SECONDS = 0.05
READY_SECONDS = 60.0
CLUSTER = "test-cluster"


@dataclass
class Stage:
    """A namespace, and the folder where its servers live."""

    env: TestEnv
    client: Client
    namespace: str
    site: LocalSite
    authorities: dict[str, Path] = field(default_factory=dict)
    """Files with the CAs of Secrets: libpq reads no other form."""

    @property
    def path(self) -> Path:
        """Where the backend keeps everything."""
        return self.site.path / "site"

    def config(self) -> dict[str, Any]:
        """Return the configuration of a controller that looks at this namespace alone."""
        local = {"path": str(self.path), "ports": self.site.ports}
        # who takes over from a killed controller would wait for its lease: tests have no time
        lease = {"enabled": False}
        controller = {
            "cluster_id": CLUSTER,
            "watch_namespaces": [self.namespace],
            "lease": lease,
        }
        return {"backend": "local", "backends": {"local": local}, "controller": controller}

    def server(self, name: str, **spec: Any) -> JsonObject:
        """Return the manifest of a server."""
        return self._object(SERVERS, name, {"size": {"storageGB": 1}, **spec})

    def database(self, name: str, server: str, **spec: Any) -> JsonObject:
        """Return the manifest of a database."""
        return self._object(DATABASES, name, {"serverRef": {"name": server}, **spec})

    def _object(self, kind: Resource, name: str, spec: dict[str, Any]) -> JsonObject:
        return {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"credentialsSecret": f"{name}-login", **spec},
        }

    async def create(self, *objects: JsonObject) -> None:
        """Create objects, as ``kubectl apply`` does."""
        kinds = {SERVERS.kind: SERVERS, DATABASES.kind: DATABASES}
        await asyncio.gather(
            *(self.client.create(kinds[o["kind"]], o, namespace=self.namespace) for o in objects)
        )

    async def objects(self, kind: Resource) -> dict[str, JsonObject]:
        """Return the objects of a kind by name."""
        page = await self.client.list(kind, namespace=self.namespace)
        return {obj.name: obj.decode() for obj in page.items}

    async def patch(self, kind: Resource, name: str, body: JsonObject) -> JsonObject:
        """Change an object, as ``kubectl patch`` does."""
        return await self.client.patch(kind, self.key(name), MergePatch(body))

    async def delete(self, kind: Resource, name: str) -> None:
        """Begin the deletion of an object."""
        await self.client.delete(kind, self.key(name))

    def key(self, name: str) -> ObjectKey:
        """Return the key of an object."""
        return ObjectKey(self.namespace, name)

    async def until(self, condition: Callable[[], Any], what: str, seconds: float) -> None:
        """Look until an awaited condition holds; looks that cost much are made less often."""
        began = time.monotonic()
        while True:
            look = time.monotonic()
            if await condition():
                return
            now = time.monotonic()
            assert now < began + seconds, f"{what}: {await self.explain()}"
            await asyncio.sleep(max(LOOK_SECONDS, 10 * (now - look)))

    async def ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Wait until every object is Ready and nothing is under way on any."""

        async def settled() -> bool:
            found = [*(await self.objects(SERVERS)).values()]
            found += (await self.objects(DATABASES)).values()
            return all(is_settled(obj) for obj in found)

        await self.until(settled, "not everything gets ready", seconds)

    async def gone(self, kind: Resource, names: Iterable[str], seconds: float = 60) -> None:
        """Wait until objects are gone."""
        expected = set(names)

        async def absent() -> bool:
            return not expected & (await self.objects(kind)).keys()

        await self.until(absent, f"{kind.plural} do not go", seconds)

    async def explain(self) -> str:
        """Say where the objects that are not Ready stand."""
        lines = []
        for kind in (SERVERS, DATABASES):
            for name, obj in (await self.objects(kind)).items():
                if not is_settled(obj):
                    conditions = (obj.get("status") or {}).get("conditions") or []
                    said = [f"{c['type']}={c['status']} {c['message']}" for c in conditions]
                    lines.append(f"{name}: {'; '.join(said) or 'no status'}")
        return f"{len(lines)} objects, among them\n" + "\n".join(lines[:10])

    async def login(self, name: str) -> dict[str, str]:
        """Return what the Secret of an object publishes."""
        return decoded(await self.client.get(SECRETS, self.key(f"{name}-login")))

    async def connect(
        self, login: dict[str, str], **other: Any
    ) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        """Log in with what a Secret holds, as an application does; ``other`` differs from it."""
        values: dict[str, Any] = {
            "host": login["host"],
            "port": login["port"],
            "dbname": login["dbname"],
            "user": login["username"],
            "password": login["password"],
            "sslmode": login["sslmode"],
            "sslrootcert": str(self._authority(login["ca.crt"])),
            "application_name": "application",
            "connect_timeout": 10,
        }
        return await psycopg.AsyncConnection.connect(**{**values, **other}, autocommit=True)

    async def logs_in(self, login: dict[str, str], **other: Any) -> bool:
        """Return whether a login works; raises where the server does not answer."""
        try:
            connection = await self.connect(login, **other)
        except psycopg.OperationalError as error:
            if any(text in str(error) for text in ("authentication failed", "permission denied")):
                return False
            raise
        await connection.close()
        return True

    def homes(self) -> list[Home]:
        """Return the folders of all servers."""
        layout = Layout(self.path)
        return [layout.home(name) for name in layout.names()]

    def home(self, server: str) -> Home:
        """Return the folder of the server of an object."""
        return Layout(self.path).home(f"{self.namespace}-{server}")

    def processes(self) -> dict[str, int]:
        """Return the main processes of the servers that answer, by folder."""
        found = {home.root.name: postmaster(home.data) for home in self.homes()}
        return {name: main.pid for name, main in found.items() if main and main.status == "ready"}

    async def inspect(
        self, home: Home, statement: str, dbname: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run a statement past the controller, by the certificate that the servers trust."""
        record = load(home)
        assert record is not None
        connection = await psycopg.AsyncConnection.connect(
            host="127.0.0.1",
            port=record.port,
            dbname=dbname,
            user="hybridpg",
            sslmode="require",
            sslcert=str(self.path / "ca" / "operator.crt"),
            sslkey=str(self.path / "ca" / "operator.key"),
            application_name="inspection",
            connect_timeout=10,
            autocommit=True,
        )
        async with connection:
            cursor = await connection.execute(sql.SQL(statement))
            return await cursor.fetchall() if cursor.description else []

    async def clear(self) -> None:
        """Remove what is left of the objects: no controller is there any more to do it."""
        for kind in (DATABASES, SERVERS):
            for name in await self.objects(kind):
                with contextlib.suppress(NotFound):
                    await self.delete(kind, name)
                    await self.patch(kind, name, {"metadata": {"finalizers": None}})

    def _authority(self, pem: str) -> Path:
        if pem not in self.authorities:
            path = self.site.path / f"authority-{len(self.authorities)}.crt"
            path.write_text(pem)
            self.authorities[pem] = path
        return self.authorities[pem]


def decoded(secret: JsonObject) -> dict[str, str]:
    """Return the values of a Secret."""
    return {k: base64.b64decode(v).decode() for k, v in (secret.get("data") or {}).items()}


def condition(obj: JsonObject, type_: str) -> str:
    """Return the status of a condition, or an empty string."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((str(c["status"]) for c in conditions if c["type"] == type_), "")


def is_settled(obj: JsonObject) -> bool:
    """Return whether an object is Ready as it is now, and nothing is asked for any more."""
    seen = (obj.get("status") or {}).get("observedGeneration")
    asked = (obj["metadata"].get("labels") or {}).get("operator/action")
    current = seen == obj["metadata"]["generation"] and not asked
    return current and condition(obj, "Ready") == "True" and not condition(obj, "Reconciling")


@pytest.fixture
async def stage(
    testenv: TestEnv, real_client: Client, namespace: str, installed_crds: None
) -> AsyncIterator[Stage]:
    """A namespace and a folder for servers, both emptied at the end."""
    require(Installations((), resolve(None)).offered(), "no PostgreSQL is installed")
    with local_folder() as site:
        made = Stage(testenv, real_client, namespace, site)
        yield made
        await made.clear()
