"""The transport when the other side misbehaves: each fault has one outcome, in bounded time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from tests.unit.controller.client.wire import CHUNKED, answer, chunk, receive

from hybridpg.controller.client import Timeouts
from hybridpg.controller.errors import ConnectionRefused, TransportError

SHORT = Timeouts(connect=5, request=0.3, silence=0.3)
PATIENT = Timeouts(connect=5, request=5, silence=0.2)
"""For what must come in time: a loaded machine stalls for some tens of milliseconds."""
WRITES = ["POST", "PUT", "PATCH", "DELETE"]


async def collect(stream: AsyncIterator[list[bytes]]) -> list[bytes]:
    return [line async for lines in stream for line in lines]


@pytest.fixture
def nobody() -> str:
    """The URL of a port where nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


async def test_a_refused_connection_means_that_nothing_was_sent(connect, nobody: str):
    transport = connect(nobody)

    with pytest.raises(ConnectionRefused, match="POST /api: no connection to the API server"):
        await transport.request("POST", "/api", body=b"{}")
    with pytest.raises(ConnectionRefused, match="GET /watch"):
        await collect(transport.stream("/watch"))


async def test_an_unknown_host_means_that_nothing_was_sent(connect):
    with pytest.raises(ConnectionRefused):
        await connect("http://does-not-exist.invalid").request("POST", "/", body=b"{}")


@pytest.mark.parametrize("sign", ["%", "%25"])
async def test_the_interface_of_an_address_is_found_however_it_is_escaped(connect, sign: str):
    """kubectl wants the sign before it escaped; nobody has the address, so nothing is sent."""
    transport = connect(f"http://[fe80::1{sign}{socket.if_nameindex()[0][1]}]:1")

    for sent in (transport.request("GET", "/"), collect(transport.stream("/watch"))):
        with pytest.raises(ConnectionRefused) as caught:
            await sent
        assert caught.value.__cause__ is not None
        assert not isinstance(caught.value.__cause__.__cause__, socket.gaierror)


async def test_a_server_that_never_speaks_tls_means_that_nothing_was_sent(serve, connect):
    async def plain(reader, writer, number):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    host = (await serve(plain)).replace("http:", "https:")

    with pytest.raises(ConnectionRefused):
        await connect(host).request("POST", "/", body=b"{}")


async def test_a_handshake_that_hangs_is_given_up(serve, connect):
    async def mute(reader, writer, number):
        await asyncio.Event().wait()

    host = (await serve(mute)).replace("http:", "https:")
    timeouts = Timeouts(connect=0.04, request=5, silence=5)

    with pytest.raises(ConnectionRefused):
        await connect(host, timeouts=timeouts).request("POST", "/", body=b"{}")
    with pytest.raises(ConnectionRefused):
        await collect(connect(host, timeouts=timeouts).stream("/watch"))


@pytest.mark.parametrize("method", ["WATCH", "GET", "PUT"])
async def test_a_proxy_that_opens_no_tunnel_is_given_up_in_the_time_for_connecting(
    serve, connect, method: str
):
    """For a watch there is no other limit, and a leader's lease is over before that of requests."""

    async def mute(reader, writer, number):
        await receive(reader)
        await asyncio.Event().wait()

    timeouts = Timeouts(connect=0.04, request=60, silence=60)
    transport = connect("https://10.0.0.1:6443", proxy=await serve(mute), timeouts=timeouts)
    lease = "/apis/coordination.k8s.io/v1/namespaces/a/leases/b"
    watches = method == "WATCH"
    asked = collect(transport.stream("/")) if watches else transport.request(method, lease)

    async with asyncio.timeout(20):
        with pytest.raises(ConnectionRefused):
            await asked


@pytest.mark.parametrize("method", ["GET", *WRITES])
async def test_a_request_without_an_answer_is_given_up_and_not_repeated(serve, connect, method):
    seen: list[str] = []

    async def mute(reader, writer, number):
        seen.append((await receive(reader)).method)
        await asyncio.Event().wait()

    with pytest.raises(TransportError, match="no answer in time") as caught:
        await connect(await serve(mute), timeouts=SHORT).request(method, "/", body=b"{}")

    assert not isinstance(caught.value, ConnectionRefused)
    assert seen == [method]


async def test_a_watch_that_falls_silent_is_given_up(serve, connect):
    async def silent(reader, writer, number):
        await receive(reader)
        writer.write(CHUNKED + chunk(b"first\n"))
        await asyncio.Event().wait()

    stream = connect(await serve(silent), timeouts=PATIENT).stream("/watch")

    assert await anext(stream) == [b"first"]
    with pytest.raises(TransportError, match="no answer in time"):
        await anext(stream)


async def test_a_watch_that_never_begins_is_given_up(serve, connect):
    async def silent(reader, writer, number):
        await receive(reader)
        await asyncio.Event().wait()

    with pytest.raises(TransportError, match="no answer in time"):
        await collect(connect(await serve(silent), timeouts=SHORT).stream("/watch"))


async def test_a_slow_watch_with_signs_of_life_is_kept(serve, connect):
    async def slow(reader, writer, number):
        await receive(reader)
        writer.write(CHUNKED)
        for _ in range(8):
            await asyncio.sleep(0.03)
            writer.write(chunk(b"x"))
        writer.write(chunk(b"\n") + chunk(b""))

    stream = connect(await serve(slow), timeouts=PATIENT).stream("/watch")

    assert await collect(stream) == [b"x" * 8]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(chunk(b'{"half'), id="no-final-chunk"),
        pytest.param(chunk(b'{"half') + chunk(b""), id="final-chunk-in-mid-line"),
        pytest.param(b"100\r\nabc", id="in-mid-chunk"),
        pytest.param(b"", id="between-lines"),
        pytest.param(b"zz\r\n", id="a-chunk-that-is-none"),
    ],
)
async def test_a_cut_stream_is_an_error_and_never_gives_half_a_line(serve, connect, end: bytes):
    async def cut(reader, writer, number):
        await receive(reader)
        writer.write(CHUNKED + chunk(b"whole\n") + end)

    lines: list[bytes] = []

    async def read() -> None:
        async for batch in connect(await serve(cut)).stream("/watch"):
            lines.extend(batch)

    with pytest.raises(TransportError):
        await read()
    assert lines in ([b"whole"], [])  # the cut may be seen before the line was read


async def test_a_stream_reset_by_the_peer_is_a_transport_error(serve, connect):
    async def reset(reader, writer, number):
        await receive(reader)
        writer.write(CHUNKED + chunk(b"whole\n"))
        await writer.drain()
        await asyncio.sleep(0.01)
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, 0 s: RST instead of FIN
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with pytest.raises(TransportError):
        await collect(connect(await serve(reset)).stream("/watch"))


def dropping(methods: list[str], drops: int):
    """Answers the first request of the first connection, then drops ``drops`` requests."""
    dropped = 0

    async def script(reader, writer, number):
        nonlocal dropped
        while True:
            request = await receive(reader)
            methods.append(request.method)
            if len(methods) > 1 and dropped < drops:
                dropped += 1
                return
            writer.write(answer(b"{}"))
            await writer.drain()

    return script


async def test_a_get_on_a_stale_connection_is_repeated_once(serve, connect):
    methods: list[str] = []
    transport = connect(await serve(dropping(methods, drops=1)))
    await transport.request("GET", "/")

    assert (await transport.request("GET", "/")).status == 200
    assert methods == ["GET", "GET", "GET"]


async def test_a_get_that_is_dropped_twice_is_an_error(serve, connect):
    methods: list[str] = []
    transport = connect(await serve(dropping(methods, drops=2)))
    await transport.request("GET", "/")

    with pytest.raises(TransportError, match="connection broke"):
        await transport.request("GET", "/")
    assert methods == ["GET"] * 3


@pytest.mark.parametrize("method", WRITES)
async def test_a_write_on_a_stale_connection_is_never_repeated(serve, connect, method: str):
    """It may have been carried out; only the caller can find out."""
    methods: list[str] = []
    transport = connect(await serve(dropping(methods, drops=1)))
    await transport.request("GET", "/")

    with pytest.raises(TransportError, match=f"{method} /x: the connection broke") as caught:
        await transport.request(method, "/x", body=b"{}")

    assert not isinstance(caught.value, ConnectionRefused)
    assert methods == ["GET", method]


async def test_an_answer_cut_in_its_body_is_an_error_and_not_repeated(serve, connect):
    seen: list[int] = []

    async def cut(reader, writer, number):
        seen.append(number)
        await receive(reader)
        writer.write(answer(b"x" * 100)[:-50])

    with pytest.raises(TransportError):
        await connect(await serve(cut)).request("GET", "/")
    assert seen == [1]


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another-protocol"),
        pytest.param(b"\x00" * 100, id="binary"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", id="no-status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", id="bad-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", id="long-header"),
        pytest.param(
            answer(b"no gzip", headers="Content-Encoding: gzip\r\n"), id="broken-compression"
        ),
    ],
)
async def test_an_answer_that_is_not_http_is_a_transport_error(serve, connect, rubbish: bytes):
    async def talk(reader, writer, number):
        await receive(reader)
        writer.write(rubbish)

    with pytest.raises(TransportError):
        await connect(await serve(talk)).request("GET", "/")


async def test_a_cancelled_request_stays_cancelled(serve, connect):
    reached = asyncio.Event()

    async def mute(reader, writer, number):
        await receive(reader)
        reached.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(connect(await serve(mute)).request("GET", "/"))
    await reached.wait()
    request.cancel()

    with pytest.raises(asyncio.CancelledError):
        await request


@pytest.mark.parametrize("begun", [b"", answer(b"x" * 100)[:-50]], ids=["no-answer", "half"])
async def test_closing_the_transport_ends_the_requests_under_way(serve, connect, begun: bytes):
    reached = asyncio.Event()

    async def slow(reader, writer, number):
        await receive(reader)
        writer.write(begun)
        reached.set()
        await asyncio.Event().wait()

    transport = connect(await serve(slow))
    request = asyncio.create_task(transport.request("POST", "/", body=b"{}"))
    await reached.wait()
    await asyncio.sleep(0.01)
    await transport.close()

    with pytest.raises(TransportError):
        await request


async def test_closing_the_transport_ends_the_streams_under_way(serve, connect):
    async def watch(reader, writer, number):
        await receive(reader)
        writer.write(CHUNKED + chunk(b"first\n"))
        await asyncio.Event().wait()

    transport = connect(await serve(watch))
    stream = transport.stream("/watch")
    await anext(stream)
    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    await transport.close()

    with pytest.raises(TransportError):
        await waiting
