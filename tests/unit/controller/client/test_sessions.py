"""Sessions are exchanged with their TLS context, and the former ones end when nobody uses them."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest

from hybridpg.controller.client.sessions import SessionPool
from hybridpg.controller.errors import TransportError


@pytest.fixture
async def pool():
    pool = SessionPool(timeout=aiohttp.ClientTimeout(total=5), limit=3, user_agent="tests")
    yield pool
    await pool.close()


@pytest.fixture
def contexts() -> list[ssl.SSLContext]:
    return [ssl.create_default_context(), ssl.create_default_context()]


async def test_one_context_has_one_session(pool: SessionPool):
    async with pool.session(None) as first:
        pass
    async with pool.session(None) as second:
        assert second is first
        assert not second.closed


async def test_a_new_context_has_a_new_session_and_an_idle_one_is_closed(pool, contexts):
    async with pool.session(contexts[0]) as first:
        pass
    assert not first.closed
    async with pool.session(contexts[1]) as second:
        assert second is not first
        assert first.closed


async def test_a_session_in_use_is_closed_by_the_last_of_its_users(pool, contexts):
    async with pool.session(contexts[0]) as former:
        async with pool.session(contexts[0]):
            async with pool.session(contexts[1]) as current:
                assert not former.closed
            assert not former.closed
        assert not former.closed
    assert former.closed
    assert not current.closed


async def test_closing_closes_all_of_them_and_makes_no_more(pool, contexts):
    async with pool.session(contexts[0]) as former, pool.session(contexts[1]) as current:
        await pool.close()
        assert former.closed
        assert current.closed
    with pytest.raises(TransportError, match="the transport is closed"):
        await pool.session(contexts[0]).__aenter__()


async def test_a_pool_that_is_closed_while_a_session_is_exchanged_gives_none_out(pool, contexts):
    """The end of the former one's connections may take its time."""
    async with pool.session(contexts[0]) as former:
        pass
    closing, go_on = asyncio.Event(), asyncio.Event()
    end = former.connector.close

    async def slowly(**_: object) -> None:
        closing.set()
        await go_on.wait()
        await end()

    former.connector.close = slowly
    exchanging = asyncio.create_task(pool.session(contexts[1]).__aenter__())
    await closing.wait()
    await pool.close()
    go_on.set()

    with pytest.raises(TransportError, match="the transport is closed"):
        await exchanging
