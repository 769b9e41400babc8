"""Two operators on one cluster and one target: they never do a thing twice, nor undo each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.unit.controller.elections import Line

from hybridpg.app import Backends, install
from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.backends import Change, Credentials, DatabaseRef, Outcome
from hybridpg.backends.values import ServerRef
from hybridpg.controller import Client, LeaseConfig, LeaseLost, Manager

from .memory import MemoryBackend
from .world import World

pytestmark = pytest.mark.virtual_time

LEASE = LeaseConfig("default", "hybridpg")
HANG_SECONDS = 60.0
"""Far more than a lease lasts: the call is in flight when it is lost."""


@dataclass
class Calls:
    """When each operator began a call that changes the target, and which were cut short."""

    begun: list[tuple[str, float, str]] = field(default_factory=list)
    cut: list[tuple[str, float]] = field(default_factory=list)

    def of(self, who: str) -> list[float]:
        return [at for name, at, _ in self.begun if name == who]


class WatchedBackend(MemoryBackend):
    """Notes who calls when; the first operator's ``hanging`` call stays in flight."""

    def __init__(self, world: World, who: str, calls: Calls, hanging: str) -> None:
        super().__init__(world.target)
        self.who, self.calls, self.hanging = who, calls, hanging

    async def _note(self, call: str) -> None:
        loop = asyncio.get_running_loop()
        self.calls.begun.append((self.who, loop.time(), call))
        if call != self.hanging or self.who != "first":
            return
        try:
            await asyncio.sleep(HANG_SECONDS)
        except asyncio.CancelledError:
            self.calls.cut.append((call, loop.time()))
            raise

    async def create_or_update_server(
        self, server: ServerRef, changes: tuple[Change, ...], admin: Credentials
    ) -> Outcome:
        await self._note("create_or_update_server")
        return await super().create_or_update_server(server, changes, admin)

    async def create_or_update_user(self, database: DatabaseRef, role: Credentials) -> Outcome:
        await self._note("create_or_update_user")
        return await super().create_or_update_user(database, role)

    async def create_or_update_database(
        self, database: DatabaseRef, changes: tuple[Change, ...]
    ) -> Outcome:
        await self._note("create_or_update_database")
        return await super().create_or_update_database(database, changes)

    async def update_user_password(self, database: DatabaseRef, role: Credentials) -> Outcome:
        await self._note("update_user_password")
        return await super().update_user_password(database, role)


@dataclass
class Replica:
    line: Line
    task: asyncio.Task[None]
    stop: asyncio.Event


@asynccontextmanager
async def replica(
    world: World, who: str, calls: Calls, hanging: str = ""
) -> AsyncIterator[Replica]:
    """Run one more operator, behind a line of its own."""
    line = Line(world.cluster)
    manager = Manager(Client(line), leader_election=LEASE, close_client=False)
    backend = WatchedBackend(world, who, calls, hanging)
    install(
        manager,
        world.config,
        Backends(world.config, {"memory": backend}, "cluster-1"),
        login=world.target.login,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(manager.run(stop), name=f"operator {who}")
    try:
        yield Replica(line, task, stop)
    finally:
        stop.set()
        line.trouble = ""
        await asyncio.gather(task, return_exceptions=True)


CALLS = ("create_or_update_server", "create_or_update_user", "create_or_update_database")


@pytest.mark.parametrize("hanging", CALLS)
async def test_after_the_lease_is_lost_nothing_external_is_begun(hanging: str):
    """Invariants 9 and 10: what is in flight is cut, and the other one makes each thing once."""
    world, calls = World(), Calls()
    await world.prepare()
    loop = asyncio.get_running_loop()
    async with replica(world, "first", calls, hanging) as first:
        await asyncio.sleep(5)  # it leads
        await world.server()
        await world.database()

        async def in_flight() -> bool:
            return any(call == hanging for _, _, call in calls.begun)

        await world.until(in_flight)
        async with replica(world, "second", calls):
            await asyncio.sleep(5)
            first.line.trouble = "hang"
            silent = loop.time()
            with pytest.raises(LeaseLost):
                await first.task
            ((call, lost),) = calls.cut
            assert call == hanging
            assert lost - silent <= LEASE.renew_deadline
            await world.ready(DATABASES, "app")
            await asyncio.sleep(2 * HANG_SECONDS)

    assert max(calls.of("first")) <= lost
    assert min(calls.of("second")) >= lost
    assert world.target.calls["create_or_update_server"] == 1
    assert world.target.calls["create_or_update_database"] == 1
    server = world.target.servers["team-pg"]
    assert list(world.target.servers) == ["team-pg"]
    assert server.roles["app"].verifier_changes == 0
    assert (await world.secret("app-login"))["password"] == server.roles["app"].password


async def test_a_reset_that_one_began_is_ended_by_the_other_with_one_new_password():
    """Invariant 9: the staged password is the one that both mean."""
    world, calls = World(), Calls()
    await world.prepare()
    async with replica(world, "first", calls, "update_user_password") as first:
        await asyncio.sleep(5)
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        old = (await world.secret("app-login"))["password"]
        await world.reset(DATABASES, "app")

        async def staged() -> bool:
            return "next-password" in await world.secret("app-login")

        await world.until(staged)
        meant = (await world.secret("app-login"))["next-password"]
        async with replica(world, "second", calls):
            await asyncio.sleep(5)
            first.line.trouble = "hang"
            with pytest.raises(LeaseLost):
                await first.task

            async def done() -> bool:
                return (await world.secret("app-login"))["password"] != old

            await world.until(done)
            await asyncio.sleep(2 * HANG_SECONDS)

    role = world.target.servers["team-pg"].roles["app"]
    assert (await world.secret("app-login"))["password"] == meant == role.password
    assert role.verifier_changes == 1


async def test_one_replica_waits_while_the_other_works():
    """Invariant 9, D77: no two of them ever act at the same time."""
    world, calls = World(), Calls()
    await world.prepare()
    busy = "create_or_update_server"  # it hangs for a minute: whoever else leads would begin it
    async with replica(world, "first", calls, busy), replica(world, "second", calls):
        await asyncio.sleep(5)
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        await world.ready(SERVERS, "pg")
        await asyncio.sleep(1800)

    assert len({who for who, _, _ in calls.begun}) == 1
    assert world.target.calls["create_or_update_server"] == 1
