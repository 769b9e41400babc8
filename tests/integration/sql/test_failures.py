"""Servers that hang, break, refuse or are not who they say: bounded, and nothing is concluded."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from tests.fix_postgres import PgServer, free_port, running_server

from hybridpg.backends import (
    AdminLogin,
    Busy,
    Credentials,
    Denied,
    Endpoint,
    Password,
    Policy,
    Unknown,
)
from hybridpg.backends.sql import LoginResult, check_login, connection
from hybridpg.backends.sql.pool import SESSIONS

from .cases import databases, drop, ensure, exists, make_case, plan

pytestmark = pytest.mark.postgres

SHORT = 0.3
"""The connect timeout of these tests: what is shown holds for any."""


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the deadlines short; the loop's real time cannot be turned with a real socket."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", SHORT)


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(100)
        port: int = server.getsockname()[1]
        yield port


@dataclass
class Wire:
    """A proxy between us and the server that can stop to pass on what the server says."""

    port: int
    held: asyncio.Event

    def hold(self) -> None:
        """Stop passing on answers, as a network that swallows packets does."""
        self.held.clear()


@contextlib.asynccontextmanager
async def wire_to(pg: PgServer) -> AsyncIterator[Wire]:
    """Run a proxy to a real server."""
    held = asyncio.Event()
    held.set()
    tasks: set[asyncio.Task[None]] = set()
    ends: list[asyncio.StreamWriter] = []

    async def pipe(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if answers:
                    await held.wait()
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", pg.port)
        ends.extend((writer, forth))
        tasks.add(asyncio.create_task(pipe(reader, forth, answers=False)))
        tasks.add(asyncio.create_task(pipe(back, writer, answers=True)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Wire(server.sockets[0].getsockname()[1], held)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()


async def test_a_server_that_accepts_and_never_answers_is_unknown_in_time(
    pg: PgServer, short_timeouts: None
):
    """D13."""
    with listening() as port:
        case = make_case(pg)
        case = replace(case, ref=replace(case.ref, endpoint=replace(case.ref.endpoint, port=port)))
        async with databases() as backend:
            begin = asyncio.get_running_loop().time()
            with pytest.raises(Unknown, match=f"cannot log in to 127.0.0.1:{port}"):
                await backend.observe_database(case.ref)

            assert asyncio.get_running_loop().time() - begin < 3 * SHORT


async def test_a_server_that_hangs_does_not_hold_the_databases_of_another(
    pg: PgServer, short_timeouts: None
):
    with listening() as port:
        async with databases() as backend:
            healthy = make_case(pg)
            await ensure(backend, healthy)
            cases = [make_case(pg) for _ in range(30)]
            hung = [
                replace(case.ref, endpoint=replace(case.ref.endpoint, port=port)) for case in cases
            ]
            waiting = [asyncio.create_task(backend.observe_database(ref)) for ref in hung]
            await asyncio.sleep(0)

            begin = asyncio.get_running_loop().time()
            assert await plan(backend, healthy) == ()
            assert asyncio.get_running_loop().time() - begin < SHORT

            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(result, Unknown) for result in results)
            begin = asyncio.get_running_loop().time()
            for ref in hung:
                with pytest.raises(Unknown):
                    await backend.observe_database(ref)
            assert asyncio.get_running_loop().time() - begin < SHORT, "it is remembered"
            await drop(backend, healthy)


async def test_a_network_that_goes_silent_in_a_statement_is_noticed(
    pg: PgServer, monkeypatch: pytest.MonkeyPatch
):
    """Half-open: no answer, no end of the stream, and the server's own timeout cannot help."""
    monkeypatch.setattr(connection, "STATEMENT_LIMIT", SHORT)
    async with wire_to(pg) as wire, databases(snapshot_seconds=0) as backend:
        case = make_case(pg)
        endpoint = replace(case.ref.endpoint, port=wire.port)
        case = replace(case, ref=replace(case.ref, endpoint=endpoint))
        await ensure(backend, case)
        wire.hold()
        begin = asyncio.get_running_loop().time()
        with pytest.raises(Unknown):
            await backend.observe_database(case.ref)

        assert asyncio.get_running_loop().time() - begin < 3 * SHORT
        wire.held.set()
        assert await plan(backend, case) == ()
        await drop(backend, case)


async def test_a_cancelled_call_ends_at_once_even_if_the_server_hangs(pg: PgServer):
    """The controller must stop within seconds, whatever its servers do."""
    async with wire_to(pg) as wire, databases(snapshot_seconds=0) as backend:
        case = make_case(pg)
        ref = replace(case.ref, endpoint=replace(case.ref.endpoint, port=wire.port))
        await backend.observe_database(ref)
        wire.hold()
        task = asyncio.create_task(backend.update_user_password(ref, case.role))
        await asyncio.sleep(0.02)
        begin = asyncio.get_running_loop().time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert asyncio.get_running_loop().time() - begin < SHORT
        wire.held.set()


async def test_a_refused_connection_is_unknown_and_names_the_server(pg: PgServer):
    """D29: never "does not exist"."""
    port = free_port()
    case = make_case(pg)
    ref = replace(case.ref, endpoint=replace(case.ref.endpoint, port=port))
    async with databases() as backend:
        with pytest.raises(Unknown, match=f"127.0.0.1:{port}.*refused"):
            await backend.observe_database(ref)
        with pytest.raises(Unknown):
            await backend.create_or_update_user(ref, case.role)


async def test_no_admin_login_is_unknown_and_says_so(pg: PgServer):
    case = make_case(pg)
    ref = replace(case.ref, endpoint=replace(case.ref.endpoint, admin=None))
    async with databases() as backend:
        with pytest.raises(Unknown, match="there is no admin login for server"):
            await backend.observe_database(ref)


async def test_a_wrong_admin_password_is_denied_without_showing_it(pg: PgServer):
    case = make_case(pg)
    login = AdminLogin("postgres", Password("wrong-canary"))
    ref = replace(case.ref, endpoint=replace(case.ref.endpoint, admin=login))
    async with databases() as backend:
        with pytest.raises(Denied, match="as postgres") as caught:
            await backend.observe_database(ref)

    assert "canary" not in str(caught.value)


async def test_a_new_admin_password_is_used_at_once(own_pg: PgServer):
    """The one who was refused a moment ago had another login."""
    case = make_case(own_pg)
    old = case.ref.endpoint
    new = replace(old, admin=AdminLogin("postgres", Password("Another-1")))
    async with databases() as backend:
        with pytest.raises(Denied):
            await backend.observe_database(replace(case.ref, endpoint=new))
        await backend.observe_database(case.ref)
        own_pg.run("ALTER ROLE postgres PASSWORD 'Another-2'")
        newer = replace(old, admin=AdminLogin("postgres", Password("Another-2")))
        await backend.observe_database(replace(case.ref, endpoint=newer))
    own_pg.password = "Another-2"


@pytest.mark.parametrize(
    "change",
    [{"ca": ""}, {"host": "localhost.example", "hostaddr": "127.0.0.1"}],
    ids=["another authority", "another name"],
)
async def test_a_server_that_cannot_prove_who_it_is_gets_no_password(
    pg: PgServer, change: dict[str, Any]
):
    """D14, M13."""
    case = make_case(pg)
    endpoint = replace(case.ref.endpoint, **change)
    before = pg.log().count("connection authorized")
    async with databases() as backend:
        with pytest.raises(Unknown, match=r"certificate|does not match host name"):
            await backend.observe_database(replace(case.ref, endpoint=endpoint))
    with pytest.raises(Unknown):
        await check_login(endpoint, case.role, "postgres")

    assert pg.log().count("connection authorized") == before


async def test_the_address_may_differ_from_the_name_that_is_verified(pg: PgServer):
    case = make_case(pg)
    endpoint = replace(case.ref.endpoint, host="localhost", hostaddr="127.0.0.1")
    async with databases() as backend:
        await backend.observe_database(replace(case.ref, endpoint=endpoint))


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


async def test_logins_are_told_apart(pg_each: PgServer, admin: str):
    """H9: accepted, refused, or not known: three different things."""
    async with databases() as backend:
        case = make_case(pg_each, admin=admin)
        await ensure(backend, case)
        endpoint = case.ref.endpoint
        wrong = Credentials(case.name, Password("wrong"))
        nobody = Credentials("nobody-here", Password("x"))

        assert await check_login(endpoint, case.role, case.name) is LoginResult.PRIMARY
        assert await check_login(endpoint, wrong, case.name) is LoginResult.REFUSED
        assert await check_login(endpoint, nobody, case.name) is LoginResult.REFUSED
        with pytest.raises(Unknown, match="does not exist"):
            await check_login(endpoint, case.role, "no-such-database")
        with pytest.raises(Unknown):
            await check_login(replace(endpoint, port=free_port()), case.role, case.name)
        await drop(backend, case)


async def test_a_login_check_ends_in_time_and_leaves_no_session(pg: PgServer, short_timeouts: None):
    with listening() as port:
        begin = asyncio.get_running_loop().time()
        with pytest.raises(Unknown):
            await check_login(Endpoint("127.0.0.1", port), make_case(pg).role, "postgres")

        assert asyncio.get_running_loop().time() - begin < 3 * SHORT


async def test_an_error_shows_neither_statement_nor_verifier(pg: PgServer):
    """D12: an admin that may do nothing with the role, although the mark is ours."""
    case = make_case(pg, "held_by_dba", admin="limited")
    pg.run("CREATE ROLE held_by_dba LOGIN; CREATE ROLE limited LOGIN PASSWORD 'Test-Admin.1'")
    pg.run("GRANT CONNECT ON DATABASE postgres TO limited")
    pg.run(f"COMMENT ON ROLE held_by_dba IS '{case.ref.owner.mark()}'")
    async with databases() as backend:
        with pytest.raises(Denied, match="cannot change the password of role") as caught:
            await backend.update_user_password(case.ref, case.role)

    assert "SCRAM" not in str(caught.value)
    assert case.role.password not in str(caught.value)
    pg.run("REVOKE CONNECT ON DATABASE postgres FROM limited")
    pg.run("DROP ROLE held_by_dba, limited")


async def test_a_database_that_a_slot_holds_says_who_holds_it(own_pg: PgServer):
    """D8, invariant 15: reported, not retried without a word."""
    own_pg.run("ALTER SYSTEM SET wal_level = logical")
    own_pg.stop(signal.SIGINT)
    own_pg.up()
    async with databases() as backend:
        case = make_case(own_pg)
        await ensure(backend, case)
        own_pg.run("SELECT pg_create_logical_replication_slot('held', 'test_decoding')", case.name)
        with own_pg.connect(case.name, "postgres", own_pg.password):
            observed = await backend.observe_database(case.ref)
            with contextlib.suppress(psycopg.Error):
                own_pg.run("SELECT pg_replication_slot_advance('held', pg_current_wal_lsn())")
            outcome = await _attempt(backend.delete_database(case.ref, observed, Policy.DELETE))

        assert outcome is None or "replication slot" in str(outcome)


async def _attempt(call) -> Exception | None:
    try:
        await call
    except Unknown as error:
        return error
    return None


def test_the_number_of_sessions_is_small_enough_for_a_small_server():
    """Managed servers of the smallest class have about 25 connections for customers."""
    assert SESSIONS <= 4


async def test_a_verifier_that_asks_for_millions_of_hashes_stops_nobody(
    pg: PgServer, short_timeouts: None
):
    """H20: any tenant can write such a verifier for its own role, and the others go on."""
    salt = base64.b64encode(b"0123456789abcdef").decode()
    key = base64.b64encode(b"0" * 32).decode()
    pg.run(f"CREATE ROLE greedy LOGIN PASSWORD 'SCRAM-SHA-256$9000000:{salt}${key}:{key}'")
    longest, loop = 0.0, asyncio.get_running_loop()

    async def watch_the_loop() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    watch = asyncio.create_task(watch_the_loop())
    login = Credentials("greedy", Password("whatever"))
    with pytest.raises(Unknown, match="takes too long"):
        await check_login(pg.endpoint(), login, "postgres")
    with pytest.raises(Unknown, match="has not ended"):
        await check_login(pg.endpoint(), login, "postgres")
    await asyncio.sleep(0.02)
    watch.cancel()
    assert longest < 1.0
    pg.run("DROP ROLE greedy")


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
