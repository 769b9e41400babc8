"""A watch's connection: lines, pace and silence, with the event loop played by the test."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.client.farend import HEAD, FarEnd, read_to_the_end
from tests.unit.controller.client.wire import chunk

from hybridpg.controller.client.httphead import Unsupported
from hybridpg.controller.client.linestream import UNREAD_LIMIT, LineStream
from hybridpg.controller.errors import TransportError

pytestmark = pytest.mark.virtual_time

SILENCE = 90.0
WHAT = "GET /watch"


@pytest.fixture
async def stream():
    stream = LineStream(WHAT, SILENCE)
    yield stream
    stream.close()


@pytest.fixture
async def far(stream: LineStream) -> FarEnd:
    far = FarEnd(stream)
    await stream.opened()
    stream.send(b"GET /watch HTTP/1.1\r\n\r\n")
    return far


async def test_the_request_goes_out_and_the_answer_comes_in_as_lines(stream, far):
    assert bytes(far.written) == b"GET /watch HTTP/1.1\r\n\r\n"

    far.send(HEAD + chunk(b"one\ntwo\nthr"))
    assert (await stream.head()).status == 200
    assert await stream.read() == [b"one", b"two"]
    far.send(chunk(b"ee\n") + chunk(b""))
    assert await stream.read() == [b"three"]
    assert await stream.read() == []
    assert far.aborted


async def test_reads_that_came_before_the_reader_did_are_handed_on_as_one_list(stream, far):
    far.send(HEAD + chunk(b"one\n"))
    far.send(chunk(b"two\n"))

    assert await stream.read() == [b"one", b"two"]


async def test_a_waiting_reader_is_woken_by_the_first_line_and_not_by_less(stream, far):
    far.send(HEAD)
    reader = asyncio.create_task(stream.read())
    far.send(chunk(b"hal"))
    await asyncio.sleep(1)
    assert not reader.done()

    far.send(chunk(b"f\n"))
    assert await reader == [b"half"]


async def test_a_reader_that_is_behind_stops_the_socket_until_it_is_not(stream, far):
    far.send(HEAD)
    line = b"x" * 10_000
    sent = 0
    while far.reading:
        far.send(chunk(line + b"\n"))
        sent += 1

    assert UNREAD_LIMIT < sent * len(line) < UNREAD_LIMIT + 300_000
    assert await stream.read() == [line] * sent
    assert far.reading


async def test_a_line_longer_than_what_may_wait_is_read_to_its_end(stream, far):
    line = b"x" * (3 * UNREAD_LIMIT)
    far.send(HEAD + chunk(line))
    far.send(chunk(b"\n"))

    assert await stream.read() == [line]


async def test_silence_is_counted_from_the_last_byte(stream, far):
    far.send(HEAD)
    loop = asyncio.get_running_loop()
    for _ in range(20):
        await asyncio.sleep(SILENCE - 1)
        far.send(chunk(b"x"))
    heard = loop.time()

    with pytest.raises(TimeoutError, match="nothing came for 90 s"):
        await stream.read()
    assert loop.time() - heard == SILENCE
    assert far.aborted


async def test_silence_before_the_answer_ends_it_too(stream, far):
    with pytest.raises(TimeoutError):
        await stream.head()
    assert asyncio.get_running_loop().time() == SILENCE


async def test_a_reader_that_is_behind_for_long_does_not_make_it_silence(stream, far):
    far.send(HEAD)
    while far.reading:
        far.send(chunk(b"x" * 10_000 + b"\n"))
    await asyncio.sleep(3 * SILENCE)

    assert await stream.read()
    assert not far.aborted


async def test_reads_start_no_timers(stream, far, monkeypatch: pytest.MonkeyPatch):
    """Fifty idle watches must cost nothing: one timer each, and it is only moved when it ends."""
    loop = asyncio.get_running_loop()
    timers = 0
    started = loop.call_at

    def counting(*arguments, **options):
        nonlocal timers
        timers += 1
        return started(*arguments, **options)

    monkeypatch.setattr(loop, "call_at", counting)
    for _ in range(1000):
        far.send(HEAD if not _ else chunk(b"line\n"))
        await stream.read() if _ else None
    assert timers == 0


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        pytest.param(b"", "ended before an answer", id="nothing"),
        pytest.param(HEAD[:10], "ended before an answer", id="half-a-head"),
        pytest.param(HEAD, "ended in the middle", id="no-body"),
        pytest.param(HEAD + chunk(b"line\n"), "ended in the middle", id="on-the-border-of-a-line"),
        pytest.param(HEAD + b"9\r\nline\n", "ended in the middle", id="in-a-chunk"),
        pytest.param(HEAD + chunk(b"half") + chunk(b""), "middle of a line", id="in-a-line"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nline\n", "in the middle", id="length"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nline\nhalf", "middle of a line", id="until-closed"),
    ],
)
async def test_an_end_that_comes_too_early_is_an_error_that_names_the_request(
    stream, far, sent: bytes, message: str
):
    far.send(sent)
    far.end()

    with pytest.raises(TransportError, match=f"^GET /watch: .*{message}"):
        await read_to_the_end(stream)


async def test_the_lines_before_an_error_are_handed_on(stream, far):
    far.send(HEAD + chunk(b"whole\n"))
    far.send(b"rubbish\r\n")

    assert await stream.read() == [b"whole"]
    with pytest.raises(TransportError, match="GET /watch: a chunk of the answer has no size"):
        await stream.read()


async def test_an_answer_until_the_connection_closes_ends_with_it(stream, far):
    far.send(b"HTTP/1.1 200 OK\r\n\r\none\ntwo\n")
    far.end()

    assert await stream.read() == [b"one", b"two"]
    assert await stream.read() == []


async def test_a_connection_that_breaks_is_told_as_it_was(stream, far):
    far.send(HEAD)
    far.lose(ConnectionResetError(104, "reset by peer"))

    with pytest.raises(ConnectionResetError, match="reset by peer"):
        await stream.read()
    with pytest.raises(ConnectionResetError):
        await stream.read()


async def test_what_breaks_after_the_end_is_of_no_interest(stream, far):
    far.send(HEAD + chunk(b"line\n") + chunk(b""))
    far.end()
    far.lose(ConnectionResetError())

    assert await stream.read() == [b"line"]
    assert await stream.read() == []


async def test_closing_wakes_the_reader(stream, far):
    far.send(HEAD)
    reader = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    stream.close()

    with pytest.raises(ConnectionAbortedError, match="closed on this side"):
        await reader
    assert far.aborted


async def test_an_answer_beyond_the_reader_is_told_apart(stream, far):
    far.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b")

    with pytest.raises(Unsupported, match="gzip"):
        await stream.head()


async def test_the_body_of_an_error_is_read_with_its_last_line_and_cut(stream, far):
    far.send(b"HTTP/1.1 502 Bad\r\nContent-Length: 11\r\n\r\n<p>\nno end\n")
    assert await stream.read_body(100) == b"<p>\nno end\n"
    assert (await stream.head()).status == 502


@pytest.mark.parametrize("line", [b"x" * 100, b"x" * 99 + b"\n"])
async def test_a_long_error_is_cut(stream, far, line: bytes):
    far.send(b"HTTP/1.1 502 Bad\r\nContent-Length: 1000\r\n\r\n" + line * 10)

    assert len(await stream.read_body(150)) == 150


async def test_an_error_without_an_end_of_line_has_a_body(stream, far):
    far.send(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\n{"a":1}')

    assert await stream.read_body(100) == b'{"a":1}'


async def test_a_waiting_reader_has_its_lines_before_the_read_returns_to_the_loop(stream, far):
    far.send(HEAD)
    reader = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    done = []

    def read() -> None:
        far.send(chunk(b"one\n"))
        done.append(reader.done())

    asyncio.get_running_loop().call_soon(read)
    assert await reader == [b"one"]
    assert done == [True]
