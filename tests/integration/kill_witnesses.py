"""Who sees what a killed controller must not change: passwords, processes, oids, rows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tests.controller_process import Controller
from tests.fix_operator import Stage, decoded

from hybridpg.controller import SECRETS


@pytest.fixture
async def controller(stage: Stage) -> AsyncIterator[Controller]:
    """A controller that is not started yet."""
    async with Controller(stage) as made:
        yield made


class History:
    """Every version of every Secret of the namespace, as the API server tells them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._versions: dict[str, list[dict[str, str]]] = {}
        self._newest: dict[str, str] = {}

    async def follow(self) -> None:
        """Watch for ever."""
        client, namespace = self._stage.client, self._stage.namespace
        page = await client.list(SECRETS, namespace=namespace)
        watch = client.watch(
            SECRETS,
            namespace=namespace,
            resource_version=page.resource_version,
            timeout_seconds=600,
            bookmarks=False,
        )
        async for lines in watch:
            for line in lines:
                self._note(json.loads(line))
        raise AssertionError("the watch of the Secrets ended")

    def _note(self, event: dict[str, object]) -> None:
        assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event["type"]
        secret = event["object"]
        assert isinstance(secret, dict)
        name = secret["metadata"]["name"].removesuffix("-login")
        self._newest[name] = secret["metadata"]["resourceVersion"]
        if event["type"] != "DELETED":
            self._versions.setdefault(name, []).append(decoded(secret))

    async def passwords(self, name: str) -> list[str]:
        """Return every password that the Secret of an object ever published, oldest first."""
        secret = await self._stage.client.get(SECRETS, self._stage.key(f"{name}-login"))

        async def complete() -> bool:
            newest: str = secret["metadata"]["resourceVersion"]
            return self._newest.get(name) == newest

        await self._stage.until(complete, f"the watch misses secret {name}", 10)
        published = [version["password"] for version in self._versions[name]]
        return list(dict.fromkeys(published))


@pytest.fixture
async def history(stage: Stage) -> AsyncIterator[History]:
    """What the Secrets held at any time from now on."""
    made = History(stage)
    following = asyncio.create_task(made.follow(), name="history of the secrets")
    yield made
    assert not following.done(), following
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


@dataclass
class Witness:
    """What was there once and must never be another."""

    stage: Stage
    processes: dict[str, int] = field(default_factory=dict)
    oids: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: set[str] = field(default_factory=set)
    """The databases into which a row was written."""

    async def look(self) -> None:
        """Compare with what was seen earlier, and remember what is new."""
        for folder, pid in self.stage.processes().items():
            assert self.processes.setdefault(folder, pid) == pid, f"{folder} was started again"
        for home in self.stage.homes():
            if home.root.name not in self.processes:
                continue
            rows = await self.stage.inspect(
                home, "SELECT datname, oid::int FROM pg_database WHERE NOT datistemplate"
            )
            found = {(home.root.name, str(name)): int(oid) for name, oid in rows}
            for key, oid in self.oids.items():
                assert key[0] != home.root.name or found.get(key) == oid, f"{key} was made again"
            self.oids |= found

    async def write_row(self, name: str) -> None:
        """Write a row into a database, over its Secret."""
        async with await self.stage.connect(await self.stage.login(name)) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        self.rows.add(name)

    async def check_rows(self) -> None:
        """Read every row again, over the Secrets as they are now."""
        for name in self.rows:
            async with await self.stage.connect(await self.stage.login(name)) as connection:
                cursor = await connection.execute("SELECT value FROM kept")
                assert await cursor.fetchone() == (42,), name
