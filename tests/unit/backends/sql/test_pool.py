"""The sessions on one server: never too many, never a queue, and no trap where a server hangs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from hybridpg.backends import Busy, Denied, Unknown
from hybridpg.backends.sql.pool import (
    BUSY_SECONDS,
    DOWN_SECONDS,
    IDLE_SECONDS,
    SESSIONS,
    Pool,
)

from .fake_server import ENDPOINT, FakeServer

pytestmark = pytest.mark.virtual_time


def pool(server: FakeServer) -> Pool:
    return Pool(ENDPOINT, connect=server.connect)


async def test_a_session_is_used_again():
    """D13."""
    server = FakeServer()
    sessions = pool(server)

    for _ in range(100):
        async with sessions.session():
            await asyncio.sleep(0)

    assert len(server.opened) == 1


async def test_one_caller_too_many_is_sent_away_at_once():
    server = FakeServer()
    sessions = pool(server)
    now = asyncio.get_running_loop().time

    async with AsyncExitStack() as stack:
        for _ in range(SESSIONS):
            await stack.enter_async_context(sessions.session())
        with pytest.raises(Busy, match="all 4 sessions on server db:5432 are in use") as caught:
            async with sessions.session():
                pytest.fail("a session too many")

    assert now() == 0
    assert BUSY_SECONDS[0] <= caught.value.retry_after <= BUSY_SECONDS[1]


async def test_callers_that_are_sent_away_do_not_come_back_together():
    server = FakeServer()
    sessions = pool(server)
    delays = set()

    async with AsyncExitStack() as stack:
        for _ in range(SESSIONS):
            await stack.enter_async_context(sessions.session())
        for _ in range(10):
            with pytest.raises(Busy) as caught:
                async with sessions.session():
                    pytest.fail("a session too many")
            delays.add(caught.value.retry_after)

    assert len(delays) > 5


async def test_a_session_that_is_being_opened_counts():
    server = FakeServer(connect_seconds=1)
    sessions = pool(server)

    async def use() -> None:
        async with sessions.session():
            pass

    results = await asyncio.gather(*(use() for _ in range(10)), return_exceptions=True)

    assert sum(isinstance(result, Busy) for result in results) == 10 - SESSIONS
    assert len(server.opened) == SESSIONS


async def test_places_are_given_back_after_errors_of_the_caller():
    sessions = pool(FakeServer())

    for _ in range(3 * SESSIONS):
        with pytest.raises(ValueError, match="mine"):
            async with sessions.session():
                raise ValueError("mine")


async def test_places_are_given_back_after_a_cancellation():
    server = FakeServer(connect_seconds=10)
    sessions = pool(server)

    async def use() -> None:
        async with sessions.session():
            pytest.fail("cancelled before")

    for _ in range(3 * SESSIONS):
        task = asyncio.create_task(use())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_idle_session_is_closed_after_a_while():
    server = FakeServer()
    sessions = pool(server)
    async with sessions.session():
        pass

    await asyncio.sleep(IDLE_SECONDS - 1)
    assert server.closed == 0
    await asyncio.sleep(2)
    assert server.closed == 1


async def test_a_session_that_is_used_in_between_is_kept():
    server = FakeServer()
    sessions = pool(server)
    for _ in range(10):
        async with sessions.session():
            pass
        await asyncio.sleep(IDLE_SECONDS * 0.6)

    assert len(server.opened) == 1


async def test_a_broken_session_is_replaced():
    server = FakeServer()
    sessions = pool(server)
    async with sessions.session() as session:
        session.usable = False  # type: ignore[misc]  # the fake's is an attribute
    async with sessions.session():
        pass

    assert len(server.opened) == 2
    assert server.closed == 1


async def test_a_session_that_breaks_while_it_is_idle_is_replaced():
    server = FakeServer()
    sessions = pool(server)
    async with sessions.session() as first:
        pass
    first.usable = False  # type: ignore[misc]  # the fake's is an attribute
    async with sessions.session() as second:
        assert second is not first


async def test_a_session_in_a_tenants_database_is_closed_and_never_kept():
    """It would block a DROP, and live beside the tenant's code."""
    server = FakeServer()
    sessions = pool(server)
    for _ in range(2):
        async with sessions.session("orders"):
            pass

    assert server.opened == ["orders", "orders"]
    assert server.closed == 2


@pytest.mark.parametrize("error", [Unknown("no answer"), Denied("wrong password")])
async def test_a_server_that_does_not_let_us_in_is_left_alone_for_a_moment(error):
    """M10: a server that hangs costs one connect timeout, not one for each database."""
    server = FakeServer(refuse=error, connect_seconds=5)
    sessions = pool(server)
    now = asyncio.get_running_loop().time
    with pytest.raises(type(error)):
        async with sessions.session():
            pytest.fail("refused")
    assert now() == 5

    for _ in range(100):
        with pytest.raises(type(error), match=str(error)):
            async with sessions.session():
                pytest.fail("refused")

    assert now() == 5, "the others fail at once"
    assert len(server.opened) == 1


async def test_it_is_tried_again_after_that_moment():
    server = FakeServer(refuse=Unknown("no answer"))
    sessions = pool(server)
    with pytest.raises(Unknown):
        async with sessions.session():
            pytest.fail("refused")

    server.refuse = None
    await asyncio.sleep(DOWN_SECONDS)
    async with sessions.session():
        pass

    assert len(server.opened) == 2


async def test_a_server_that_is_merely_full_is_not_taken_for_down():
    server = FakeServer(refuse=Busy("too many clients", retry_after=1))
    sessions = pool(server)
    for _ in range(2):
        with pytest.raises(Busy):
            async with sessions.session():
                pytest.fail("refused")

    assert len(server.opened) == 2


async def test_a_tenants_database_that_refuses_does_not_close_the_server():
    server = FakeServer(refuse=Unknown("not accepting connections"))
    sessions = pool(server)
    with pytest.raises(Unknown):
        async with sessions.session("orders"):
            pytest.fail("refused")

    server.refuse = None
    async with sessions.session():
        pass


async def test_closing_ends_idle_sessions_at_once_and_the_others_when_they_come_back():
    server = FakeServer()
    sessions = pool(server)
    async with sessions.session():
        async with sessions.session():
            pass
        sessions.close()
        assert server.closed == 1

    assert server.closed == 2


async def test_without_an_admin_login_nothing_is_tried():
    with pytest.raises(Unknown, match="no admin login for server db:5432 yet"):
        Pool(replace(ENDPOINT, admin=None))
