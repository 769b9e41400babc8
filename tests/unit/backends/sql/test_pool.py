"""The sessions on one server: never too many, a short queue, and no trap where a server hangs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hybridpg.backends import Busy, Denied, Unknown
from hybridpg.backends.sql.pool import (
    BUSY_SECONDS,
    CROWD_SECONDS,
    DOWN_SECONDS,
    IDLE_SECONDS,
    SESSIONS,
    WAIT_SECONDS,
    WAITING,
    WRITING,
    Pool,
)
from hybridpg.backends.sql.succession import LEAVING_SECONDS

from .fake_server import ENDPOINT, SUCCESSION, FakeServer

pytestmark = pytest.mark.virtual_time


def pool(server: FakeServer) -> Pool:
    return Pool(ENDPOINT, connect=server.connect, succession=SUCCESSION)


async def test_a_session_is_used_again():
    """D13."""
    server = FakeServer()
    sessions = pool(server)

    for _ in range(100):
        async with sessions.session():
            await asyncio.sleep(0)

    assert len(server.opened) == 1


async def use(sessions: Pool, seconds: float = 0.0, *, looking: bool = False) -> None:
    async with sessions.session(looking=looking):
        await asyncio.sleep(seconds)


async def outcomes(sessions: Pool, callers: int, seconds: float) -> list[Busy | None]:
    """Let so many come at the same time; returns what each was told."""
    told = await asyncio.gather(
        *(use(sessions, seconds) for _ in range(callers)), return_exceptions=True
    )
    assert all(each is None or isinstance(each, Busy) for each in told)
    return told  # type: ignore[return-value]  # asserted


async def test_who_waits_gets_the_session_that_comes_free_in_the_order_of_arrival():
    server = FakeServer()
    sessions, served = pool(server), []

    async def come(number: int) -> None:
        async with sessions.session():
            served.append(number)
            await asyncio.sleep(0.1)

    await asyncio.gather(*(come(number) for number in range(WRITING + WAITING)))

    assert served == list(range(WRITING + WAITING))
    assert len(server.opened) == WRITING


async def test_who_finds_the_queue_full_is_sent_away_at_once():
    sessions = pool(FakeServer())
    now = asyncio.get_running_loop().time
    others = [asyncio.create_task(use(sessions, 0.1)) for _ in range(WRITING + WAITING)]
    await asyncio.sleep(0)

    with pytest.raises(Busy, match="all 4 sessions on server db:5432 are in use") as caught:
        await use(sessions)

    assert now() == 0
    assert BUSY_SECONDS[0] <= caught.value.retry_after <= BUSY_SECONDS[1]
    await asyncio.gather(*others)


async def test_nobody_waits_long():
    sessions = pool(FakeServer())
    now = asyncio.get_running_loop().time
    others = [asyncio.create_task(use(sessions, 30)) for _ in range(WRITING)]
    await asyncio.sleep(0)

    with pytest.raises(Busy):
        await use(sessions)

    assert now() == WAIT_SECONDS
    await asyncio.gather(*others)


async def test_who_only_looks_does_not_wait_for_those_who_write():
    sessions = pool(FakeServer())
    now = asyncio.get_running_loop().time
    others = [asyncio.create_task(use(sessions, 0.1)) for _ in range(WRITING + WAITING)]
    await asyncio.sleep(0)

    await use(sessions, looking=True)

    assert now() == 0
    await asyncio.gather(*others)


async def test_who_only_looks_is_not_put_behind_the_crowd():
    sessions = pool(FakeServer())
    for _ in range(100):
        await outcomes(sessions, WRITING, 1.0)
    await outcomes(sessions, 100, 1.0)
    others = [asyncio.create_task(use(sessions, 0.1, looking=True)) for _ in range(8)]
    await asyncio.sleep(0)

    with pytest.raises(Busy) as caught:
        await use(sessions, looking=True)

    assert caught.value.retry_after <= BUSY_SECONDS[1]
    await asyncio.gather(*others)


async def test_a_crowd_comes_back_as_fast_as_it_can_be_served():
    """A pass that is turned away has cost as much as one that is not."""
    sessions = pool(FakeServer())
    for _ in range(100):
        await outcomes(sessions, WRITING, 0.05)  # so the pool knows how long one takes

    told = await outcomes(sessions, 100, 0.05)

    delays = sorted(each.retry_after for each in told if each is not None)
    assert len(delays) == 100 - WRITING - WAITING
    served = 0.05 / WRITING * len(delays)
    assert served * 0.6 < delays[-1] < served + BUSY_SECONDS[1]
    assert delays[len(delays) // 2] < 0.7 * delays[-1], "spread out, not all at the end"


async def test_nobody_of_a_crowd_is_sent_away_for_long():
    sessions = pool(FakeServer())
    for _ in range(100):
        await outcomes(sessions, WRITING, 1.0)

    told = await outcomes(sessions, 5_000, 1.0)

    assert max(each.retry_after for each in told if each) <= CROWD_SECONDS + BUSY_SECONDS[1]


async def test_a_session_that_is_being_opened_counts():
    server = FakeServer(connect_seconds=0.1)
    sessions = pool(server)

    told = await outcomes(sessions, 10, 0.1)

    assert len([each for each in told if each is not None]) == 10 - WRITING - WAITING
    assert len(server.opened) == WRITING


async def test_there_are_never_more_sessions_than_allowed():
    server = FakeServer(connect_seconds=0.01)
    sessions, held, most = pool(server), 0, 0

    async def come(number: int) -> None:
        nonlocal held, most
        try:
            async with sessions.session(looking=number % 3 == 0):
                held += 1
                most = max(most, held)
                await asyncio.sleep(0.01 * (number % 5))
                held -= 1
        except Busy as error:
            await asyncio.sleep(error.retry_after)
            await come(number)

    await asyncio.gather(*(come(number) for number in range(60)))

    assert most == SESSIONS
    assert held == 0


async def test_who_is_cancelled_while_waiting_leaves_no_gap():
    sessions = pool(FakeServer())
    first = [asyncio.create_task(use(sessions, 0.1)) for _ in range(WRITING)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(use(sessions, 0.1)) for _ in range(WAITING)]
    await asyncio.sleep(0)

    waiting[0].cancel()
    await asyncio.gather(*first)  # now the others are called
    waiting[1].cancel()  # called, and gone before it could begin
    await asyncio.gather(*waiting, return_exceptions=True)

    assert await outcomes(sessions, WRITING + WAITING, 0.1) == [None] * (WRITING + WAITING)


async def test_who_waits_while_the_server_goes_down_hears_of_it():
    server = FakeServer(refuse=Unknown("no answer"), connect_seconds=0.1)
    sessions = pool(server)

    told = await asyncio.gather(
        *(use(sessions) for _ in range(WRITING + WAITING)), return_exceptions=True
    )

    assert [str(each) for each in told] == ["no answer"] * (WRITING + WAITING)
    assert len(server.opened) == WRITING


async def test_places_are_given_back_after_errors_of_the_caller():
    sessions = pool(FakeServer())

    for _ in range(3 * SESSIONS):
        with pytest.raises(ValueError, match="mine"):
            async with sessions.session():
                raise ValueError("mine")


async def test_places_are_given_back_after_a_cancellation():
    server = FakeServer(connect_seconds=10)
    sessions = pool(server)

    async def come() -> None:
        async with sessions.session():
            pytest.fail("cancelled before")

    for _ in range(3 * SESSIONS):
        task = asyncio.create_task(come())
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
        async with sessions.session("orders", looking=True):
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
        async with sessions.session("orders", looking=True):
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
        Pool(replace(ENDPOINT, admin=None), connect=FakeServer().connect, succession=SUCCESSION)


async def test_nobody_writes_before_the_sessions_of_a_former_process_are_gone():
    """Invariant 9."""
    server = FakeServer(strangers=[2, 1])
    sessions = pool(server)

    for left in (2, 1):
        with pytest.raises(Busy, match=f"{left} sessions of a former process") as busy:
            await use(sessions)
        assert busy.value.retry_after == LEAVING_SECONDS

    await use(sessions)
    await use(sessions)
    assert len(server.round_trips) == 3, "once for a process, when they are gone"
    assert server.opened == ["postgres"]


async def test_who_only_looks_ends_no_session_of_another_process():
    server = FakeServer(strangers=[1])
    sessions = pool(server)

    await use(sessions, looking=True)

    assert server.round_trips == []


async def test_where_former_sessions_cannot_be_ended_nothing_is_written():
    server = FakeServer()
    sessions = pool(server)
    server.refuse = Denied("no")

    with pytest.raises(Denied):
        await use(sessions)

    assert server.round_trips == []
