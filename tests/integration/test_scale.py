"""Two hundred databases on three servers at once, and then nothing more to write.

Writes to the API server are counted where they leave the controller, writes to PostgreSQL where
they arrive: in each server's log of all statements, and by its transaction ids, of which only a
write takes one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from tests.fix_operator import DATABASES, SERVERS, Stage

from hybridpg.app import run_operator
from hybridpg.app.config import Config
from hybridpg.backends.local.layout import Home
from hybridpg.controller import AiohttpTransport, Response, load_kubeconfig
from hybridpg.controller.protocols import Transport
from hybridpg.controller.types import Headers, Query

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]

SERVER_NAMES = ("alpha", "beta", "gamma")
DATABASE_COUNT = 200
LIVENESS_SECONDS = 180.0
"""Far more than it takes: this is no benchmark, a hang must end all the same."""
QUIET_SECONDS = 1.0
"""Longer than any pause of the controller between two steps of a pass."""
CLIENTS = 8
"""Logins that the tests make at the same time: two cores do not make more at once."""
READS = re.compile(r"(SELECT|SHOW|SET|WITH|BEGIN|COMMIT|ROLLBACK|;)", re.IGNORECASE)
LOGGED = {
    "log_statement": "all",
    "log_line_prefix": "%a|",
    # it writes to the catalogs whenever it likes, and would be taken for the controller
    "autovacuum": "off",
}

T = TypeVar("T")


@dataclass
class CountingTransport:
    """A transport that keeps what went through it."""

    inner: Transport
    writes: list[str] = field(default_factory=list)
    reads: Counter[str] = field(default_factory=Counter)
    last: float = 0.0

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        """Pass a request on."""
        if method == "GET":
            self.reads[path] += 1
        else:
            self.writes.append(f"{method} {path}")
        try:
            return await self.inner.request(method, path, query=query, headers=headers, body=body)
        finally:
            self.last = time.monotonic()

    def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        """Pass a watch on."""
        return self.inner.stream(path, query=query, headers=headers)

    async def close(self) -> None:
        """Close what is below."""
        await self.inner.close()

    def clear(self) -> None:
        """Begin to count anew."""
        self.writes.clear()
        self.reads.clear()

    def looked_at(self, namespace: str) -> set[str]:
        """Return the objects of which a pass was made: each reads its Secret by name."""
        prefix = f"/api/v1/namespaces/{namespace}/secrets/"
        return {path.removeprefix(prefix).removesuffix("-login") for path in self.reads}


@contextlib.asynccontextmanager
async def operating(stage: Stage) -> AsyncIterator[CountingTransport]:
    """Run the controller in this process for as long as the block lasts."""
    document = stage.config()
    # its own looks at the Secrets would be taken for those of the passes
    document["controller"]["secret_check_seconds"] = 3600.0
    cluster = await load_kubeconfig(stage.env.kubeconfig)
    transport = CountingTransport(AiohttpTransport(cluster))
    stop = asyncio.Event()
    running = asyncio.create_task(
        run_operator(Config.model_validate(document), transport, stop), name="operator"
    )
    try:
        yield transport
    finally:
        stop.set()
        await running


def manifests(stage: Stage) -> list[dict[str, Any]]:
    """Return three servers, and two hundred databases dealt out to them."""
    servers = [stage.server(name, serverParameters=LOGGED) for name in SERVER_NAMES]
    return servers + [
        stage.database(f"db-{number:03}", SERVER_NAMES[number % len(SERVER_NAMES)])
        for number in range(DATABASE_COUNT)
    ]


def everybody() -> set[str]:
    """Return the names of all objects."""
    return {*SERVER_NAMES, *(f"db-{number:03}" for number in range(DATABASE_COUNT))}


async def all_of(tasks: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await coroutines, a few at a time."""
    gate = asyncio.Semaphore(CLIENTS)

    async def one(task: Coroutine[Any, Any, T]) -> T:
        async with gate:
            return await task

    return await asyncio.gather(*map(one, tasks))


def statements(home: Home) -> list[str]:
    """Return every statement that the controller has sent to a server, oldest first."""
    found: list[str] = []
    for path in sorted(home.log.glob("postgresql-*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("\t") and found:
                found[-1] = f"{found[-1]} {line.strip()}".strip()
                continue
            match = re.match(r"hybridpg[0-9a-f ]*\|LOG:  (?:statement|execute [^:]*): ?(.*)", line)
            if match:
                found.append(match[1].strip())
    return found


async def next_transaction(stage: Stage, home: Home) -> int:
    """Return the id that the next transaction that writes will get."""
    rows = await stage.inspect(home, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    return int(rows[0][0])


@dataclass
class Evidence:
    """What a pass over everything did."""

    api: list[str]
    sql: list[str]
    transactions: dict[str, int]
    """How many ids for writes each server gave out."""


async def evidence_of(
    stage: Stage, transport: CountingTransport, act: Callable[[], Awaitable[None]]
) -> Evidence:
    """Let ``act`` cause a pass over everything, wait for its end, and tell what it did."""
    homes = stage.homes()
    before = {home: (len(statements(home)), await next_transaction(stage, home)) for home in homes}
    await act()

    async def over() -> bool:
        complete = transport.looked_at(stage.namespace) >= everybody()
        return complete and time.monotonic() - transport.last > QUIET_SECONDS

    await stage.until(over, "not every object is looked at again", LIVENESS_SECONDS)
    sql: list[str] = []
    transactions = {}
    for home, (count, first) in before.items():
        sql += statements(home)[count:]
        transactions[home.root.name] = await next_transaction(stage, home) - first
    return Evidence(list(transport.writes), sql, transactions)


def writing(sent: list[str]) -> list[str]:
    """Return the statements that are no plain reads; each may hold several."""
    parts = [part.strip() for text in sent for part in text.split(";") if part.strip()]
    return [part for part in parts if not READS.match(part)]


async def touch(stage: Stage) -> None:
    """Put a label and an annotation on all objects, as a deployment tool does."""
    mark = {"metadata": {"labels": {"team": "red"}, "annotations": {"example.org/seen": "1"}}}
    names = [(SERVERS if name in SERVER_NAMES else DATABASES, name) for name in everybody()]
    await all_of(stage.patch(kind, name, mark) for kind, name in names)


async def test_two_hundred_databases_at_once_and_then_silence(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """H5, H6, H8, H20, P12, K1: made at once, each its own, and converged means no write at all."""
    async with operating(stage) as transport:
        began = time.monotonic()
        await stage.create(*manifests(stage))
        await stage.ready(seconds=LIVENESS_SECONDS)
        seconds = time.monotonic() - began
        writes = len(transport.writes)

        made = [text for home in stage.homes() for text in statements(home)]
        assert sum("CREATE DATABASE" in text for text in made) == DATABASE_COUNT

        logins = await published_logins(stage)
        await each_login_opens_its_own_database(stage, logins)
        await no_login_opens_another(stage, logins)

        transport.clear()
        touched = await evidence_of(stage, transport, lambda: touch(stage))

    async with operating(stage) as transport:
        restarted = await evidence_of(stage, transport, nothing)

    for evidence in (touched, restarted):
        assert evidence.api == []
        assert writing(evidence.sql) == []
        assert set(evidence.transactions.values()) == {0}
    assert restarted.sql, "the log is empty, so that it proves nothing"

    bare = await bare_create_database(stage)
    with capsys.disabled():
        print(
            f"\n{DATABASE_COUNT} databases on {len(SERVER_NAMES)} servers: all Ready after "
            f"{seconds:.1f} s, {1000 * seconds / DATABASE_COUNT:.0f} ms and "
            f"{writes / DATABASE_COUNT:.1f} writes to the API server a database; "
            f"CREATE DATABASE alone, as many at once: {1000 * bare:.0f} ms"
        )


async def nothing() -> None:
    """Do nothing: a start of the controller looks at everything by itself."""


async def published_logins(stage: Stage) -> dict[str, dict[str, str]]:
    """Return the logins of all databases; no two of them share a password or a database."""
    names = sorted(everybody() - {*SERVER_NAMES})
    logins = dict(zip(names, await all_of(map(stage.login, names)), strict=True))
    assert len({login["password"] for login in logins.values()}) == DATABASE_COUNT
    for name, login in logins.items():
        assert login["dbname"] == login["username"] == name.replace("-", "_")
    return logins


async def each_login_opens_its_own_database(
    stage: Stage, logins: dict[str, dict[str, str]]
) -> None:
    """Each Secret's user owns its database and can work in it; so can the servers' admins."""

    async def work(login: dict[str, str]) -> tuple[Any, ...] | None:
        async with await stage.connect(login) as connection:
            await connection.execute("CREATE TABLE mine AS SELECT 1 AS one")
            cursor = await connection.execute("SELECT current_database(), current_user FROM mine")
            return await cursor.fetchone()

    names = [(login["dbname"], login["username"]) for login in logins.values()]
    assert await all_of(map(work, logins.values())) == names
    for server in SERVER_NAMES:
        admin = await stage.login(server)
        assert admin["dbname"] == "postgres"
        assert await stage.logs_in(admin)


async def no_login_opens_another(stage: Stage, logins: dict[str, dict[str, str]]) -> None:
    """No user gets into another's database or a system database, on its server or elsewhere.

    Tried at the door by each user with one neighbour and by some with the rest, and asked of the
    server for all pairs.
    """
    names = list(logins)
    doors: list[tuple[dict[str, str], dict[str, str]]] = []
    for position, name in enumerate(names):
        login = logins[name]
        step = len(SERVER_NAMES)  # the next one of the same server
        neighbour = logins[names[(position + step) % len(names)]]
        doors.append((login, {"dbname": neighbour["dbname"], "port": neighbour["port"]}))
        if position % 20 == 0:
            elsewhere = logins[names[(position + 1) % len(names)]]
            doors.append((login, {"dbname": elsewhere["dbname"], "port": elsewhere["port"]}))
            doors += [(login, {"dbname": dbname}) for dbname in ("postgres", "template1")]
    opened = await all_of(stage.logs_in(login, **other) for login, other in doors)
    assert not any(opened)
    for home in stage.homes():
        rows = await stage.inspect(home, EVERY_OPEN_DOOR)
        assert rows == [], home.root.name
        assert await stage.inspect(home, COUNT_OF_USERS) != [(0,)]


EVERY_OPEN_DOOR = """
SELECT r.rolname, d.datname FROM pg_roles r, pg_database d
WHERE r.rolname LIKE 'db\\_%' AND d.datname <> r.rolname AND d.datallowconn
AND has_database_privilege(r.oid, d.oid, 'CONNECT')
"""
COUNT_OF_USERS = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'db\\_%'"


async def bare_create_database(stage: Stage, count: int = 10) -> float:
    """Return the seconds a database of CREATE DATABASE alone, on all servers at the same time."""
    began = time.monotonic()
    made = await all_of(
        stage.inspect(home, f"CREATE DATABASE bare_{number}")
        for number in range(count)
        for home in stage.homes()
    )
    return (time.monotonic() - began) / len(made)
