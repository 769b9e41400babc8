"""What HTTP allows an answer to look like, and what it does not: both ways read the same."""

from __future__ import annotations

import asyncio
import gzip
import logging

import pytest
from tests.unit.controller.client.wire import CHUNKED, Received, answer, chunk, receive

from hybridpg.controller.client import Config, StaticAuth, exchange, transport
from hybridpg.controller.errors import ServerError, TooManyRequests, TransportError


async def collect(stream) -> list[bytes]:
    return [line async for lines in stream for line in lines]


def playing(*writes: bytes, seen: list[Received] | None = None):
    """Answers each request with these bytes, each in a packet of its own, and closes."""

    async def script(reader, writer, number):
        request = await receive(reader)
        if seen is not None:
            seen.append(request)
        for data in writes:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0)

    return script


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "writes",
    [
        pytest.param([CHUNKED + chunk(b"one\ntwo\n") + chunk(b"")], id="at-once"),
        pytest.param([CHUNKED, chunk(b"one\n"), chunk(b"two\n"), chunk(b"")], id="one-by-one"),
        pytest.param([CHUNKED[:9], CHUNKED[9:] + chunk(b"one\ntwo\n"), chunk(b"")], id="cut-head"),
        pytest.param(
            [b"HTTP/1.1 103 Early\r\nA: b\r\n\r\n" + CHUNKED + chunk(b"one\ntwo\n") + chunk(b"")],
            id="interim-answer",
        ),
        pytest.param(
            [CHUNKED + b"8;a=b;c\r\none\ntwo\n\r\n0;d\r\nX-Trailer: y\r\n\r\n"],
            id="extensions-and-trailers",
        ),
        pytest.param([CHUNKED + b"008\r\none\ntwo\n\r\n000\r\n\r\n"], id="leading-zeros"),
        pytest.param([answer(b"one\ntwo\n")], id="length"),
        pytest.param([answer(b"one\ntwo\n")[:-3], b"wo\n"], id="length-in-two"),
        pytest.param([HEAD + b"Connection: close\r\n\r\none\n", b"two\n"], id="until-closed"),
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\none\ntwo\n"], id="the-older-version"),
        pytest.param([HEAD + b"x-Y:z \r\n\r\none\ntwo\n"], id="white-space"),
    ],
)
async def test_an_answer_may_come_in_many_forms(serve, connect, writes: list[bytes]):
    assert await collect(connect(await serve(playing(*writes))).stream("/watch")) == [
        b"one",
        b"two",
    ]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another-protocol"),
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD, id="half-a-head"),
        pytest.param(HEAD + b"Content-Length: -5\r\n\r\n", id="negative-length"),
        pytest.param(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345", id="lengths"),
        pytest.param(answer(b"one\ntwo\n")[:-4], id="shorter-than-its-length"),
        pytest.param(CHUNKED + b"zz\r\n", id="no-size"),
        pytest.param(CHUNKED + b"5\r\none\ntwo\n", id="longer-than-its-chunk"),
        pytest.param(HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n", id="long-header"),
    ],
)
async def test_an_answer_that_is_broken_is_a_transport_error(serve, connect, data: bytes):
    with pytest.raises(TransportError, match=r"^GET /watch: "):
        await collect(connect(await serve(playing(data))).stream("/watch"))


async def test_both_ways_send_the_same_request(serve, connect):
    seen: list[Received] = []
    host = await serve(playing(answer(b""), seen=seen))
    for in_place in (True, False):
        sender = transport.AiohttpTransport(
            Config(host=host + "/prefix", auth=StaticAuth("Bearer x")), in_place=in_place
        )
        query = [("watch", "true"), ("labelSelector", "a in (b,c),!d"), ("x", "ü&=+ %")]
        await collect(sender.stream("/apis/a%20b", query=query, headers=[("accept", "x/y")]))
        await sender.close()

    assert len(seen) == 2
    assert seen[0] == seen[1]


async def test_a_header_that_would_end_its_line_is_not_sent(serve, connect):
    seen: list[Received] = []
    sender = connect(await serve(playing(answer(b""), seen=seen)))

    with pytest.raises(ValueError, match=r"(?i)header|newline"):
        await collect(sender.stream("/watch", headers=[("accept", "x\r\nhost: other")]))
    assert not seen


# --- what the in-place reader leaves to the library --------------------------------------------


async def test_an_answer_that_comes_compressed_all_the_same_is_read(serve, connect, caplog):
    seen: list[Received] = []
    body = gzip.compress(b"one\ntwo\n")
    headers = "Content-Encoding: gzip\r\nConnection: close\r\n"
    sender = connect(await serve(playing(answer(body, headers=headers), seen=seen)))

    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert await collect(sender.stream("/watch")) == [b"one", b"two"]
    # of a server that does so once nothing else is expected any more
    assert len(seen) in (3, 4)
    assert caplog.text.count("by the HTTP library from here on: the answer is compressed") <= 1


async def test_an_error_that_comes_compressed_is_read_too(serve, connect):
    body = gzip.compress(b'{"kind": "Status", "message": "slow down"}')
    headers = "Content-Encoding: gzip\r\nRetry-After: 3\r\n"
    reply = answer(body, status="429 Too Many Requests", headers=headers)

    with pytest.raises(TooManyRequests, match="slow down") as caught:
        await collect(connect(await serve(playing(reply))).stream("/watch"))
    assert caught.value.retry_after == 3


# --- answers of requests -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("-1", None), ("1.5", None), ("Wed, 21 Oct 2015 07:28 GMT", None)],
)
async def test_a_stream_that_is_put_off_says_for_how_long(serve, connect, value, seconds):
    reply = answer(b"later", status="503 Busy", headers=f"Retry-After: {value}\r\n")

    with pytest.raises(ServerError, match="later") as caught:
        await collect(connect(await serve(playing(reply))).stream("/watch"))
    assert caught.value.retry_after == seconds


def replying(replies: list[bytes]):
    """Answers the requests of a connection one after the other."""

    async def script(reader, writer, number):
        for reply in replies:
            await receive(reader)
            writer.write(reply)
            await writer.drain()
        await reader.read()

    return script


@pytest.mark.parametrize(
    ("size", "kept"), [(10, True), (exchange.ERROR_BODY_LIMIT, True), (200_000, False)]
)
async def test_a_connection_is_kept_after_an_error_that_was_read_to_its_end(
    serve, connect, size: int, kept: bool
):
    connections: set[int] = set()
    script = replying([answer(b"x" * size, status="500 No")] * 2)

    async def counting(reader, writer, number):
        connections.add(number)
        await script(reader, writer, number)

    sender = connect(await serve(counting))
    for _ in range(2):
        assert (await sender.request("GET", "/")).status == 500

    assert len(connections) == (1 if kept else 2)


async def test_an_answer_without_an_end_is_given_up_and_the_transport_goes_on(
    serve, connect, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange, "BODY_LIMIT", 100_000)

    async def endless(reader, writer, number):
        request = await receive(reader)
        if request.target == "/fine":
            writer.write(answer(b"x" * 100_000))
            return
        writer.write(CHUNKED)
        while True:
            writer.write(chunk(b"x" * 10_000))
            await writer.drain()

    sender = connect(await serve(endless))

    with pytest.raises(TransportError, match="GET /: the answer has more than 100000 bytes"):
        await sender.request("GET", "/")
    assert len((await sender.request("GET", "/fine")).body) == 100_000


async def test_a_small_answer_that_grows_without_end_when_unpacked_is_given_up(
    serve, connect, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange, "BODY_LIMIT", 100_000)
    bomb = answer(gzip.compress(bytes(50_000_000)), headers="Content-Encoding: gzip\r\n")

    with pytest.raises(TransportError, match="more than 100000 bytes"):
        await connect(await serve(playing(bomb))).request("GET", "/")
