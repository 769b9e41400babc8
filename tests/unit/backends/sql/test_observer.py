"""One view of a server for all of its databases: few round trips, and never a stale own write."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.backends import Busy, Unknown
from hybridpg.backends.sql.catalog import DatabaseFacts
from hybridpg.backends.sql.observer import (
    INSIDE_SECONDS,
    OFFER_SECONDS,
    SLOW_SECONDS,
    TTL_SECONDS,
    WAIT_SECONDS,
    Observer,
)
from hybridpg.backends.sql.pool import Pool, loop_time

from .fake_server import ENDPOINT, SUCCESSION, FakeServer, database_row, role_row

pytestmark = pytest.mark.virtual_time
ORDERS = DatabaseFacts(*database_row("orders"))


def observer(server: FakeServer) -> Observer:
    return Observer(Pool(ENDPOINT, connect=server.connect, succession=SUCCESSION), now=loop_time)


def full_server(**options: float) -> FakeServer:
    names = [f"db{number}" for number in range(40)]
    return FakeServer(
        roles=[role_row(name) for name in names],
        databases=[database_row(name, 16400 + at) for at, name in enumerate(names)],
        **options,  # type: ignore[arg-type]  # seconds, by name
    )


async def test_forty_databases_are_read_by_one_round_trip():
    server = full_server(answer_seconds=0.01)
    view = observer(server)

    catalogs = await asyncio.gather(*(view.catalog(f"db{number}") for number in range(40)))

    assert len(server.round_trips) == 1
    assert all(f"db{at}" in catalog.databases for at, catalog in enumerate(catalogs))


async def test_a_view_serves_for_a_moment_and_no_longer():
    server = full_server()
    view = observer(server)
    await view.catalog("db1")
    await asyncio.sleep(TTL_SECONDS * 0.9)
    await view.catalog("db2")
    assert len(server.round_trips) == 1

    await asyncio.sleep(TTL_SECONDS * 0.2)
    await view.catalog("db3")

    assert len(server.round_trips) == 2


async def test_a_name_that_we_wrote_to_is_read_anew():
    server = full_server(answer_seconds=0.001)
    view = observer(server)
    await view.catalog("db1")
    server.databases.append(database_row("new", 17000))
    view.touch("new")

    assert "new" in (await view.catalog("new")).databases
    assert len(server.round_trips) == 2


async def test_what_we_wrote_to_is_read_by_itself():
    """A thousand new databases must not make a thousand reads of all that there are."""
    server = full_server(answer_seconds=0.001)
    view = observer(server)
    await view.catalog("db1")
    server.databases.append(database_row("new", 17000))
    view.touch("new")

    catalog = await view.catalog("new")

    assert set(catalog.databases) == {"new"}
    assert len((await view.catalog("db1")).databases) == 40


async def test_a_write_to_one_database_leaves_the_view_to_the_others():
    server = full_server(answer_seconds=0.001)
    view = observer(server)
    await view.catalog("db1")
    view.touch("db2")

    await view.catalog("db1")

    assert len(server.round_trips) == 1


async def test_a_read_that_began_before_the_write_is_not_enough():
    server = full_server(answer_seconds=0.1)
    view = observer(server)
    first = asyncio.create_task(view.catalog("db1"))
    await asyncio.sleep(0.05)
    view.touch("db2")

    await view.catalog("db2")
    await first

    assert len(server.round_trips) == 2


async def test_whoever_waits_for_a_slow_read_is_soon_sent_away():
    """One server that hangs must not hold the workers of all the others."""
    server = full_server(connect_seconds=5)
    view = observer(server)
    now = asyncio.get_running_loop().time
    first = asyncio.create_task(view.catalog("db1"))
    await asyncio.sleep(0)

    results = await asyncio.gather(
        *(view.catalog(f"db{number}") for number in range(20)), return_exceptions=True
    )
    assert now() == WAIT_SECONDS
    assert all(isinstance(result, Busy) for result in results)

    with pytest.raises(Busy, match="server db:5432 takes long to answer"):
        await view.catalog("db2")
    assert now() == WAIT_SECONDS, "the next ones do not wait at all"
    with pytest.raises(Busy):  # nor does whoever began it wait for longer
        await first


async def test_why_a_slow_read_failed_is_told_to_who_comes_again():
    """Somebody has to fail of it, or a server that hangs would be asked for ever at full pace."""
    server = full_server(connect_seconds=5)
    server.refuse = Unknown("no answer")
    view = observer(server)
    with pytest.raises(Busy):
        await view.catalog("db1")
    await asyncio.sleep(5)

    with pytest.raises(Unknown, match="no answer"):
        await view.catalog("db1")


async def test_what_a_slow_read_brought_is_kept_until_all_have_come_again():
    """A server that always takes two seconds would otherwise be read again and again in vain."""
    server = full_server(connect_seconds=2)
    view = observer(server)
    with pytest.raises(Busy):
        await view.catalog("db1")
    await asyncio.sleep(1 + SLOW_SECONDS[1])

    assert "db1" in (await view.catalog("db1")).databases
    assert len(server.round_trips) == 1


async def test_what_a_slow_read_brought_is_shared_by_those_who_come_again():
    server = full_server(connect_seconds=2)
    view = observer(server)
    first = asyncio.create_task(view.catalog("db1"))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await view.catalog("db2")
    with pytest.raises(Busy):
        await first
    await asyncio.sleep(1)

    assert "db2" in (await view.catalog("db2")).databases
    assert len(server.round_trips) == 1


async def test_an_error_reaches_everybody_who_waits_and_is_not_kept():
    server = full_server(connect_seconds=0.5)
    server.refuse = Unknown("no answer")
    view = observer(server)

    results = await asyncio.gather(
        *(view.catalog(f"db{number}") for number in range(3)), return_exceptions=True
    )
    assert [str(result) for result in results] == ["no answer"] * 3

    server.refuse = None
    await asyncio.sleep(10)
    assert (await view.catalog("db1")).databases


async def test_a_caller_that_is_cancelled_takes_nobody_along():
    server = full_server(answer_seconds=0.5)
    view = observer(server)
    first = asyncio.create_task(view.catalog("db1"))
    await asyncio.sleep(0)
    second = asyncio.create_task(view.catalog("db2"))
    await asyncio.sleep(0.1)
    first.cancel()

    assert "db2" in (await second).databases
    assert len(server.round_trips) == 1


async def test_an_error_that_nobody_waits_for_any_more_is_not_reported_as_lost():
    server = full_server(connect_seconds=0.5)
    server.refuse = Unknown("no answer")
    view = observer(server)
    task = asyncio.create_task(view.catalog("db1"))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.sleep(1)  # a lost exception would fail the test as an unraisable warning

    assert task.cancelled()


async def test_extensions_and_locales_are_read_rarely():
    server = full_server()
    view = observer(server)
    for _ in range(10):
        assert "pgcrypto" in (await view.offer()).extensions
    await asyncio.sleep(OFFER_SECONDS)
    await view.offer()

    assert len(server.round_trips) == 2


async def test_a_database_is_looked_into_about_once_an_hour():
    server = full_server()
    view = observer(server)
    for _ in range(10):
        assert (await view.inside(ORDERS)).extensions == {"plpgsql"}
    await asyncio.sleep(INSIDE_SECONDS[0] - 1)
    await view.inside(ORDERS)
    assert server.opened == ["orders"]

    await asyncio.sleep(INSIDE_SECONDS[1])
    await view.inside(ORDERS)
    assert server.opened == ["orders", "orders"]


async def test_a_database_that_we_wrote_to_is_looked_into_again():
    server = full_server()
    view = observer(server)
    await view.inside(ORDERS)
    view.touch("orders", ORDERS.oid)
    await view.inside(ORDERS)

    assert server.opened == ["orders", "orders"]


async def test_a_database_made_anew_is_another_database():
    """Its oid tells them apart, although the name is the same."""
    server = full_server()
    view = observer(server)
    await view.inside(ORDERS)
    await view.inside(DatabaseFacts(*database_row("orders", 99999)))

    assert len(server.opened) == 2


async def test_a_refusal_is_remembered_for_a_while():
    view = observer(full_server())
    view.refuse(16400, {"postgis": "may not"})

    assert view.refused(16400) == {"postgis": "may not"}
    assert view.refused(16401) == {}
    await asyncio.sleep(OFFER_SECONDS)
    assert view.refused(16400) == {}


async def test_what_is_remembered_of_dropped_databases_is_forgotten():
    server = full_server()
    view = observer(server)
    await view.inside(ORDERS)
    view.refuse(ORDERS.oid, {"postgis": "may not"})
    server.databases.clear()
    await view.catalog("orders")

    assert view.refused(ORDERS.oid) == {}
    await view.inside(ORDERS)
    assert server.opened.count("orders") == 2


async def test_an_incomplete_answer_is_no_answer(monkeypatch):
    server = full_server()

    async def half(*_: object, **__: object) -> list[list[object]]:
        return [[], []]

    monkeypatch.setattr("tests.unit.backends.sql.fake_server.FakeSession.execute", half)

    with pytest.raises(Unknown, match="incompletely"):
        await observer(server).catalog("db1")


async def test_closing_ends_the_read_that_is_under_way():
    view = observer(full_server(connect_seconds=5))
    task = asyncio.create_task(view.catalog("db1"))
    await asyncio.sleep(0.1)
    view.close()

    with pytest.raises(Unknown, match="was cancelled"):
        await task
