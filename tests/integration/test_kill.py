"""The controller is killed at any moment, and the next one goes on as if nothing had happened.

Servers and applications do not notice: the processes of PostgreSQL stay, what a Secret published
once stays the password, rows stay. Each test kills real processes, most of them exactly before or
after one of their writes to the API server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tests.controller_process import STOP_SECONDS, Controller, Kill
from tests.fix_operator import (
    DATABASES,
    LOOK_SECONDS,
    SERVERS,
    Stage,
    decoded,
    is_settled,
)

from hybridpg.backends.local.process import working_below
from hybridpg.controller import SECRETS

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]
RESET = {"metadata": {"labels": {"operator/action": "reset-password"}}}
RESET_WRITES = 6
"""Accepted in status, staged in the Secret, proven in the Secret, label off, closed, status."""


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


async def killed(stage: Stage, order: Kill, *, seconds: float = 60) -> None:
    """Wait until the kill has happened."""

    async def done() -> bool:
        return order.done.is_set()

    await stage.until(done, f"write {order.at} does not come", seconds)


async def killed_or_ready(stage: Stage, order: Kill) -> bool:
    """Wait until the controller is killed or has nothing left to do; return whether it lives."""
    settled = 0.0

    async def over() -> bool:
        nonlocal settled
        objects = [*(await stage.objects(SERVERS)).values()]
        objects += (await stage.objects(DATABASES)).values()
        if not all(map(is_settled, objects)):
            settled = 0.0
        settled = settled or time.monotonic()
        quiet = settled and time.monotonic() - settled > 1.0  # a started one looks at all again
        return order.done.is_set() or bool(quiet and all(map(is_settled, objects)))

    await stage.until(over, "it neither dies nor gets ready", 60)
    return not order.done.is_set()


async def test_killed_all_through_the_first_creation_everything_is_made_once(
    stage: Stage, controller: Controller, history: History
) -> None:
    """H5, H18, P12: a dozen kills in a row; passwords, rows, oids and processes stay."""
    names = [f"db-{number:02}" for number in range(12)]
    await stage.create(
        stage.server("one"),
        stage.server("two"),
        *(stage.database(name, "one" if int(name[3:]) % 2 else "two") for name in names),
    )
    witness = Witness(stage)
    while True:
        controller.start()
        kills = controller.starts - 1
        # five writes further of about a hundred, on either side in turn
        order = controller.arm(5, committed=kills % 2 == 1)
        if await killed_or_ready(stage, order):
            break
        await witness.look()
        for name, obj in (await stage.objects(DATABASES)).items():
            if is_settled(obj) and not witness.rows:
                await witness.write_row(name)
    await witness.look()
    await witness.check_rows()

    assert kills >= 12
    assert witness.rows
    for name in (*names, "one", "two"):
        login = await stage.login(name)
        assert await history.passwords(name) == [login["password"]], name
        assert await stage.logs_in(login), name
    assert len(witness.oids) == len(names) + 2  # and the two of the name postgres


class Application:
    """Logs in all the time with what the Secret publishes, as a pool of an application does."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._name = name
        self.logins = 0

    async def work(self) -> None:
        """Log in again and again; one of the published passwords must always work."""
        while True:
            await self.once()
            self.logins += 1
            await asyncio.sleep(LOOK_SECONDS)  # leaves the processor to the controller

    async def once(self) -> None:
        """Log in once with one of the published passwords."""
        while True:
            before = await self._stage.login(self._name)
            passwords = [before[key] for key in ("password", "next-password") if key in before]
            for password in passwords:
                if await self._stage.logs_in(before, password=password):
                    return
            # only a Secret that changed between the look and the login excuses it
            assert await self._stage.login(self._name) != before, "no published password works"


@contextlib.asynccontextmanager
async def at_work(application: Application) -> AsyncIterator[None]:
    """Let the application work beside the block, and fail with it."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(application.work(), name="application")
        yield
        working.cancel()


async def test_killed_at_each_write_of_a_reset_the_password_changes_once(
    stage: Stage, controller: Controller, history: History
) -> None:
    """H9: one change for one label, and a published password works at every instant."""
    await stage.create(stage.server("one"), stage.database("app", "one"))
    controller.start()
    await stage.ready()
    witness = Witness(stage)
    await witness.look()
    await witness.write_row("app")
    for kind, name in ((SERVERS, "one"), (DATABASES, "app")):
        application = Application(stage, name)
        async with at_work(application):
            made = controller.made
            await stage.patch(kind, name, RESET)
            await stage.ready()
            await writes_are(controller, made + RESET_WRITES)
            for committed in (False, True):
                for write in range(1, RESET_WRITES + 1):
                    before = await history.passwords(name)
                    order = controller.arm(write, committed=committed)
                    await stage.patch(kind, name, RESET)
                    await killed(stage, order)
                    await application.once()
                    controller.start()
                    await stage.ready()
                    await reset_once(stage, history, name, before)
        assert application.logins > 0
    await witness.look()
    await witness.check_rows()


async def writes_are(controller: Controller, count: int) -> None:
    """The controller made so many writes; one that is refused as stale may still be under way."""

    async def as_many() -> bool:
        return controller.made == count

    await controller.stage.until(as_many, f"not {count} writes: {controller.writes}", 5)


async def reset_once(stage: Stage, history: History, name: str, before: list[str]) -> None:
    """The Secret published one more password than before, and it alone logs in."""
    login = await stage.login(name)
    assert await history.passwords(name) == [*before, login["password"]]
    assert "next-password" not in login
    assert await stage.logs_in(login)
    assert not await stage.logs_in(login, password=before[-1])


async def test_killed_through_deletions_nothing_is_left_behind_and_nothing_else_goes(
    stage: Stage, controller: Controller, history: History
) -> None:
    """H18: deletions asked for while nobody is there complete, by policy, over many kills."""
    gone = [f"gone-{number}" for number in range(3)]
    kept = [f"kept-{number}" for number in range(3)]
    await stage.create(
        stage.server("stays", deletionPolicy="Retain"),
        stage.server("goes", deletionPolicy="Delete"),
        *(stage.database(name, "stays", deletionPolicy="Delete") for name in gone),
        *(stage.database(name, "stays", deletionPolicy="Retain") for name in kept),
        stage.database("guest", "goes", deletionPolicy="Delete"),
    )
    controller.start()
    await stage.ready()
    controller.kill()
    witness = Witness(stage)
    for name in kept:
        await witness.write_row(name)
    stays, goes = stage.home("stays"), stage.home("goes")
    await stage.inspect(stays, "CREATE DATABASE stranger")
    await stage.inspect(stays, "CREATE ROLE stranger_role")
    logins = {name: await stage.login(name) for name in (*kept, "stays")}
    process = stage.processes()[stays.root.name]

    for kind, names in ((DATABASES, [*gone, *kept, "guest"]), (SERVERS, ["stays", "goes"])):
        for name in names:
            await stage.delete(kind, name)
    died = await until_all_are_gone(stage, controller)

    assert died >= 6
    databases = await stage.inspect(stays, "SELECT datname FROM pg_database WHERE oid > 16000")
    kept_names = {name.replace("-", "_") for name in kept}
    assert {name for (name,) in databases} == {*kept_names, "stranger"}
    roles = await stage.inspect(stays, "SELECT rolname FROM pg_roles WHERE oid > 16000")
    assert {name for (name,) in roles} - {"postgres"} == {*kept_names, "stranger_role"}
    marks = await stage.inspect(stays, MARKS)
    assert len(marks) == len(kept)
    assert all("retained" in mark for (mark,) in marks), marks
    for name, login in logins.items():
        secret = await stage.client.get(SECRETS, stage.key(f"{name}-login"))
        assert not secret["metadata"].get("ownerReferences")
        assert decoded(secret) == login
        assert await stage.logs_in(login)
    await witness.check_rows()
    assert stage.processes() == {stays.root.name: process}
    assert not goes.root.exists()
    assert not working_below(goes.root)
    assert not list((stage.path / "deleted").iterdir())


MARKS = """
SELECT shobj_description(oid, 'pg_authid') FROM pg_roles
WHERE rolname LIKE 'kept\\_%'
"""


async def until_all_are_gone(stage: Stage, controller: Controller) -> int:
    """Kill at ever later writes, on either side in turn, until no object is left; count.

    Each start says anew what it waits for, so that early kills alone might never let it end.
    """
    kills = 0
    while True:
        controller.start()
        order = controller.arm(2 + kills // 2, committed=kills % 2 == 1)

        async def over(order: Kill = order) -> bool:
            left = {**await stage.objects(SERVERS), **await stage.objects(DATABASES)}
            return order.done.is_set() or not left

        await stage.until(over, "the deletions do not end", 60)
        if not order.done.is_set():
            controller.kill()
            return kills
        kills += 1


STAGES_OF_A_BIRTH = {
    "initdb begins": "making",
    "initdb writes": "making/data/global/pg_control",
    "the data folder is complete": "data/PG_VERSION",
    "the server starts": "data/postmaster.pid",
}


async def test_killed_while_the_backend_makes_and_starts_a_server_it_is_made_once(
    stage: Stage, controller: Controller, history: History
) -> None:
    """The programs that the dead controller started are ended or taken over."""
    witness = Witness(stage)
    controller.start()
    for number, path in enumerate(STAGES_OF_A_BIRTH.values()):
        name = f"s{number}"
        await stage.create(stage.server(name), stage.database(f"on-{name}", name))
        while not (stage.home(name).root / path).exists():
            assert controller.process is not None
            assert controller.process.poll() is None, controller.log.read_text()
            await asyncio.sleep(0.001)
        controller.kill()
        controller.start()
        await stage.ready()
        await witness.look()
        await witness.write_row(f"on-{name}")
        assert not stage.home(name).making.exists()
    await witness.check_rows()
    assert len(witness.processes) == len(STAGES_OF_A_BIRTH)
    for name in [each for n in range(len(STAGES_OF_A_BIRTH)) for each in (f"s{n}", f"on-s{n}")]:
        login = await stage.login(name)
        assert await history.passwords(name) == [login["password"]]
        assert await stage.logs_in(login)


async def test_a_stop_ends_the_controller_in_time_and_leaves_the_servers_running(
    stage: Stage, controller: Controller
) -> None:
    """H18: exit code 0 in less than ten seconds, in the middle of the work too."""
    await stage.create(stage.server("one"))
    controller.start()
    await stage.ready()
    processes = stage.processes()

    await stops_in_time(controller)

    more = [stage.database(f"db-{number}", "one") for number in range(6)]
    await stage.create(stage.server("two"), *more)
    controller.start()
    while len(controller.writes) < 15:
        await asyncio.sleep(0.001)
    await stops_in_time(controller)
    assert processes.items() <= stage.processes().items()

    controller.start()
    await stage.ready()
    assert processes.items() <= stage.processes().items()


async def stops_in_time(controller: Controller) -> None:
    """The controller ends by itself, with success."""
    began = time.monotonic()
    assert await controller.stop() == 0, controller.log.read_text()
    assert time.monotonic() - began < STOP_SECONDS
