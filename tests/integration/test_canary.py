"""No password anywhere but in its Secret, at the most talkative level that there is.

Looked for in logs, events, status and annotations, spans, metrics and health checks, in the
arguments and the environment of every process that is started, in every file that the backend
keeps, and in what PostgreSQL itself writes to its log with ``log_statement = all``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
import yaml
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.fix_product import local_config
from tests.product import database, home_folder, server

from hybridpg.app import Config, run_operator
from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    SECRETS,
    Address,
    Client,
    JsonObject,
    MergePatch,
    NotFound,
    ObjectKey,
    Resource,
)
from hybridpg.controller.testing import FakeCluster
from hybridpg.controller.tracing import Tracing
from hybridpg.crds.manifest import crd_yaml

pytestmark = pytest.mark.postgres

APP, SERVER = ObjectKey("default", "app"), ObjectKey("default", "pg")
LOGIN = ObjectKey("default", "app-login")
SLOW_SECONDS = 0.25
"""A callback of ours that holds the loop for longer would delay everybody; ten times that is seen
on a machine that does other work, so that only what blocks by design is caught."""


@dataclass
class Running:
    """The operator while it runs, and what can be seen of it from outside."""

    client: Client
    home: Path
    port: int
    spans: InMemorySpanExporter
    processes: set[str] = field(default_factory=set)

    async def pages(self) -> str:
        """What is served to probes and to Prometheus."""
        paths = ("/metrics", "/healthz?verbose", "/readyz?verbose")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as session:
            answers = [await session.get(path) for path in paths]
            assert all(answer.status == 200 for answer in answers)
            return "".join([await answer.text() for answer in answers])

    def files(self) -> str:
        """Everything that the backend keeps, the logs of PostgreSQL included; not its own data."""
        found = []
        for path in self.home.rglob("*"):
            if path.is_file() and "data" not in path.relative_to(self.home).parts:
                with contextlib.suppress(FileNotFoundError):  # a lock or a file that is replaced
                    found.append(path.read_bytes().decode(errors="replace"))
        return "".join(found)

    async def look_at_processes(self) -> None:
        """Collect arguments and environment of what works below our folder, until cancelled."""
        while True:
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    arguments = (process / "cmdline").read_text(errors="replace")
                    environment = (process / "environ").read_text(errors="replace")
                    if str(self.home) in arguments + environment:
                        self.processes.add(arguments + environment)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def operator(*, watched: bool = True) -> AsyncIterator[Running]:
    """The operator with real PostgreSQL over a cluster in memory; ``watched`` are its children."""
    cluster = FakeCluster()
    client = Client(cluster)
    for document in yaml.safe_load_all(crd_yaml()):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, document)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with home_folder() as home:
        made = Running(client, home, port, exporter)
        config = Config.model_validate(local_config(home))
        stop = asyncio.Event()
        # the operator closes its transport, and the test still reads: it gets a view of its own
        running = asyncio.create_task(
            run_operator(
                config,
                _Shared(cluster),
                stop,
                health=Address("127.0.0.1", port),
                tracing=Tracing(provider),
            )
        )
        looking = asyncio.create_task(made.look_at_processes())
        if not watched:
            looking.cancel()
        try:
            yield made
        finally:
            looking.cancel()
            stop.set()
            await running
            await asyncio.wait({looking})
            provider.shutdown()


class _Shared:
    """The cluster as a transport that outlives one of its users."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.request = cluster.request
        self.stream = cluster.stream

    async def close(self) -> None:
        """Leave the cluster to its other user."""
        await asyncio.sleep(0)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await check():
            await asyncio.sleep(0.04)


async def is_ready(client: Client, kind: Resource, key: ObjectKey) -> bool:
    status = (await client.get(kind, key)).get("status") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or []}
    return conditions.get("Ready") == "True"


async def secret_values(client: Client, name: str) -> dict[str, str]:
    try:
        found = await client.get(SECRETS, ObjectKey("default", name))
    except NotFound:
        return {}
    data = found.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


async def everything(client: Client) -> str:
    """All that people without the right to read Secrets may see."""
    objects: list[JsonObject] = [
        await client.get(SERVERS, SERVER),
        await client.get(DATABASES, APP),
    ]
    events = await client.list(EVENTS, namespace="default")
    return str(objects) + str([item.decode() for item in events.items])


class Life:
    """What a user does with a server and a database, and each password that there is meanwhile."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.passwords: set[str] = set()

    async def begin(self) -> None:
        """Create both, with a server that logs all that it is asked."""
        talkative = {"log_statement": "all", "log_min_duration_statement": "0"}
        made = server("pg", serverParameters=talkative)
        await self._client.create(SERVERS, made, namespace="default")
        await self._client.create(DATABASES, database("app", "pg"), namespace="default")
        await until(lambda: is_ready(self._client, DATABASES, APP))

    async def reset(self, kind: Resource, key: ObjectKey, secret: str) -> None:
        """Ask for a new password."""
        old = (await self._look(secret))["password"]
        await self._label(kind, key, "operator/action", "reset-password")
        await self._changed(secret, old)

    async def edit_secret(self, password: str) -> None:
        """Write a password into the Secret of the database."""
        await self._look("app-login")
        self.passwords.add(password)
        encoded = base64.b64encode(password.encode()).decode()
        await self._client.patch(SECRETS, LOGIN, MergePatch({"data": {"password": encoded}}))
        await self._label(DATABASES, APP, "look", "again")
        await until(lambda: settled(self._client, password))

    async def lose_secret(self, password: str) -> None:
        """Delete the Secret of the database, which holds a password."""
        await self._client.delete(SECRETS, LOGIN)
        await self._label(DATABASES, APP, "look", "3")
        await self._changed("app-login", password)

    async def end(self) -> None:
        """Delete both, with all that they stand for."""
        for kind, key in ((DATABASES, APP), (SERVERS, SERVER)):
            await self._client.patch(kind, key, MergePatch({"spec": {"deletionPolicy": "Delete"}}))
            await self._client.delete(kind, key)
        await until(lambda: is_gone(self._client, SERVERS, SERVER))

    async def _label(self, kind: Resource, key: ObjectKey, label: str, value: str) -> None:
        await self._client.patch(kind, key, MergePatch({"metadata": {"labels": {label: value}}}))

    async def _look(self, secret: str) -> dict[str, str]:
        values = await secret_values(self._client, secret)
        self.passwords |= {values[k] for k in ("password", "next-password") if k in values}
        return values

    async def _changed(self, secret: str, old: str) -> None:
        async def differs() -> bool:
            return (await self._look(secret)).get("password", old) != old

        await until(differs)
        await until(lambda: is_ready(self._client, DATABASES, APP))


async def test_a_life_at_debug_level_shows_no_password(caplog: pytest.LogCaptureFixture):
    """H9, D12: from creation over resets, lost and edited Secrets to deletion, all at once."""
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as own:
        async with operator() as made:
            life = Life(made.client)
            await life.begin()
            await life.reset(DATABASES, APP, "app-login")
            await life.reset(SERVERS, SERVER, "pg-login")
            await life.edit_secret("Edited-by-hand-0123456789")
            await life.lose_secret("Edited-by-hand-0123456789")
            visible = {
                "objects and events": await everything(made.client),
                "metrics and health": await made.pages(),
                "files": made.files(),
            }
            await life.end()
    visible |= {
        "logs": caplog.text + str(own),
        "processes": "".join(made.processes),
        "spans": "".join(span.to_json() for span in made.spans.get_finished_spans()),
    }
    assert len(life.passwords) >= 6
    assert "rest_client_requests_total" in visible["metrics and health"]
    assert "statement:" in visible["files"], "the log of PostgreSQL is there, and it talks"
    assert "postgresqldatabase" in visible["spans"]
    assert "postgres" in visible["processes"]
    assert "app" in visible["logs"]
    for place, text in visible.items():
        for password in life.passwords:
            assert password not in text, place
            assert base64.b64encode(password.encode()).decode() not in text, place


async def settled(client: Client, password: str) -> bool:
    """Whether a password that somebody wrote into the Secret is everywhere in it."""
    values = await secret_values(client, "app-login")
    return password in values.get("uri", "") and await is_ready(client, DATABASES, APP)


async def is_gone(client: Client, kind: Resource, key: ObjectKey) -> bool:
    """Whether an object is gone."""
    try:
        await client.get(kind, key)
    except NotFound:
        return True
    return False


async def test_nothing_holds_the_loop(caplog: pytest.LogCaptureFixture):
    """D51: asyncio itself reports what blocks, while servers and databases are made."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = SLOW_SECONDS
    caplog.set_level(logging.WARNING, logger="asyncio")
    try:
        async with operator(watched=False) as made:
            client = made.client
            documents: list[tuple[Resource, dict[str, Any]]] = [(SERVERS, server("pg"))]
            documents += [(DATABASES, database(f"app-{n}", "pg")) for n in range(5)]
            for kind, document in documents:
                await client.create(kind, document, namespace="default")
            for number in range(5):
                key = ObjectKey("default", f"app-{number}")
                await until(lambda key=key: is_ready(client, DATABASES, key))  # type: ignore[misc]
    finally:
        loop.set_debug(False)
    said = [r.getMessage() for r in caplog.records if r.name == "asyncio" and "took" in r.message]
    # the cluster is in this process, and what this test asks of it is not the product's time
    assert [each for each in said if "test_nothing_holds_the_loop() running" not in each] == []
