"""Lists that are read in place: one connection for page after page, and what ends its use."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from tests.unit.controller.client.wire import CHUNKED, Received, answer, chunk, receive

from hybridpg.controller.client import (
    AiohttpTransport,
    Config,
    MeasuredTransport,
    StaticAuth,
    Timeouts,
    exchange,
    pages,
    transport,
)
from hybridpg.controller.errors import TransportError
from hybridpg.controller.metrics import RuntimeCollector
from hybridpg.controller.protocols import Response

PAGE = json.dumps({"items": [{"metadata": {"name": "x" * 100}}] * 5000}).encode()
ACCEPT = [("accept", "application/json")]
IDENTITY = "identity"


class Pages:
    """A server that gives the replies one after the other, whatever connection asks."""

    def __init__(self, *replies: bytes, then_close: bool = False) -> None:
        self.asked: list[tuple[int, Received]] = []
        self.closed: set[int] = set()
        self._replies = list(replies)
        self._then_close = then_close

    async def __call__(self, reader, writer, number: int) -> None:
        try:
            while True:
                self.asked.append((number, await receive(reader)))
                if self._replies:
                    writer.write(self._replies.pop(0))
                    await writer.drain()
                if self._then_close:
                    return
        finally:
            self.closed.add(number)

    @property
    def connections(self) -> list[int]:
        return [number for number, _ in self.asked]


@pytest.fixture
async def connect():
    made: list[AiohttpTransport] = []

    def make(host: str, timeouts: Timeouts | None = None) -> AiohttpTransport:
        made.append(AiohttpTransport(Config(host), timeouts=timeouts or Timeouts(5, 5, 5)))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def listed(sender: AiohttpTransport) -> Response:
    return await sender.request("GET", "/things", query=[("limit", "500")], headers=ACCEPT)


def in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return CHUNKED + b"".join(map(chunk, parts)) + chunk(b"")


@pytest.mark.parametrize("size", [0, 3, 1000, 70_000, 10**7])
@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_pages_come_over_one_connection_however_they_are_sent(serve, connect, size, end):
    reply = in_chunks(PAGE + end, size) if size else answer(PAGE + end)
    server = Pages(*[reply] * 3)
    sender = connect(await serve(server))

    for _ in range(3):
        response = await listed(sender)
        assert (response.status, response.body) == (200, PAGE)

    assert server.connections == [1, 1, 1]
    assert {asked.headers["accept-encoding"] for _, asked in server.asked} == {IDENTITY}
    assert {asked.target for _, asked in server.asked} == {"/things?limit=500"}


async def test_small_pages_follow_large_ones_and_the_other_way_round(serve, connect):
    bodies = [b'{"items":[%s]}' % (b"0," * n + b"0") for n in (1, 400_000, 2, 0, 900_000, 3)]
    server = Pages(*map(answer, bodies))
    sender = connect(await serve(server))

    assert [(await listed(sender)).body for _ in bodies] == bodies
    assert set(server.connections) == {1}


async def test_lists_that_the_library_reads_come_compressed(serve):
    packed = answer(gzip.compress(PAGE), headers="Content-Encoding: gzip\r\n")
    server = Pages(packed)
    sender = AiohttpTransport(Config(await serve(server)), in_place=False)
    try:
        assert (await listed(sender)).body == PAGE
    finally:
        await sender.close()
    assert [asked.headers["accept-encoding"] for _, asked in server.asked] == ["gzip"]


@pytest.mark.parametrize("turns", range(1, 9))
async def test_a_list_that_is_still_connecting_when_all_is_closed_is_not_read(
    serve, connect, turns
):
    server = Pages(answer(PAGE))
    sender = connect(await serve(server))
    asking = asyncio.create_task(listed(sender))
    for _ in range(turns):
        await asyncio.sleep(0)
    await sender.close()

    with pytest.raises(TransportError):
        await asking


async def test_a_list_that_is_indented_is_the_same_list(serve, connect):
    body = json.dumps(json.loads(PAGE), indent=2).encode()

    response = await listed(connect(await serve(Pages(answer(body + b"\n\n")))))

    assert json.loads(response.body) == json.loads(PAGE)


async def test_an_empty_answer_is_an_empty_body(serve, connect):
    server = Pages(answer(b""), answer(b"{}"))
    sender = connect(await serve(server))

    assert [(await listed(sender)).body for _ in range(2)] == [b"", b"{}"]
    assert server.connections == [1, 1]


async def test_a_connection_that_the_server_wants_closed_is_not_used_again(serve, connect):
    server = Pages(answer(PAGE, headers="Connection: Close\r\n"), answer(PAGE))
    sender = connect(await serve(server))

    assert [(await listed(sender)).body for _ in range(2)] == [PAGE, PAGE]
    assert server.connections == [1, 2]


async def test_a_page_that_was_asked_for_on_a_stale_connection_is_asked_for_again(serve, connect):
    server = Pages(answer(b"{}"), answer(PAGE), then_close=True)
    sender = connect(await serve(server))

    assert (await listed(sender)).body == b"{}"
    assert (await listed(sender)).body == PAGE
    assert server.connections == [1, 2]
    # if the end of the first one was known by then, nothing had to be repeated
    assert sender.retries in ({}, {("<error>", "GET"): 1})


async def test_a_server_that_never_answers_is_asked_twice_at_most(serve, connect):
    server = Pages(then_close=True)

    sender = connect(await serve(server))

    with pytest.raises(TransportError, match="GET /things: the connection broke"):
        await listed(sender)
    assert server.connections == [1, 2]
    assert sender.retries == {("<error>", "GET"): 1}


@pytest.mark.parametrize("reply", [answer(PAGE)[:-1], in_chunks(PAGE, 1000)[:-5]])
async def test_a_page_that_is_cut_is_an_error_and_not_asked_for_again(serve, connect, reply):
    server = Pages(reply, answer(PAGE), then_close=True)

    with pytest.raises(TransportError, match="GET /things: the connection broke"):
        await listed(connect(await serve(server)))
    assert server.connections == [1]


async def test_what_comes_behind_an_answer_is_never_taken_for_the_next_one(serve, connect):
    server = Pages(answer(PAGE) + answer(b'{"forged":1}'), answer(b"{}"))
    sender = connect(await serve(server))

    assert [(await listed(sender)).body for _ in range(2)] == [PAGE, b"{}"]
    assert server.connections == [1, 2]


async def test_what_comes_unasked_for_later_is_never_taken_for_the_next_answer(serve, connect):
    more = asyncio.Event()
    answered: list[int] = []

    async def script(reader, writer, number):
        await receive(reader)
        answered.append(number)
        writer.write(answer(b'{"on":%d}' % number))
        await more.wait()
        writer.write(answer(b'{"forged":1}'))
        await reader.read()

    sender = connect(await serve(script))
    first = await listed(sender)
    more.set()
    await asyncio.sleep(0.02)

    assert (first.body, (await listed(sender)).body) == (b'{"on":1}', b'{"on":2}')
    assert answered == [1, 2]


async def test_a_page_that_comes_compressed_unasked_is_unpacked(serve, connect):
    packed = answer(gzip.compress(PAGE), headers="Content-Encoding: gzip\r\n")
    server = Pages(packed, packed, packed)
    sender = connect(await serve(server))

    assert [(await listed(sender)).body for _ in range(2)] == [PAGE, PAGE]
    encodings = [asked.headers["accept-encoding"] for _, asked in server.asked]
    assert encodings == [IDENTITY, "gzip", "gzip"]


async def test_a_page_without_a_length_is_read_by_the_library(serve, connect):
    reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PAGE
    server = Pages(reply, reply, then_close=True)

    assert (await listed(connect(await serve(server)))).body == PAGE
    assert server.connections == [1, 2]


async def test_an_error_is_an_answer_and_its_connection_goes_on(serve, connect):
    refused = answer(b'{"kind":"Status"}', status="410 Gone", headers="Retry-After: 3\r\n")
    server = Pages(refused, answer(PAGE))
    sender = connect(await serve(server))

    response = await listed(sender)
    assert (response.status, response.body) == (410, b'{"kind":"Status"}')
    assert response.headers["retry-after"] == "3"
    assert (await listed(sender)).body == PAGE
    assert server.connections == [1, 1]


@pytest.mark.parametrize("line", [b"x" * 10**6, b"x\n" * 500_000])
async def test_of_a_long_error_the_beginning_is_read(serve, connect, line: bytes):
    server = Pages(answer(line, status="502 Bad Gateway"), answer(PAGE))
    sender = connect(await serve(server))

    beginning = line[: exchange.ERROR_BODY_LIMIT].rstrip()
    assert (await listed(sender)).body.rstrip() == beginning
    assert (await listed(sender)).body == PAGE


@pytest.mark.parametrize("line", [b"x" * 300_000, b"x\n" * 150_000])
async def test_a_page_that_is_too_long_is_given_up(serve, connect, monkeypatch, line: bytes):
    monkeypatch.setattr(transport, "BODY_LIMIT", 100_000)
    server = Pages(answer(line))

    with pytest.raises(TransportError, match="more than 100000 bytes"):
        await listed(connect(await serve(server)))


async def test_a_page_that_does_not_come_is_given_up_in_time(serve, connect):
    server = Pages(answer(PAGE)[:-1])
    sender = connect(await serve(server), Timeouts(connect=5, request=0.03, silence=5))

    with pytest.raises(TransportError, match="no answer in time"):
        await listed(sender)


async def test_pages_at_the_same_time_have_connections_of_their_own(serve, connect):
    server = Pages(*[answer(PAGE)] * 20)
    sender = connect(await serve(server))

    for _ in range(2):
        responses = await asyncio.gather(*(listed(sender) for _ in range(pages.KEPT + 2)))
        assert [response.body for response in responses] == [PAGE] * (pages.KEPT + 2)

    assert len(set(server.connections)) == pages.KEPT + 2 + 2


async def test_a_connection_that_no_page_needs_any_more_is_closed(serve, connect, monkeypatch):
    monkeypatch.setattr(pages, "KEPT_SECONDS", 0.01)
    server = Pages(answer(PAGE), answer(PAGE))
    sender = connect(await serve(server))

    await listed(sender)
    await asyncio.sleep(0.04)
    assert server.closed == {1}
    assert (await listed(sender)).body == PAGE
    assert server.connections == [1, 2]


async def test_closing_the_transport_ends_a_page_under_way_and_closes_what_is_kept(serve, connect):
    server = Pages(answer(PAGE), answer(PAGE)[:-1])
    sender = connect(await serve(server))
    await listed(sender)
    under_way = asyncio.create_task(listed(sender))
    await asyncio.sleep(0.02)

    await sender.close()
    with pytest.raises(TransportError):
        await under_way
    await asyncio.sleep(0.01)
    assert server.closed == {1}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_with_renewed_credentials_is_a_retry_and_shows_in_the_metrics(
    serve, connect, method: str
):
    class Renewed(StaticAuth):
        async def rejected(self, used: str) -> bool:
            return True

    server = Pages(answer(b"{}", status="401 Unauthorized"), answer(b"{}"))
    sender = AiohttpTransport(Config(await serve(server), auth=Renewed("Bearer x")))
    measured = MeasuredTransport(sender, host="h")
    try:
        assert (await measured.request(method, "/things", headers=ACCEPT)).status == 200
    finally:
        await measured.close()

    assert measured.retries == {("401", method): 1}
    assert measured.stats[method].codes == {"200": 1}
    samples = {
        sample.name: (sample.labels, sample.value)
        for family in RuntimeCollector(client=measured).collect()
        for sample in family.samples
    }
    labels = {"code": "401", "method": method, "host": "h"}
    assert samples["rest_client_request_retries_total"] == (labels, 1)


async def test_a_single_object_is_read_by_the_library(serve, connect):
    server = Pages(answer(b"{}"))

    await connect(await serve(server)).request("GET", "/things/one", headers=ACCEPT)
    assert server.asked[0][1].headers["accept-encoding"] == "gzip"
