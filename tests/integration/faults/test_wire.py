"""The proxy before a real PostgreSQL: what it calls things, and what its faults look like."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import psycopg
import pytest
from psycopg import errors as pgerrors
from psycopg import sql
from tests.faults.seam import CRASH_BEFORE, CRASH_COMMITTED, Call, Fault, Point, Trace
from tests.faults.wire import LETTER, Target, Turn, WireSeam
from tests.fix_postgres import PgServer

from hybridpg.backends import Busy, Credentials, Denied, Password, Unknown
from hybridpg.backends.sql.connection import Session
from hybridpg.backends.sql.login import LoginResult, check_login
from hybridpg.backends.values import Endpoint

pytestmark = pytest.mark.postgres
MAKE = "CREATE ROLE wired"
MADE = Call(LETTER, "CREATE", "postgres CREATE ROLE wired", 1)


@dataclass
class Process:
    """A controller that is told to die or to stop; what the proxy did then is seen by a test."""

    orders: list[str] = field(default_factory=list)

    def kill(self) -> None:
        self.orders.append("kill")

    def freeze(self) -> None:
        self.orders.append("freeze")

    def thaw(self) -> None:
        self.orders.append("thaw")


@dataclass
class Wired:
    """A server behind the seam."""

    pg: PgServer
    seam: WireSeam
    trace: Trace
    endpoint: Endpoint
    process: Process = field(default_factory=Process)

    async def session(self) -> Session:
        """Log in as the admin through the proxy."""
        admin = self.endpoint.admin
        assert admin is not None
        return await Session.open(self.endpoint, admin, "postgres")

    def exists(self) -> bool:
        """Look past the proxy whether the role was made."""
        return bool(self.pg.run("SELECT 1 FROM pg_roles WHERE rolname = 'wired'"))

    def arm(self, fault: Fault, call: Call | None = None) -> asyncio.Event:
        """Strike a call, by default the one that makes the role."""
        return self.seam.arm(Point("none", call or MADE, fault), self.process).struck

    def names(self) -> list[str]:
        """Return what was seen since the beginning."""
        return [f"{seen.call} {seen.answer}" for seen in self.trace.seen]


@pytest.fixture
async def wired(pg: PgServer) -> AsyncIterator[Wired]:
    """A server behind the seam, without the role that the tests make."""
    trace = Trace()
    async with WireSeam(trace) as seam:
        target = Target("127.0.0.1", pg.port, pg.folder / "server.crt", pg.folder / "server.key")
        port = await seam.listen(target)
        yield Wired(pg, seam, trace, replace(pg.endpoint(), port=port))
    if pg.run("SELECT 1 FROM pg_roles WHERE rolname = 'wired'"):
        pg.run("DROP OWNED BY wired")
        pg.run("DROP ROLE wired")


async def test_a_login_with_channel_binding_and_statements_pass_and_are_named(wired):
    with contextlib.closing(await wired.session()) as session:
        await session.execute("SELECT 1; SHOW transaction_read_only", doing="look")
        made = sql.SQL("CREATE ROLE {} PASSWORD {}; COMMENT ON ROLE {} IS {}").format(
            *(sql.Identifier("wired"), sql.Literal("x'; y"), sql.Identifier("wired")),
            sql.Literal("a\\b"),
        )
        await session.execute(made, doing="make")
        with pytest.raises(Unknown):
            await session.execute("DROP ROLE nobody", doing="drop")
    assert wired.names() == [
        "S LOGIN postgres postgres #1 done",
        "S SELECT+SHOW postgres SELECT; SHOW transaction_read_only #1 done",
        "S CREATE+COMMENT postgres CREATE ROLE _ PASSWORD _; COMMENT ON ROLE _ IS _ #1 done",
        "S DROP postgres DROP ROLE nobody #1 42704",
    ]
    assert [seen.writes for seen in wired.trace.seen] == [False, False, True, True]
    assert [seen.destroys for seen in wired.trace.seen] == [False, False, False, True]
    assert all(Call.parse(str(seen.call)) == seen.call for seen in wired.trace.seen)


async def test_what_is_large_and_the_extended_protocol_pass_unchanged(wired):
    admin = wired.endpoint.admin
    assert admin is not None
    connection = await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=wired.endpoint.port,
        dbname="postgres",
        user=admin.username,
        password=str(admin.password),
        sslmode="require",
        channel_binding="require",
        autocommit=True,
    )
    async with connection:
        large = "x" * 3_000_000
        cursor = await connection.execute("SELECT %s::text || repeat('y', 2000000)", [large])
        row = await cursor.fetchone()
        assert row == (large + "y" * 2_000_000,)
        for _ in range(2):  # the second time it is prepared already
            await connection.execute(
                "SELECT relname FROM pg_class WHERE oid = %s", [1], prepare=True
            )
    assert wired.names()[1:] == [
        "S SELECT postgres SELECT #1 done",
        "S PREPARE postgres PREPARE #1 done",
        "S SELECT postgres SELECT pg_class #1 done",
        "S SELECT postgres SELECT pg_class #2 done",
    ]


async def test_a_reset_before_the_server_leaves_nothing(wired):
    session = await wired.session()
    struck = wired.arm(Fault("error", "reset-before"))
    with pytest.raises(Unknown):
        await session.execute(MAKE, doing="make")
    assert struck.is_set()
    assert not wired.exists()
    assert not session.usable


async def test_a_reset_behind_the_server_leaves_the_role_and_an_unknown_result(wired):
    session = await wired.session()
    wired.arm(Fault("error", "reset-committed"))
    with pytest.raises(Unknown):
        await session.execute(MAKE, doing="make")
    assert wired.exists()
    assert not session.usable


@pytest.mark.parametrize(
    ("state", "raised"),
    [
        ("25006", Unknown),
        ("40001", Busy),
        ("42501", Denied),
        ("55006", Busy),
        ("57P01", Unknown),
    ],
)
async def test_a_refusal_looks_like_the_servers_own(wired, state, raised):
    session = await wired.session()
    wired.arm(Fault("error", state))
    with pytest.raises(raised) as caught:
        await session.execute(MAKE, doing="make")
    assert type(caught.value) is raised
    assert isinstance(caught.value.__cause__, pgerrors.lookup(state))
    assert not wired.exists()
    assert session.usable is (state != "57P01")
    if session.usable:
        await session.execute(MAKE, doing="make")
        assert wired.exists()
    session.close()


@pytest.mark.parametrize(("state", "raised"), [("53300", Busy), ("57P03", Unknown)])
async def test_a_login_is_refused_for_load_and_at_a_start(wired, state, raised):
    wired.arm(Fault("error", state), Call(LETTER, "LOGIN", "postgres postgres", 1))
    with pytest.raises(raised):
        await wired.session()
    with contextlib.closing(await wired.session()) as session:
        assert session.usable


async def test_a_crash_before_or_behind_the_server_kills_first_and_then_breaks(wired):
    for fault, made in ((CRASH_BEFORE, False), (CRASH_COMMITTED, True)):
        wired.trace.begin()
        session = await wired.session()
        wired.arm(fault)
        with pytest.raises(Unknown):
            await session.execute(MAKE, doing="make")
        assert wired.exists() is made
    assert wired.process.orders == ["kill", "kill"]


async def test_what_hangs_ends_when_all_goes_well_again(wired):
    session = await wired.session()
    struck = wired.arm(Fault("error", "hang-before"))
    task = asyncio.create_task(session.execute(MAKE, doing="make"))
    await struck.wait()
    began = time.monotonic()
    wired.seam.clear()
    with pytest.raises(Unknown):
        await task
    assert time.monotonic() - began < 5
    assert not wired.exists()


async def test_what_hangs_is_waited_for_until_the_client_has_gone(wired):
    session = await wired.session()
    struck = wired.arm(Fault("error", "hang-before"))
    making = asyncio.create_task(session.execute(MAKE, doing="make"))
    await struck.wait()
    assert wired.seam.waited_for == 1

    making.cancel()
    await asyncio.wait([making])
    session.close()
    async with asyncio.timeout(10):
        while wired.seam.waited_for:
            await asyncio.sleep(0.01)
    assert not wired.exists()


async def test_a_rule_may_keep_an_answer_back_until_it_is_ready(wired):
    session = await wired.session()
    committed, ready = asyncio.Event(), asyncio.Event()

    async def rule(turn: Turn) -> None:
        await turn.commit()
        committed.set()
        await ready.wait()
        turn.release()

    wired.seam.at(MADE, rule)
    task = asyncio.create_task(session.execute(MAKE, doing="make"))
    await committed.wait()
    assert wired.exists()
    assert not task.done()
    ready.set()
    await task
    assert session.usable
    session.close()


async def test_the_login_of_a_tenant_is_tried_through_it_as_well(wired):
    wired.pg.run("CREATE ROLE wired LOGIN PASSWORD 'Tenant-1'")
    # the server is shared, and whoever made a database on it closed this one to tenants
    wired.pg.run("GRANT CONNECT ON DATABASE postgres TO wired")
    endpoint = replace(wired.endpoint, admin=None)
    good = Credentials("wired", Password("Tenant-1"))
    assert await check_login(endpoint, good, "postgres") is LoginResult.PRIMARY
    wrong = Credentials("wired", Password("Tenant-2"))
    assert await check_login(endpoint, wrong, "postgres") is LoginResult.REFUSED
    first, look, second = wired.names()
    assert (first, second) == ("S LOGIN postgres _ #1 done", "S LOGIN postgres _ #2 28P01")
    assert look.endswith(" #1 done")
    assert not any(seen.writes for seen in wired.trace.seen)


async def test_the_points_of_a_call_are_those_that_can_be_armed(wired):
    with contextlib.closing(await wired.session()) as session:
        await session.execute("SELECT 1", doing="look")
        await session.execute(MAKE, doing="make")
    login, read, write = wired.trace.seen
    counts = [len(wired.seam.faults(seen)) for seen in (login, read, write)]
    assert counts == [4, 4, 10]
    for seen in (login, read, write):
        for fault in wired.seam.faults(seen):
            wired.seam.arm(Point("none", seen.call, fault), wired.process)
