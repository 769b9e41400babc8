"""A statement of a replaced process that arrives late does nothing any more."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
from tests.faults.seam import Call, Trace
from tests.faults.wire import LETTER, Target, Turn, WireSeam
from tests.fix_postgres import PgServer

from hybridpg.backends import Busy, Unknown
from hybridpg.backends.sql import SqlDatabases
from hybridpg.backends.sql.succession import Succession

from .cases import Case, databases, drop, ensure, exists, fresh_login, fresh_owner, make_case

pytestmark = pytest.mark.postgres
DROP = Call(LETTER, "DROP", "postgres DROP DATABASE IF EXISTS _ WITH (FORCE)", 1)
ALTER = Call(LETTER, "ALTER", "postgres ALTER ROLE _ PASSWORD _", 1)


@dataclass
class Late:
    """Keeps one statement of the former process in the network until ``go``."""

    call: Call
    stuck: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def rule(self, turn: Turn) -> None:
        self.stuck.set()
        await self.go.wait()
        turn.forward()


@dataclass
class Scene:
    """A former process behind a slow network, and its successor."""

    pg: PgServer
    seam: WireSeam
    port: int
    former: SqlDatabases
    successor: SqlDatabases

    def far(self, case: Case) -> Case:
        """The same database as the former process reaches it."""
        assert case.ref.endpoint is not None
        endpoint = replace(case.ref.endpoint, port=self.port)
        return replace(case, ref=replace(case.ref, endpoint=endpoint))

    def oid(self, case: Case) -> list[tuple[object, ...]]:
        return self.pg.run(f"SELECT oid FROM pg_database WHERE datname = '{case.name}'")


@pytest.fixture
async def scene(pg_each: PgServer) -> AsyncIterator[Scene]:
    """Two processes of one cluster."""
    cluster = str(uuid.uuid4())
    async with WireSeam(Trace()) as seam:
        certificate, key = pg_each.folder / "server.crt", pg_each.folder / "server.key"
        port = await seam.listen(Target("127.0.0.1", pg_each.port, certificate, key))
        async with (
            databases(cluster_id=cluster, snapshot_seconds=0) as former,
            databases(cluster_id=cluster, snapshot_seconds=0) as successor,
        ):
            yield Scene(pg_each, seam, port, former, successor)


async def until_free(work: Callable[[], Awaitable[object]]) -> None:
    """Repeat what is told to come again, as a worker does."""
    for _ in range(100):
        try:
            await work()
        except Busy as busy:
            await asyncio.sleep(busy.retry_after)
        else:
            return
    raise AssertionError("it stays busy")


async def test_a_late_drop_does_not_meet_the_database_that_was_made_anew(scene: Scene, admin: str):
    """Invariants 8 and 9: the leader stood still with the statement already sent."""
    case = make_case(scene.pg, admin=admin)
    await ensure(scene.former, scene.far(case))
    late = Late(DROP)
    scene.seam.at(late.call, late.rule)
    dropping = asyncio.create_task(drop(scene.former, scene.far(case)))
    await late.stuck.wait()
    await until_free(lambda: drop(scene.successor, case))
    again = case.by(fresh_owner())
    await ensure(scene.successor, again)
    made = scene.oid(again)

    late.go.set()
    with pytest.raises(Unknown):
        await dropping

    assert scene.oid(again) == made
    assert exists(scene.pg, again.name) == (True, True)


async def test_a_late_change_of_a_password_does_not_undo_a_later_one(scene: Scene, admin: str):
    """Invariants 4 and 9."""
    case = make_case(scene.pg, admin=admin)
    await ensure(scene.former, scene.far(case))
    late = Late(ALTER)
    scene.seam.at(late.call, late.rule)
    first = fresh_login(case.name)
    changing = asyncio.create_task(scene.former.update_user_password(scene.far(case).ref, first))
    await late.stuck.wait()
    newer = fresh_login(case.name)
    await until_free(lambda: scene.successor.update_user_password(case.ref, newer))
    verifier = scene.pg.run(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{case.name}'")

    late.go.set()
    with pytest.raises(Unknown):
        await changing

    now = scene.pg.run(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{case.name}'")
    assert now == verifier


async def test_sessions_of_other_clusters_and_of_people_stay(pg: PgServer):
    case = make_case(pg)
    async with databases() as other, databases() as ours:
        stranger = make_case(pg)
        await ensure(other, stranger)
        name = Succession.of("another-cluster").own
        with pg.connect("postgres", "postgres", pg.password) as person:
            person.execute(f"SET application_name = '{name}'")
            await ensure(ours, case)
            assert person.execute("SELECT 1").fetchall() == [(1,)]
        await drop(other, stranger)


async def test_a_tenant_cannot_pass_for_a_former_process(pg: PgServer, admin: str):
    """M9: a session that takes our name is not ended, and keeps nobody from writing."""
    cluster = str(uuid.uuid4())
    case = make_case(pg, admin=admin)
    async with databases(cluster_id=cluster) as ours:
        await ensure(ours, case)
    async with databases(cluster_id=cluster) as ours:
        with pg.connect(case.name, case.name, str(case.role.password)) as tenant:
            tenant.execute(f"SET application_name = '{Succession.of(cluster).own}'")
            await until_free(lambda: ours.update_user_password(case.ref, case.role))
            assert tenant.execute("SELECT 1").fetchall() == [(1,)]
