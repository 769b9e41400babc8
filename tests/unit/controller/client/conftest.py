"""Fixtures of the client's tests: servers on loopback, transports to them, and kubeconfigs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.unit.controller.client.pki import Pki, make_pki
from tests.unit.controller.client.webserver import Handler
from tests.unit.controller.client.wire import Recorder, Script, WireServer

from hybridpg.controller.client import AiohttpTransport, Config, StaticAuth, Timeouts

Serve = Callable[[Script], Awaitable[WireServer]]
Connect = Callable[..., AiohttpTransport]
Start = Callable[..., Awaitable[str]]


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


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts web servers that answer with a handler."""
    servers: list[TestServer] = []

    async def run(handler: Handler, **options: object) -> str:
        app = web.Application(client_max_size=100_000_000)
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app)
        await server.start_server(**options)  # type: ignore[arg-type]  # ssl= only
        servers.append(server)
        return str(server.make_url("")).rstrip("/")

    yield run
    for server in servers:
        await server.close()


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


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine says which kubeconfig is used, and how."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a kubeconfig may be written."""
    return tmp_path / "kubeconfig"
