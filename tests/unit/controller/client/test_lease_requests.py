"""Requests for Leases over real sockets: no others can take their connections from them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hybridpg.controller import AiohttpTransport, Client, LeaseConfig
from hybridpg.controller.client import Config
from hybridpg.controller.client.transport import REQUEST_CONNECTIONS
from hybridpg.controller.leader import LeaderElector
from hybridpg.controller.types import SECRETS, JsonObject, ObjectKey


class Server:
    """Stores one Lease, and answers nothing else."""

    def __init__(self) -> None:
        self.hanging = 0
        self.writes = 0
        self.lease: JsonObject | None = None
        app = web.Application()
        app.router.add_route("*", "/apis/coordination.k8s.io/{path:.*}", self._of_leases)
        app.router.add_route("*", "/{path:.*}", self._hang)
        self.http = TestServer(app)

    async def _hang(self, request: web.Request) -> web.Response:
        self.hanging += 1
        await asyncio.Event().wait()
        raise AssertionError

    async def _of_leases(self, request: web.Request) -> web.Response:
        if request.method != "GET":
            self.writes += 1
            lease = self.lease = json.loads(await request.read())
            lease["metadata"]["resourceVersion"] = str(self.writes)
        if self.lease is None:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        return web.json_response(self.lease)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.http.start_server()
    yield made
    await made.http.close()


async def test_a_lease_is_won_and_renewed_while_all_other_requests_hang(server: Server):
    client = Client(AiohttpTransport(Config(str(server.http.make_url("")).rstrip("/"))))
    others = [
        asyncio.create_task(client.get(SECRETS, ObjectKey("default", "a")))
        for _ in range(REQUEST_CONNECTIONS + 1)
    ]
    config = LeaseConfig("default", "a", duration=3, renew_deadline=2, retry_period=0.01)
    elector = LeaderElector(client, config)
    leads = asyncio.Event()
    async with asyncio.timeout(30):
        while server.hanging < REQUEST_CONNECTIONS:
            await asyncio.sleep(0.01)
        candidate = asyncio.create_task(elector.run(leads.set))
        await leads.wait()
        while server.writes < 3:
            await asyncio.sleep(0.01)
    assert elector.is_leader
    assert server.hanging == REQUEST_CONNECTIONS, "the others wait for each other as before"
    for task in (candidate, *others):
        task.cancel()
    await asyncio.wait([candidate, *others])
    await client.transport.close()
