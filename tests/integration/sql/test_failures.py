"""Servers that hang or go silent: whoever waits for them is let go in time, and others go on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import pytest
from tests.fix_postgres import PgServer

from hybridpg.backends import Credentials, Endpoint, Password, Unknown
from hybridpg.backends.sql import check_login, connection

from .cases import databases, drop, ensure, make_case, plan

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


async def test_a_login_check_ends_in_time_and_leaves_no_session(pg: PgServer, short_timeouts: None):
    with listening() as port:
        begin = asyncio.get_running_loop().time()
        with pytest.raises(Unknown):
            await check_login(Endpoint("127.0.0.1", port), make_case(pg).role, "postgres")

        assert asyncio.get_running_loop().time() - begin < 3 * SHORT


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
