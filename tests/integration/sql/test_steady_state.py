"""What arrives at the wire: one round trip for all, and nothing where nothing changed."""

from __future__ import annotations

import asyncio

import pytest
from tests.fix_postgres import PgServer

from hybridpg.backends import Unknown
from hybridpg.backends.sql import SqlDatabases
from hybridpg.backends.sql.pool import SESSIONS

from .cases import Case, databases, drop, ensure, make_case, plan

pytestmark = pytest.mark.postgres

OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hybridpg %'"
"""Counts the controller's sessions."""
READS = ("SELECT", "SHOW", "")


async def patiently(backend: SqlDatabases, case: Case, step) -> object:
    """Come again when told so, as the work queue does."""
    while True:
        try:
            return await step(backend, case)
        except Unknown:
            await asyncio.sleep(0.01)


async def test_a_second_pass_writes_nothing(pg_each: PgServer, admin: str):
    """K1, D81, O8: counted at the wire, not assumed."""
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(pg_each, admin=admin, extensions=["uuid-ossp", "hstore"], charset="UTF8")
        await ensure(backend, case)
        with pg_each.statements() as seen:
            await ensure(backend, case)
        assert seen
        assert [text for text in seen if not text.startswith(READS[:2])] == []

    async with databases() as backend:  # the next process knows nothing
        with pg_each.statements() as seen:
            await ensure(backend, case)
        assert [text for text in seen if not text.startswith(READS[:2])] == []
        await drop(backend, case)


async def test_an_empty_plan_makes_no_call(pg: PgServer):
    async with databases() as backend:
        case = make_case(pg)
        with pg.statements() as seen:
            await backend.create_or_update_database(case.ref, ())

    assert seen == []


async def test_forty_databases_cost_one_round_trip(own_pg: PgServer):
    """O(1) round trips for N databases, however many look at the same time."""
    async with databases() as backend:
        cases = [make_case(own_pg) for _ in range(40)]
        await asyncio.gather(*(patiently(backend, case, ensure) for case in cases))
        plans = await asyncio.gather(*(patiently(backend, case, plan) for case in cases))
        assert plans == [()] * 40
        await asyncio.sleep(0)
        begin = backend._servers[cases[0].ref.endpoint][1]
        begin._last = None  # as when the view has become old

        with own_pg.statements() as seen:
            plans = await asyncio.gather(*(plan(backend, case) for case in cases))

        assert plans == [()] * 40
        assert sum("pg_database" in text for text in seen) == 1
        assert len(seen) == 1, "three reads of the catalogs, in one string"
        connected = own_pg.run(OURS)
        assert connected[0][0] <= SESSIONS


async def test_connections_stay_few_over_many_passes(own_pg: PgServer):
    """D13."""
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(own_pg)
        await ensure(backend, case)
        before = own_pg.log().count("connection authorized")
        for _ in range(100):
            assert await plan(backend, case) == ()
        assert own_pg.log().count("connection authorized") - before <= 1

    for _ in range(200):  # a backend needs a moment to notice the goodbye
        if own_pg.run(OURS) == [(0,)]:
            break
        await asyncio.sleep(0.01)
    assert own_pg.run(OURS) == [(0,)]


async def test_the_same_calls_at_the_same_time_are_harmless(pg_each: PgServer, admin: str):
    """Two workers, two processes, or a leader that lost its lease: one role, one database."""
    case = make_case(pg_each, admin=admin, extensions=["hstore"])
    async with databases() as one, databases() as other:
        done = await asyncio.gather(
            *(patiently(backend, case, ensure) for backend in (one, other) for _ in range(2))
        )

        assert len(done) == 4
        assert await plan(one, case) == ()
        with pg_each.connect(case.name, case.name, case.role.password) as connection:
            connection.execute("CREATE TABLE t (id int)")
        oid = pg_each.run(f"SELECT oid FROM pg_database WHERE datname = '{case.name}'")
        await patiently(other, case, ensure)
        assert pg_each.run(f"SELECT oid FROM pg_database WHERE datname = '{case.name}'") == oid

        await asyncio.gather(
            *(patiently(backend, case, _delete_both) for backend in (one, other)),
        )
        await drop(one, case)


async def _delete_both(backend: SqlDatabases, case: Case) -> None:
    try:
        await drop(backend, case)
    except AssertionError:  # the other one's view of the role may be a moment old
        await backend.delete_user(case.ref)


async def test_many_databases_at_once_never_take_more_than_the_sessions_they_may(
    own_pg: PgServer,
):
    async with databases() as backend:
        cases = [make_case(own_pg) for _ in range(24)]
        busiest = 0

        async def watch() -> None:
            nonlocal busiest
            while True:
                rows = await asyncio.to_thread(
                    own_pg.run,
                    OURS,
                )
                busiest = max(busiest, rows[0][0])
                await asyncio.sleep(0.005)

        watcher = asyncio.create_task(watch())
        await asyncio.gather(*(patiently(backend, case, ensure) for case in cases))
        watcher.cancel()

        assert 1 <= busiest <= 2 * SESSIONS, "closed ones linger for a moment"
        assert own_pg.run("SELECT count(*) FROM pg_database WHERE datname LIKE 'db\\_%'") == [(24,)]
