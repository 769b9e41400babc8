"""The world in which thousands of databases are measured: one real PostgreSQL, a real API server.

A hundred teams share the server; other servers accept connections and never answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.fix_postgres import PgServer

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    SECRETS,
    AiohttpTransport,
    Client,
    Informer,
    KubeObject,
    NotFound,
    ObjectKey,
    Resource,
    load_kubeconfig,
)
from hybridpg.crds.manifest import crd_yaml

from .real import running
from .site import Controller, controller, folder, hung_servers, postgres, service_account

TEAMS = 100
HUNG = 50
WRITERS = 16
LONGEST = 1_800.0
LOOK_SECONDS = 0.01
"""Between two looks at what there is; an edit takes some ten times as long."""


def log(text: str) -> None:
    """Say on stderr where a run of minutes is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def key_of(number: int) -> ObjectKey:
    """A database, dealt out to the teams; its name is its own on the server."""
    return ObjectKey(f"team-{number % TEAMS}", f"db-{number}")


def document(kind: Resource, key: ObjectKey, spec: dict[str, Any]) -> dict[str, Any]:
    """An object with a Secret named after it."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {"credentialsSecret": f"{key.name}-login", **spec},
    }


class View:
    """What an informer shows of the databases: which are Ready, and up to which generation."""

    def __init__(self, client: Client) -> None:
        self.ready: set[ObjectKey] = set()
        self.shown: set[ObjectKey] = set()
        self.observed: dict[ObjectKey, int] = {}
        self.last = 0.0
        self._informer = Informer(client, DATABASES)
        self._informer.add_handler(self)

    async def follow(self) -> None:
        """Follow until cancelled."""
        await self._informer.run()

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        """Take note of a database that is there."""
        self._see(obj)

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        """Take note of what has become of a database."""
        self._see(new)

    def on_delete(self, obj: KubeObject) -> None:
        """Forget a database."""
        self.ready.discard(obj.key)
        self.shown.discard(obj.key)

    def _see(self, obj: KubeObject) -> None:
        key, status = obj.key, obj.decode().get("status") or {}
        conditions = {c["type"]: c["status"] for c in status.get("conditions") or []}
        if "Ready" in conditions:
            self.shown.add(key)
        if conditions.get("Ready") == "True":
            self.ready.add(key)
        self.observed[key] = status.get("observedGeneration", -1)
        self.last = time.monotonic()

    async def until(self, what: str, check: Callable[[], bool], seconds: float = LONGEST) -> None:
        """Wait until ``check`` holds, to within :data:`LOOK_SECONDS`."""
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
            await asyncio.sleep(LOOK_SECONDS)


@dataclass
class Scene:
    """Everything that runs."""

    client: Client
    pg: PgServer
    controller: Controller
    view: View


async def write_all(client: Client, kind: Resource, objects: Iterable[dict[str, Any]]) -> None:
    """Create objects, some at a time, as tools do."""
    left = iter(objects)

    async def write() -> None:
        for obj in left:
            await client.create(kind, obj, namespace=obj["metadata"].get("namespace", ""))

    await asyncio.gather(*(write() for _ in range(WRITERS)))


async def furnish(client: Client, pg: PgServer, hung: list[int]) -> None:
    """Install the kinds, make the namespaces, and a server in each."""
    for each in yaml.safe_load_all(crd_yaml()):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, each)
    teams = [f"team-{number}" for number in range(TEAMS)]
    names = ["platform", *teams, *(f"hung-{number}" for number in range(len(hung)))]
    body = {"apiVersion": "v1", "kind": "Namespace"}
    await write_all(client, NAMESPACES, [{**body, "metadata": {"name": name}} for name in names])
    values = {"username": "postgres", "password": pg.password, "ca.crt": pg.ca}
    admin = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "admin", "namespace": "platform"},
        "stringData": values,
    }
    await client.create(SECRETS, admin, namespace="platform")
    while True:
        with contextlib.suppress(NotFound):
            await client.list(DATABASES, limit=1)
            break
        await asyncio.sleep(0.1)
    await write_all(client, SERVERS, [_server(team, "main") for team in teams])
    stuck = [f"hung-{number}" for number in range(len(hung))]
    await write_all(client, SERVERS, [_server(name, name) for name in stuck])
    await write_all(client, DATABASES, [database(ObjectKey(name, name)) for name in stuck])


def _server(namespace: str, name: str) -> dict[str, Any]:
    spec = {"backendOptions": {"server": name}}
    return document(SERVERS, ObjectKey(namespace, "pg"), spec)


def database(key: ObjectKey, server: str = "pg") -> dict[str, Any]:
    """A database on a server of its namespace."""
    return document(DATABASES, key, {"serverRef": {"name": server}})


def config_of(pg: PgServer, hung: list[int]) -> dict[str, Any]:
    """One server for all teams, and the ones that hang, each for a team of its own."""
    common = {"secret": "platform/admin", "host": "127.0.0.1"}
    servers = {"main": {**common, "port": pg.port, "allowed_namespaces": ["team-*"]}}
    for number, port in enumerate(hung):
        name = f"hung-{number}"
        servers[name] = {**common, "port": port, "allowed_namespaces": [name]}
    return {"backend": "external", "backends": {"external": {"servers": servers}}}


@asynccontextmanager
async def scene(databases: int) -> AsyncIterator[Scene]:
    """Run everything; what is in it goes with it."""
    with (
        folder(databases) as place,
        postgres(place) as pg,
        hung_servers(HUNG) as hung,
        running() as state,
    ):
        admin = state / "admin.kubeconfig"
        kubectl = _kubectl()
        account = service_account(kubectl, admin, place)
        transport = AiohttpTransport(await load_kubeconfig(admin))
        client = Client(transport)
        view = View(client)
        server = yaml.safe_load(admin.read_text())["clusters"][0]["cluster"]["server"]
        await furnish(client, pg, hung)
        following = asyncio.create_task(view.follow())
        try:
            with controller(place, config_of(pg, hung), server, account) as made:
                yield Scene(client, pg, made, view)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await client.close()


def _kubectl() -> Path:
    assets = os.environ.get("KUBEBUILDER_ASSETS") or os.environ.get("TESTENV_BIN")
    return Path(assets or Path.home() / ".cache/hybridpg/testenv/bin") / "kubectl"
