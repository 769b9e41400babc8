"""Streams of the real transport: whole lines as they come, until either side ends them."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from tests.unit.controller.client.webserver import Handler, collect, echo
from tests.unit.controller.client.wire import CHUNKED, chunk, receive

from hybridpg.controller.client import StaticAuth
from hybridpg.controller.errors import Forbidden, ServerError


def stream_of(*writes: bytes) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for data in writes:
            await response.write(data)
        return response

    return handler


async def test_a_stream_gives_whole_lines_until_its_end(start, connect):
    transport = connect(await start(stream_of(b'{"a"', b":1}\n", b'{"b":2}\n{"c":3}\n')))

    assert await collect(transport.stream("/watch")) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


async def test_a_stream_asks_for_no_compression_and_for_json(start, connect):
    asked: dict[str, str] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.update({name.lower(): value for name, value in request.headers.items()})
        asked["query"] = request.query_string
        return await stream_of()(request)

    transport = connect(await start(handler), auth=StaticAuth("Bearer secret"))
    await collect(transport.stream("/watch", query=[("watch", "true")]))

    assert asked["accept-encoding"] == "identity"
    assert asked["accept"] == "application/json"
    assert asked["authorization"] == "Bearer secret"
    assert asked["query"] == "watch=true"


async def test_a_stream_can_be_asked_for_in_another_form(start, connect):
    transport = connect(await start(echo))

    [line] = await collect(
        transport.stream("/watch", headers=[("accept", "text/plain"), ("x", "y")])
    )

    headers = json.loads(line)["headers"]
    assert (headers["accept"], headers["x"]) == ("text/plain", "y")


async def test_lines_are_handed_on_while_the_stream_goes_on(start, connect):
    going_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        await going_on.wait()
        await response.write(b"second\n")
        return response

    stream = connect(await start(handler)).stream("/watch")

    assert await anext(stream) == [b"first"]
    going_on.set()
    assert await anext(stream) == [b"second"]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_line_of_twenty_megabytes_comes_whole(start, connect):
    line = b'{"data":"' + b"x" * 20_000_000 + b'"}'
    transport = connect(await start(stream_of(b"before\n", line, b"\nafter\n")))

    assert await collect(transport.stream("/watch")) == [b"before", line, b"after"]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 4096, 65_537, 300_000])
async def test_chunks_of_any_size_make_the_same_lines(serve, connect, size: int):
    lines = [b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n * 37 % 9000)) for n in range(40)]
    data = b"".join(line + b"\n" for line in lines)
    if size < 64:
        data, lines = data[: data.index(b"\n", 300) + 1], lines[:2]
        lines = data.splitlines()

    async def script(reader, writer, number):
        await receive(reader)
        writer.write(CHUNKED)
        for start in range(0, len(data), size):
            writer.write(chunk(data[start : start + size]))
        writer.write(chunk(b""))

    assert await collect(connect(await serve(script)).stream("/watch")) == lines


async def test_a_refused_stream_is_the_error_of_its_status(start, connect):
    async def refuse(request: web.Request) -> web.Response:
        body = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "may not watch"}
        return web.json_response(body, status=403)

    with pytest.raises(Forbidden, match="may not watch"):
        await collect(connect(await start(refuse)).stream("/watch"))


async def test_a_stream_refused_in_html_is_an_error_with_a_short_message(start, connect):
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=502, text="<h1>Bad Gateway</h1>" + "x" * 1_000_000)

    with pytest.raises(ServerError, match="<h1>Bad Gateway</h1>") as caught:
        await collect(connect(await start(refuse)).stream("/watch"))
    assert len(str(caught.value)) < 600


async def test_an_abandoned_stream_ends_its_connection(start, connect):
    ended = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"line\n")
                await asyncio.sleep(0.001)
        except (ConnectionError, asyncio.CancelledError):
            ended.set()
            raise

    stream = connect(await start(handler)).stream("/watch")
    await anext(stream)
    await stream.aclose()

    async with asyncio.timeout(5):
        await ended.wait()


async def test_many_watches_leave_room_for_requests(start, connect):
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/get":
            return web.Response(body=b"got")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"open\n")
        await asyncio.Event().wait()
        return response

    transport = connect(await start(handler))
    streams = [transport.stream("/watch") for _ in range(120)]
    assert [await anext(stream) for stream in streams] == [[b"open"]] * 120

    assert (await transport.request("GET", "/get")).body == b"got"
    for stream in streams:
        await stream.aclose()
