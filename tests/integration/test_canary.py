"""No password in any log, event or status, at the most talkative level there is."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
import yaml
from tests.fix_product import local_config
from tests.product import database, home_folder, server

from hybridpg.app import Config, run_operator
from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    SECRETS,
    Client,
    JsonObject,
    MergePatch,
    NotFound,
    ObjectKey,
    Resource,
)
from hybridpg.controller.testing import FakeCluster
from hybridpg.crds.manifest import crd_yaml

pytestmark = pytest.mark.postgres

APP, SERVER = ObjectKey("default", "app"), ObjectKey("default", "pg")
SLOW_SECONDS = 0.25
"""A callback of ours that holds the loop for longer would delay everybody; ten times that is seen
on a machine that does other work, so that only what blocks by design is caught."""


@asynccontextmanager
async def operator() -> AsyncIterator[tuple[Client, FakeCluster]]:
    """The operator with real PostgreSQL over a cluster in memory."""
    cluster = FakeCluster()
    client = Client(cluster)
    for document in yaml.safe_load_all(crd_yaml()):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, document)
    with home_folder() as home:
        config = Config.model_validate(local_config(home))
        stop = asyncio.Event()
        # the operator closes its transport, and the test still reads: it gets a view of its own
        running = asyncio.create_task(run_operator(config, _Shared(cluster), stop))
        try:
            yield client, cluster
        finally:
            stop.set()
            await running


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


async def test_a_life_at_debug_level_shows_no_password(caplog: pytest.LogCaptureFixture):
    """H9: creation, reset, a lost and an edited Secret; asyncio and libraries talk as well."""
    caplog.set_level(logging.DEBUG)
    seen: set[str] = set()

    async def collect(client: Client) -> dict[str, str]:
        values: dict[str, str] = {}
        for name in ("pg-login", "app-login"):
            values = await secret_values(client, name)
            seen.update(values[k] for k in ("password", "next-password") if k in values)
        return values

    with structlog.testing.capture_logs() as own:
        async with operator() as (client, _):
            for kind, document in ((SERVERS, server("pg")), (DATABASES, database("app", "pg"))):
                await client.create(kind, document, namespace="default")
            await until(lambda: is_ready(client, DATABASES, APP))
            old = (await collect(client))["password"]
            reset = {"metadata": {"labels": {"operator/action": "reset-password"}}}
            await client.patch(DATABASES, APP, MergePatch(reset))

            async def changed() -> bool:
                return (await collect(client)).get("password") != old

            await until(changed)
            await until(lambda: is_ready(client, DATABASES, APP))
            visible = await everything(client)
    assert len(seen) >= 3
    text = visible + caplog.text + str(own)
    assert "app" in text
    for password in seen:
        assert password not in text
        assert base64.b64encode(password.encode()).decode() not in text


async def test_nothing_holds_the_loop(caplog: pytest.LogCaptureFixture):
    """D51: asyncio itself reports what blocks, while servers and databases are made."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = SLOW_SECONDS
    caplog.set_level(logging.WARNING, logger="asyncio")
    try:
        async with operator() as (client, _):
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
