"""TLS of a watch: what is accepted, how it ends, and when reads are put off."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from tests.unit.controller.client.farend import HEAD, FarEnd, TlsFarEnd, read_to_the_end
from tests.unit.controller.client.pki import SERVER_NAME, Pki
from tests.unit.controller.client.wire import chunk

from hybridpg.controller.client import TlsConfig
from hybridpg.controller.client.linestream import UNREAD_LIMIT
from hybridpg.controller.client.linetls import BATCH, FLOOD, LONG_PAUSE, PAUSE, TlsLineStream
from hybridpg.controller.errors import TransportError

pytestmark = pytest.mark.virtual_time

REQUEST = b"GET /watch HTTP/1.1\r\n\r\n"
RECORD = 4096
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=VERSIONS, ids=["tls-1.2", "tls-1.3"])
def server_context(request: pytest.FixtureRequest, pki: Pki) -> ssl.SSLContext:
    context = pki.server_context()
    context.minimum_version = context.maximum_version = request.param
    return context


@pytest.fixture
async def stream(pki: Pki):
    context = TlsConfig(ca_file=str(pki.ca)).context()
    stream = TlsLineStream("GET /watch", 90, context, SERVER_NAME)
    yield stream
    stream.close()


@pytest.fixture
async def far(stream: TlsLineStream, server_context: ssl.SSLContext) -> TlsFarEnd:
    far = await asked(stream, server_context)
    assert far.request() == REQUEST
    return far


async def asked(stream: TlsLineStream, server_context: ssl.SSLContext) -> TlsFarEnd:
    """Return the server's end of a stream that has sent its request."""
    far = TlsFarEnd(stream, server_context)
    far.shake_hands()
    await stream.opened()
    stream.send(REQUEST)
    return far


async def test_lines_are_decrypted_and_the_end_is_clean(stream, far):
    far.send(HEAD + chunk(b"one\ntwo\n"))
    assert await stream.read() == [b"one", b"two"]
    far.send(chunk(b""))
    assert await stream.read() == []


@pytest.mark.parametrize("size", [1, 3, 100, 10_000])
async def test_records_may_come_in_any_pieces(stream, far, size: int):
    lines = [b"x" * (n * 137 % 3000 + 1) for n in range(30)]
    data = far.encrypted(HEAD + b"".join(chunk(line + b"\n") for line in lines) + chunk(b""))

    for start in range(0, len(data), size):
        FarEnd.send(far, data[start : start + size])
    assert await read_to_the_end(stream) == lines


async def test_many_records_in_one_read_are_one_list(stream, far):
    line = b"x" * 3000
    far.send(HEAD + chunk(line + b"\n") * 60)

    assert await stream.read() == [line] * 60


async def test_more_records_than_the_buffer_holds_are_all_taken(stream, far):
    line = b"x" * 700_000
    far.send(HEAD)
    data = far.encrypted(chunk(line + b"\n") * 2, record=16_384)
    FarEnd.send(far, data)

    assert await stream.read() == [line] * 2


@pytest.mark.parametrize("body", [b"", chunk(b"whole\n"), chunk(b"hal")])
async def test_a_stream_cut_below_tls_is_an_error_even_where_a_line_ends(stream, far, body):
    far.send(HEAD + body)
    far.end()

    with pytest.raises(ssl.SSLError, match="EOF"):
        await read_to_the_end(stream)


@pytest.mark.parametrize(
    ("begun", "expected"), [(b"", ConnectionResetError), (HEAD + chunk(b"hal"), ssl.SSLEOFError)]
)
async def test_a_kept_connection_that_is_cut_before_the_next_answer_has_got_stale(
    pki, server_context, begun, expected
):
    """So that the request is repeated; an answer that had begun is not taken for none."""
    context = TlsConfig(ca_file=str(pki.ca)).context()
    stream = TlsLineStream("GET /list", 90, context, SERVER_NAME, whole=10_000)
    far = await asked(stream, server_context)
    far.send(HEAD + chunk(b"page\n") + chunk(b""))
    assert [await stream.read(), await stream.read()] == [[b"page"], []]
    assert stream.reusable
    stream.restart("GET /next")
    stream.send(REQUEST)
    if begun:
        far.send(begun)
    far.end()
    with pytest.raises(expected):
        await read_to_the_end(stream)


async def test_a_goodbye_of_tls_does_not_complete_a_chunked_body(stream, far):
    far.send(HEAD + chunk(b"whole\n"))
    far.say_goodbye()

    assert await stream.read() == [b"whole"]
    with pytest.raises(TransportError, match="ended in the middle"):
        await stream.read()


async def test_a_body_until_the_end_needs_the_goodbye_of_tls(stream, far):
    """Otherwise anybody on the way could cut it unnoticed."""
    far.send(b"HTTP/1.1 200 OK\r\n\r\nwhole\n")
    far.say_goodbye()
    far.end()

    assert await stream.read() == [b"whole"]
    assert await stream.read() == []


async def test_a_body_until_the_end_without_the_goodbye_is_cut(stream, far):
    far.send(b"HTTP/1.1 200 OK\r\n\r\nwhole\n")
    far.end()

    assert await stream.read() == [b"whole"]
    with pytest.raises(ssl.SSLError):
        await stream.read()


async def test_a_record_that_was_tampered_with_is_refused(stream, far):
    far.send(HEAD)
    data = bytearray(far.encrypted(chunk(b"whole\n")))
    data[-1] ^= 1
    FarEnd.send(far, bytes(data))

    with pytest.raises(ssl.SSLError):
        await stream.read()
    assert far.aborted


async def test_a_server_of_another_name_is_refused_and_told_why(pki: Pki):
    context = TlsConfig(ca_file=str(pki.ca)).context()
    stream = TlsLineStream("GET /watch", 90, context, "other.example.com")
    far = TlsFarEnd(stream, pki.server_context())
    far.hear()
    with pytest.raises(ssl.SSLWantReadError):
        far.tls.do_handshake()
    far.deliver()

    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'other\.example\.com'"):
        await stream.opened()
    assert far.written, "no alert was sent"
    assert far.aborted


@pytest.mark.parametrize("came", [b"", b"\x16\x03\x03"])
async def test_an_end_within_the_handshake_is_an_error(stream, pki: Pki, came: bytes):
    far = FarEnd(stream)
    far.send(came)
    far.end()

    with pytest.raises(ssl.SSLError):
        await stream.opened()


async def test_the_name_of_the_server_is_sent(stream, pki: Pki):
    names: list[str] = []
    context = pki.server_context()
    context.sni_callback = lambda tls, name, _: names.append(name)
    TlsFarEnd(stream, context).shake_hands()

    await stream.opened()
    assert names == [SERVER_NAME]


# --- coalescing --------------------------------------------------------------------------------


class Source:
    """Sends a record at a time, as fast as it is told, to a kernel that wakes whom it should."""

    def __init__(self, far: TlsFarEnd) -> None:
        self._far = far
        self._waiting: list[tuple[float, bytes]] = []
        self.reads = 0
        self.longest_wait = 0.0

    async def run(self, count: int, interval: float, *, size: int = RECORD) -> None:
        loop = asyncio.get_running_loop()
        # a chunk is as long as a record, so that each makes a whole line
        record = chunk(b"x" * (size - 100) + b"\n")
        due = loop.time()
        for _ in range(count):
            due += interval
            while (left := due - loop.time()) > 0:
                await asyncio.sleep(min(0.0001, left) if self._waiting else left)
                self.deliver()
            self._waiting.append((due, self._far.encrypted(record)))
            self.deliver()
        while self._waiting:
            await asyncio.sleep(0.0001)
            self.deliver()

    def deliver(self) -> None:
        came = b"".join(data for _, data in self._waiting)
        if self._far.reading and len(came) >= self._far.wakes_for:
            now = asyncio.get_running_loop().time()
            self.longest_wait = max(self.longest_wait, now - self._waiting[0][0])
            self.reads += 1
            self._waiting.clear()
            FarEnd.send(self._far, came)


@pytest.fixture
async def source(stream: TlsLineStream, far: TlsFarEnd):
    far.send(HEAD)
    await asyncio.sleep(1)
    reader = asyncio.create_task(read_to_the_end(stream))
    yield Source(far)
    reader.cancel()


async def test_a_fast_stream_is_read_in_batches_and_waits_two_milliseconds_at_most(source):
    count = FLOOD // RECORD - 10
    await source.run(count, interval=0.00014)  # as an API server sends a list

    assert source.reads < count / 6
    assert source.longest_wait <= PAUSE + 0.0002


async def test_the_list_of_a_busy_server_is_read_in_batches_too(source):
    count = FLOOD // RECORD - 10
    await source.run(count, interval=0.0006)

    assert source.reads < count / 2
    assert source.longest_wait <= PAUSE + 0.0002


async def test_a_flood_is_read_in_batches_of_ten_milliseconds(source):
    before = FLOOD // RECORD  # it is none yet
    await source.run(before + 1000, interval=0.0002)

    assert source.reads < before / 6 + 1000 / 40
    assert PAUSE < source.longest_wait <= LONG_PAUSE + 0.0002


async def test_a_page_waits_two_milliseconds_at_most_however_long_it_is(pki, server_context):
    """Its end holds up the request for the next one."""
    context = TlsConfig(ca_file=str(pki.ca)).context()
    stream = TlsLineStream("GET /list", 90, context, SERVER_NAME, whole=10_000_000)
    far = await asked(stream, server_context)
    far.send(HEAD)
    reader = asyncio.create_task(read_to_the_end(stream))
    source = Source(far)

    await source.run(1000, interval=0.0002)

    assert source.reads < 1000 / 8
    assert source.longest_wait <= PAUSE + 0.0002
    reader.cancel()
    stream.close()


async def test_a_flood_that_ebbs_is_handed_on_at_once_again(source, far):
    """A thousand events a second, which no quiet spell parts from the flood before them."""
    await source.run(1000, interval=0.0002)
    await source.run(20, interval=0.001)
    source.longest_wait = 0

    await source.run(1000, interval=0.001)

    assert source.longest_wait == pytest.approx(0, abs=1e-6)
    assert far.wakes_for == 1


async def test_a_lone_event_is_handed_on_at_once(source, far):
    await source.run(50, interval=1.0)

    assert source.longest_wait == pytest.approx(0, abs=1e-6)
    assert source.reads == 50
    assert far.wakes_for == 1


async def test_a_thousand_events_a_second_are_handed_on_at_once(source, far):
    await source.run(1000, interval=0.001)

    assert source.longest_wait == pytest.approx(0, abs=1e-6)
    assert far.wakes_for == 1


async def test_the_first_event_after_a_fast_stream_is_handed_on_at_once(source, far):
    await source.run(500, interval=0.00014)
    assert far.wakes_for == BATCH
    await asyncio.sleep(0.5)
    assert far.wakes_for == 1
    source.longest_wait = 0

    await source.run(1, interval=0.0)
    assert source.longest_wait == pytest.approx(0, abs=1e-6)


async def test_a_stream_that_is_faster_than_the_pause_is_not_slowed_down(source, far):
    """Four hundred megabytes a second: only the last bytes, which are no batch, wait for more."""
    size, count = 16_000, 3000
    await source.run(count, interval=size / 400e6, size=size)

    assert source.reads >= size * count / (BATCH + 2 * size)
    assert PAUSE < source.longest_wait <= LONG_PAUSE + 0.0002
    assert far.pauses == 0


async def test_a_system_that_cannot_collect_batches_hands_on_each_record(stream, far, monkeypatch):
    class Socket(socket.socket):
        def setsockopt(self, *_: object) -> None:
            raise OSError(92, "Protocol not available")

    with Socket() as refusing:
        monkeypatch.setattr(stream, "_socket", refusing)
        far.send(HEAD)
        for _ in range(100):
            await asyncio.sleep(0.00014)
            far.send(chunk(b"x" * 4000 + b"\n"))
            assert await stream.read() == [b"x" * 4000]


async def test_the_end_of_a_batch_does_not_wake_a_socket_whose_reader_is_behind(stream, far):
    far.send(HEAD)
    await asyncio.sleep(1)
    for _ in range(4000):  # nobody reads
        if far.reading:
            far.send(chunk(b"x" * 8000 + b"\n"))
        await asyncio.sleep(0.00014)

    assert not far.reading
    assert sum(len(line) for line in await stream.read()) >= UNREAD_LIMIT - 16_000
    assert far.reading
