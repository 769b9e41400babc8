"""The fence over real sockets: what waits for its connection is looked at again before it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hybridpg.controller.client import AiohttpTransport, Config, StaticAuth
from hybridpg.controller.errors import LeaseLost
from hybridpg.controller.fence import FencedTransport


class Lease:
    """Lost when a test says so."""

    lost = False

    def check(self, request: str) -> None:
        if self.lost:
            raise LeaseLost(f"{request} is refused")


class SlowLogin(StaticAuth):
    """Credentials that take their time: a plugin that runs, a token that is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Event()
        self.there = asyncio.Event()

    async def header(self) -> str:
        self.waiting.set()
        await self.there.wait()
        return await super().header()


@pytest.fixture
async def arrived() -> list[str]:
    return []


@pytest.fixture
async def url(arrived: list[str]) -> AsyncIterator[str]:
    async def handler(request: web.Request) -> web.Response:
        arrived.append(f"{request.method} {request.path}")
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


@pytest.mark.parametrize("reused", [True, False], ids=["connection from the pool", "new one"])
async def test_a_write_whose_lease_ended_while_it_waited_is_not_sent(url, arrived, reused):
    lease, login = Lease(), SlowLogin()
    transport = FencedTransport(AiohttpTransport(Config(url, auth=login)), lease.check)
    if reused:
        login.there.set()
        await transport.request("GET", "/first")
        login.there.clear()
        login.waiting.clear()
    write = asyncio.create_task(transport.request("PUT", "/a", body=b"{}"))
    await login.waiting.wait()
    lease.lost = True
    login.there.set()
    with pytest.raises(LeaseLost, match="PUT /a is refused"):
        await write
    assert arrived == (["GET /first"] if reused else [])
    assert (await transport.request("GET", "/b")).status == 200
    lease.lost = False
    assert (await transport.request("DELETE", "/c", body=b"{}")).status == 200
    assert arrived[-2:] == ["GET /b", "DELETE /c"]
    await transport.close()
