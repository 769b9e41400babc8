"""Sessions that break, locks, slots and settings in the way: said, and concluded from nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal

import pytest
from tests.fix_postgres import CLOUD_ADMIN, PgServer, running_server

from hybridpg.backends import Busy, Policy, Unknown
from hybridpg.backends.sql import LoginResult, check_login, connection
from hybridpg.backends.sql.pool import SESSIONS

from .cases import databases, drop, ensure, exists, make_case, plan, reading_slot

pytestmark = pytest.mark.postgres


async def test_sessions_that_a_restart_broke_are_replaced(own_pg: PgServer):
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(own_pg)
        await ensure(backend, case)
        own_pg.stop(signal.SIGINT)
        own_pg.up()

        assert await plan(backend, case) == ()
        await drop(backend, case)


async def test_a_session_that_is_killed_in_a_statement_is_unknown_and_then_replaced(
    own_pg: PgServer,
):
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(own_pg)
        await ensure(backend, case)
        with own_pg.connect("postgres", "postgres", own_pg.password) as blocker:
            blocker.execute("BEGIN; LOCK pg_catalog.pg_shdescription IN ACCESS EXCLUSIVE MODE")
            task = asyncio.create_task(backend.observe_database(case.ref))
            killed: list[object] = []
            while not killed:
                await asyncio.sleep(0.01)
                killed = blocker.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name LIKE 'hybridpg %' AND wait_event_type = 'Lock'"
                ).fetchall()
            blocker.execute("ROLLBACK")
        with pytest.raises(Unknown):
            await task

        assert await plan(backend, case) == ()


async def test_somebodys_lock_is_busy_and_frees_the_worker(
    own_pg: PgServer, monkeypatch: pytest.MonkeyPatch
):
    options = tuple(
        "lock_timeout=50" if option.startswith("lock_timeout") else option
        for option in connection._OPTIONS
    )
    monkeypatch.setattr(connection, "_OPTIONS", options)
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(own_pg)
        await ensure(backend, case)
        with own_pg.connect("postgres", "postgres", own_pg.password) as blocker:
            blocker.execute("BEGIN; LOCK pg_catalog.pg_authid IN EXCLUSIVE MODE")
            with pytest.raises(Busy):
                await backend.update_user_password(case.ref, case.role)
            blocker.execute("ROLLBACK")
        await backend.update_user_password(case.ref, case.role)


async def test_a_server_without_a_free_slot_is_busy(own_pg: PgServer):
    """53300."""
    async with databases() as backend:
        case = make_case(own_pg)
        own_pg.run("ALTER ROLE cloudadmin CONNECTION LIMIT 0")
        ref = make_case(own_pg, admin="cloudadmin").ref
        with pytest.raises(Busy, match="too many connections"):
            await backend.observe_database(ref)
        await backend.observe_database(case.ref)


async def test_a_read_only_server_is_unknown_and_its_login_is_read_only(own_pg: PgServer):
    """Ready is a login that reached a primary: 25006 concludes nothing."""
    async with databases(snapshot_seconds=0) as backend:
        case = make_case(own_pg)
        await ensure(backend, case)
        own_pg.run("ALTER SYSTEM SET default_transaction_read_only = on")
        own_pg.run("SELECT pg_reload_conf()")
        await asyncio.sleep(0.04)
        other = make_case(own_pg)
        with pytest.raises(Unknown, match="read-only"):
            await _until_raised(backend.create_or_update_user, other.ref, other.role)
        while await check_login(case.ref.endpoint, case.role, case.name) is LoginResult.PRIMARY:
            await asyncio.sleep(0.01)
        result = await check_login(case.ref.endpoint, case.role, case.name)

    assert result is LoginResult.READ_ONLY
    assert exists(own_pg, other.name) == (False, False)


async def _until_raised(call, *arguments: object) -> None:
    for _ in range(100):  # the reload reaches idle sessions a moment later
        await call(*arguments)
        await asyncio.sleep(0.01)


async def test_a_database_that_a_slot_holds_says_who_holds_it(own_pg: PgServer):
    """D8, invariant 15: reported, not retried without a word."""
    own_pg.run("ALTER SYSTEM SET wal_level = logical")
    own_pg.stop(signal.SIGINT)
    own_pg.up()
    async with databases() as backend:
        case = make_case(own_pg, admin=CLOUD_ADMIN)  # who may not end another's slot
        await ensure(backend, case)
        own_pg.run("SELECT pg_create_logical_replication_slot('held', 'test_decoding')", case.name)
        with reading_slot(own_pg, case.name, "held"):
            observed = await backend.observe_database(case.ref)
            with pytest.raises(Busy, match="replication slot"):
                await backend.delete_database(case.ref, observed, Policy.DELETE)

        assert exists(own_pg, case.name) == (True, True)


def test_the_number_of_sessions_is_small_enough_for_a_small_server():
    """Managed servers of the smallest class have about 25 connections for customers."""
    assert SESSIONS <= 4


async def test_a_server_that_wants_passwords_hashed_for_hours_is_told_so():
    """The setting is any administrator's, and hashing would stop everybody."""
    with running_server(16) as own_pg:  # the version that the setting came with
        own_pg.run("ALTER ROLE postgres SET scram_iterations = 2000000000")
        async with databases() as backend:
            case = make_case(own_pg)
            with pytest.raises(Unknown, match="scram_iterations"):
                await ensure(backend, case)
        assert exists(own_pg, case.name) == (False, False)


async def test_more_than_a_thousand_open_files_are_no_trouble(pg: PgServer):
    """A session is looked at before it is used again, whatever number its socket has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("more files cannot be opened here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with contextlib.ExitStack() as stack:
        while (handle := os.open(os.devnull, os.O_RDONLY)) < 1100:
            stack.callback(os.close, handle)
        stack.callback(os.close, handle)
        async with databases() as backend:
            case = make_case(pg)
            await ensure(backend, case)
            assert await check_login(pg.endpoint(), case.role, case.name) is LoginResult.PRIMARY
            await drop(backend, case)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
