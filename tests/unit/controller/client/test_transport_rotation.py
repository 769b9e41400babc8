"""Tokens, authorities and client certificates that are rotated under a running process."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from tests.unit.controller.client.pki import Pki, make_pki
from tests.unit.controller.client.wire import CHUNKED, Received, answer, chunk, receive

from hybridpg.controller.client import AiohttpTransport, Config, TlsConfig, TokenFile
from hybridpg.controller.errors import ConnectionRefused, Unauthorized

DENIED = answer(b"{}", status="401 Unauthorized")


class ApiServer:
    """An HTTPS server that knows one valid token, or one authority of client certificates.

    A watch gives an event at once and one more for each ``release``; it ends when told.
    """

    def __init__(self) -> None:
        self.token = ""  # empty: none is asked for
        self.client_serial = 0  # of the client certificate that is asked for
        self.keeps_connections = True
        self.requests: list[Received] = []
        self.connections = 0
        self.end = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, context: ssl.SSLContext, port: int = 0) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=context)
        return f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self.connections += 1
        try:
            while True:
                request = await receive(reader)
                self.requests.append(request)
                if not self._admits(request, writer):
                    writer.write(DENIED)
                elif "watch" in request.target:
                    writer.write(CHUNKED + chunk(b"event\n"))
                    await self.end.wait()
                    writer.write(chunk(b"last\n") + chunk(b""))
                else:
                    close = "" if self.keeps_connections else "Connection: close\r\n"
                    writer.write(answer(b"welcome", headers=close))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    def _admits(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        if self.token:
            return request.headers.get("authorization") == f"Bearer {self.token}"
        if self.client_serial:
            shown = writer.get_extra_info("peercert") or {}
            return int(shown.get("serialNumber", "0"), 16) == self.client_serial
        return True


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
def new_pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """What the certificates are rotated to."""
    return make_pki(tmp_path_factory.mktemp("new-pki"))


@pytest.fixture
def ca(tmp_path: Path, pki: Pki) -> Path:
    return Path(shutil.copy(pki.ca, tmp_path / "ca.crt"))


async def lines_of(transport: AiohttpTransport) -> list[bytes]:
    return [line async for lines in transport.stream("/watch") for line in lines]


def serial(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


# --- tokens ------------------------------------------------------------------------------------


async def test_a_token_rotated_under_a_watch_leaves_it_open_and_the_next_one_uses_it(
    server, connect, tmp_path: Path, pki: Pki
):
    """H27: the watch that is open goes on, the one after it and requests use the new token."""
    token = tmp_path / "token"
    token.write_text("old\n")
    server.token = "old"
    host = await server.start(pki.server_context())
    transport = connect(host, tls=TlsConfig(ca_file=str(pki.ca)), auth=TokenFile(token))
    watch = transport.stream("/watch")
    assert await anext(watch) == [b"event"]

    server.token = "new"
    token.write_text("new\n")
    assert (await transport.request("GET", "/")).status == 200
    server.end.set()
    assert await anext(watch) == [b"last"]
    assert [lines async for lines in watch] == []
    assert await lines_of(transport) == [b"event", b"last"]

    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]


async def test_many_watches_that_are_refused_at_once_recover_with_one_new_token(
    server, connect, tmp_path: Path, pki: Pki
):
    """H27."""
    token = tmp_path / "token"
    token.write_text("old")
    server.token = "new"
    server.end.set()
    host = await server.start(pki.server_context())
    transport = connect(host, tls=TlsConfig(ca_file=str(pki.ca)), auth=TokenFile(token))
    await transport.config.auth.header()
    token.write_text("new")

    results = await asyncio.gather(*(lines_of(transport) for _ in range(20)))

    assert results == [[b"event", b"last"]] * 20
    assert 21 <= len(server.requests) <= 40


# --- authorities -------------------------------------------------------------------------------


@pytest.fixture
async def rotated(server, connect, ca: Path, pki: Pki, new_pki: Pki) -> AiohttpTransport:
    """A transport whose server came back with a certificate of a new authority."""
    server.keeps_connections = False  # or a write would find its connection gone
    host = await server.start(pki.server_context())
    transport: AiohttpTransport = connect(host, tls=TlsConfig(ca_file=str(ca)))
    assert (await transport.request("GET", "/")).status == 200
    await server.stop()
    server.end.set()
    await server.start(new_pki.server_context(), port=int(host.rsplit(":", 1)[1]))
    return transport


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_server_with_a_new_authority_is_trusted_once_its_file_is_there(
    rotated, server, ca: Path, new_pki: Pki, method: str
):
    with pytest.raises(ConnectionRefused, match="not trusted"):
        await rotated.request(method, "/")
    shutil.copy(new_pki.ca, ca)
    server.requests.clear()

    assert (await rotated.request(method, "/")).status == 200
    assert [request.method for request in server.requests] == [method]


async def test_a_watch_trusts_a_new_authority_once_its_file_is_there(
    rotated, ca: Path, new_pki: Pki
):
    with pytest.raises(ConnectionRefused, match="not trusted"):
        await lines_of(rotated)
    shutil.copy(new_pki.ca, ca)

    assert await lines_of(rotated) == [b"event", b"last"]


async def test_a_half_written_authority_stops_nothing_that_worked(
    server, connect, ca: Path, pki: Pki, caplog: pytest.LogCaptureFixture
):
    server.client_serial = 1
    server.end.set()
    tls = TlsConfig(ca_file=str(ca), certificate_file=str(pki.client), key_file=str(pki.client))
    transport = connect(await server.start(pki.server_context()), tls=tls)
    assert (await transport.request("GET", "/")).status == 401
    ca.write_bytes(b"-----BEGIN")
    assert (await transport.request("GET", "/")).status == 401  # which looks at the files
    server.client_serial = 0

    assert (await transport.request("GET", "/")).status == 200
    assert await lines_of(transport) == [b"event", b"last"]
    assert caplog.text.count("cannot be used, the old ones stay in use") == 1


# --- client certificates -----------------------------------------------------------------------


@pytest.fixture
def client_files(tmp_path: Path, pki: Pki, new_pki: Pki) -> Path:
    return Path(shutil.copy(pki.client, tmp_path / "client.pem"))


@pytest.fixture
async def presenting(server, connect, client_files: Path, pki: Pki, new_pki: Pki):
    """A transport that shows a client certificate; the server accepts that of the new ones."""
    context = pki.server_context(client_certificates=True)
    context.load_verify_locations(new_pki.ca)
    server.client_serial = serial(new_pki.client)
    server.end.set()
    tls = TlsConfig(
        ca_file=str(pki.ca), certificate_file=str(client_files), key_file=str(client_files)
    )
    return connect(await server.start(context), tls=tls)


async def test_a_renewed_client_certificate_is_shown_after_a_401(
    presenting, client_files: Path, new_pki: Pki
):
    assert (await presenting.request("GET", "/")).status == 401
    with pytest.raises(Unauthorized):
        await lines_of(presenting)
    shutil.copy(new_pki.client, client_files)

    assert (await presenting.request("GET", "/")).status == 200
    assert await lines_of(presenting) == [b"event", b"last"]


async def test_a_watch_shows_a_renewed_client_certificate_after_a_401(
    presenting, client_files: Path, new_pki: Pki
):
    with pytest.raises(Unauthorized):
        await lines_of(presenting)
    shutil.copy(new_pki.client, client_files)

    assert await lines_of(presenting) == [b"event", b"last"]


async def test_requests_under_way_end_on_their_connection_while_new_ones_use_another(
    presenting, server, client_files: Path, new_pki: Pki
):
    server.end.clear()
    server.client_serial = 0
    long_request = asyncio.create_task(presenting.request("GET", "/watch"))
    while not server.requests:
        await asyncio.sleep(0.001)
    server.client_serial = serial(new_pki.client)
    shutil.copy(new_pki.client, client_files)

    assert (await presenting.request("GET", "/")).status == 200
    server.end.set()
    assert (await long_request).body == b"event\nlast\n"


async def test_a_login_plugin_that_returns_a_new_certificate_reaches_new_connections(
    server, connect, pki: Pki, new_pki: Pki
):
    """Single flight: of many that are refused at once, one renews and all recover."""
    context = pki.server_context(client_certificates=True)
    context.load_verify_locations(new_pki.ca)
    server.client_serial = serial(new_pki.client)
    server.end.set()

    class Plugin:
        runs = 0
        pem = pki.client

        async def header(self) -> str:
            return ""

        async def rejected(self, used: str) -> bool:
            self.runs += 1
            self.pem = new_pki.client
            return False

        async def close(self) -> None: ...

    plugin = Plugin()

    def tls() -> TlsConfig:
        pem = str(plugin.pem)
        return TlsConfig(ca_file=str(pki.ca), certificate_file=pem, key_file=pem)

    host = await server.start(context)
    transport = connect(host, tls=tls(), auth=plugin, renewed_tls=tls)
    results = await asyncio.gather(*(transport.request("GET", "/") for _ in range(10)))

    assert [response.status for response in results] == [200] * 10
    assert await lines_of(transport) == [b"event", b"last"]


def test_a_configuration_without_a_login_plugin_keeps_its_certificates():
    config = Config(host="https://a", tls=TlsConfig(ca_file="x"))

    assert config.current_tls() is config.tls
