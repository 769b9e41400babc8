"""Fixtures of the client's tests: servers on loopback and transports to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.unit.controller.client.pki import Pki, make_pki
from tests.unit.controller.client.wire import Recorder, Script, WireServer

from hybridpg.controller.client import AiohttpTransport, Config, StaticAuth, Timeouts

Serve = Callable[[Script], Awaitable[WireServer]]
Connect = Callable[..., AiohttpTransport]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Script], Awaitable[str]]]:
    servers: list[WireServer] = []

    async def start(script: Script) -> str:
        servers.append(WireServer(script))
        return await servers[-1].start()

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture(params=["in-place", "library"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Makes transports; each test runs with both ways of reading watches."""
    transports: list[AiohttpTransport] = []

    def make(host: str, **options: object) -> AiohttpTransport:
        timeouts = options.pop("timeouts", None) or Timeouts(connect=5, request=5, silence=5)
        options.setdefault("auth", StaticAuth())
        config = Config(host=host, **options)  # type: ignore[arg-type]  # the test's own
        transport = AiohttpTransport(
            config,
            timeouts=timeouts,  # type: ignore[arg-type]
            in_place=request.param == "in-place",
        )
        transports.append(transport)
        return transports[-1]

    yield make
    for transport in transports:
        await transport.close()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))
