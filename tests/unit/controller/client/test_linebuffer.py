"""Lines come out as they went in, however the stream was cut on its way."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridpg.controller.client.framing import LineFramer
from hybridpg.controller.client.httphead import CHUNKED, UNTIL_CLOSED
from hybridpg.controller.client.linebuffer import (
    BUFFER_SIZE,
    CALM_READS,
    CHUNK_HEAD_LIMIT,
    IDLE_SIZE,
    LEAST_SPACE,
    SIZES_KEPT,
    LineBuffer,
)
from hybridpg.controller.errors import TransportError

END = b"0\r\n\r\n"


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def feed(buffer: LineBuffer, data: bytes) -> list[bytes]:
    """Write data as reads do: as much as there is space, again and again."""
    lines: list[bytes] = []
    while data:
        space = buffer.space()
        assert len(space) >= LEAST_SPACE
        taken = min(len(space), len(data))
        space[:taken] = data[:taken]
        lines += buffer.fed(taken)
        data = data[taken:]
    return lines


def feed_all(buffer: LineBuffer, reads: Iterable[bytes]) -> list[bytes]:
    return [line for read in reads for line in feed(buffer, read)]


def cut(data: bytes, sizes: Iterable[int]) -> Iterable[bytes]:
    """Cut data into pieces of these sizes, over and over."""
    position = 0
    for size in itertools.cycle(sizes):
        if position >= len(data):
            return
        yield data[position : position + size]
        position += size


def oracle(data: bytes) -> tuple[list[bytes], int]:
    framer = LineFramer()
    return framer.feed(data), framer.pending


sizes = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 400_000)), min_size=1, max_size=8)
lengths = st.one_of(st.integers(0, 3), st.integers(0, 6_000), st.integers(200_000, 700_000))
extensions = st.sampled_from([b"", b"", b";a", b" ;a=b", b'\t;q="x;y"', b";" + b"z" * 300])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body, and the same in chunks."""
    lines = [
        bytes([97 + n % 26]) * length
        for n, length in enumerate(draw(st.lists(lengths, max_size=8)))
    ]
    body = b"".join(line + b"\n" for line in lines) + draw(st.sampled_from([b"", b"half"]))
    # chunks of one byte make sixfold what is sent: for short bodies only
    smallest = 1 if len(body) < 20_000 else 500
    pieces = cut(body, [max(smallest, size) for size in draw(sizes)])
    chunks = b"".join(chunk(piece, draw(extensions)) for piece in pieces)
    trailers = draw(st.sampled_from([b"", b"X-Trailer: y\r\n", b"a: b\r\nc: d\r\n"]))
    return body, chunks + b"0\r\n" + trailers + b"\r\n"


@settings(deadline=None, max_examples=80)
@given(bodies(), sizes)
def test_any_chunks_in_any_reads_give_the_lines_of_the_plain_framer(bodies, read_sizes):
    body, wire = bodies
    smallest = 1 if len(wire) < 20_000 else 1000
    buffer = LineBuffer(CHUNKED)

    lines = feed_all(buffer, cut(wire, [max(smallest, size) for size in read_sizes]))

    assert (lines, buffer.pending) == oracle(body)
    assert buffer.complete
    assert buffer.rest == (b"half" if buffer.pending else b"")


@settings(deadline=None, max_examples=60)
@given(bodies(), sizes, st.booleans())
def test_a_body_without_chunks_gives_them_too(bodies, read_sizes, with_length: bool):
    body, _ = bodies
    smallest = 1 if len(body) < 20_000 else 1000
    buffer = LineBuffer(len(body) if with_length else UNTIL_CLOSED)

    lines = feed_all(buffer, cut(body, [max(smallest, size) for size in read_sizes]))

    assert (lines, buffer.pending) == oracle(body)
    assert buffer.complete is with_length


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), sizes)
def test_rubbish_is_refused_or_ends_in_bounded_space_and_never_in_another_error(rubbish, reads):
    buffer = LineBuffer(CHUNKED)
    try:
        lines = feed_all(buffer, cut(chunk(b"first\n") + rubbish, reads))
    except TransportError:
        return
    assert lines[:1] in ([b"first"], [])
    assert len(buffer.space()) >= LEAST_SPACE


def test_events_of_one_chunk_each_are_taken_whole():
    events = [b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n % 700)) for n in range(2000)]
    buffer = LineBuffer(CHUNKED)

    assert feed(buffer, b"".join(chunk(event + b"\n") for event in events)) == events


def test_sizes_of_chunks_are_not_kept_without_end():
    buffer = LineBuffer(CHUNKED)
    for size in range(1, SIZES_KEPT + 100):
        assert feed(buffer, chunk(b"y" * size + b"\n")) == [b"y" * size]

    assert len(buffer._sizes) < SIZES_KEPT


def test_what_comes_after_the_end_is_not_looked_at():
    buffer = LineBuffer(CHUNKED)

    assert feed(buffer, chunk(b"a\n") + END + chunk(b"b\n") + b"rubbish") == [b"a"]
    assert buffer.complete


def test_nothing_is_complete_before_the_last_empty_line():
    buffer = LineBuffer(CHUNKED)
    wire = chunk(b"a\n") + b"0\r\nTrailer: x\r\n\r\n"

    for position, byte in enumerate(wire):
        assert not buffer.complete, position
        feed(buffer, bytes([byte]))
    assert buffer.complete


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"zz\r\n", id="no-number"),
        pytest.param(b"0x5\r\nhello\r\n", id="prefix"),
        pytest.param(b"+5\r\nhello\r\n", id="sign"),
        pytest.param(b"-5\r\nhello\r\n", id="negative"),
        pytest.param(b"1_0\r\n", id="underscore"),
        pytest.param(b" 5\r\nhello\r\n", id="leading-space"),
        pytest.param(b"\r\n", id="empty"),
        pytest.param(b";a=b\r\n", id="extension-only"),
        pytest.param(b"5 5\r\nhello\r\n", id="two-numbers"),
        pytest.param(b"5\nhello\r\n", id="bare-newline-then-crlf"),
        pytest.param(b"f" * 16 + b"\r\n", id="too-large"),
        pytest.param(b"2\r\na\nb\r\n", id="longer-than-it-says"),
        pytest.param(b"3\r\na\n\r\n5\r\n", id="shorter-than-it-says"),
        pytest.param(b"2\r\na\nX", id="no-crlf-after-it"),
        pytest.param(b"2\r\na\n\rX", id="half-a-crlf-after-it"),
    ],
)
def test_a_malformed_chunk_is_refused(wire: bytes):
    with pytest.raises(TransportError, match=r"a chunk of the answer (has no|does not)"):
        feed(LineBuffer(CHUNKED), wire)
    with pytest.raises(TransportError, match=r"a chunk of the answer (has no|does not)"):
        feed_all(LineBuffer(CHUNKED), cut(wire, [1]))


def test_a_malformed_chunk_after_many_good_ones_is_refused_as_well():
    good = chunk(b"line\n") * 10

    with pytest.raises(TransportError, match="has no size"):
        feed(LineBuffer(CHUNKED), good + b"6;\x00\r\nline!\n\r\n" + good)


@pytest.mark.parametrize("reads", [1000, 100_000])
@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"5;" + b"e" * 1_000_000, id="extension"),
        pytest.param(b"0\r\n" + b"t" * 1_000_000, id="trailer"),
        pytest.param(b"0\r\n" + b"a: b\r\n" * 100_000, id="trailers"),
    ],
)
def test_what_is_beside_the_body_has_a_limit(endless: bytes, reads: int):
    with pytest.raises(TransportError, match=f"more than {CHUNK_HEAD_LIMIT} bytes"):
        feed_all(LineBuffer(CHUNKED), cut(endless, [reads]))


@pytest.mark.parametrize("length", [CHUNKED, UNTIL_CLOSED])
def test_a_line_that_outgrows_the_limit_is_refused(length: int):
    part = b"x" * 100_000
    wire = chunk(part) if length == CHUNKED else part
    buffer = LineBuffer(length, limit=1_000_000)

    assert feed(buffer, wire * 10) == []
    with pytest.raises(TransportError, match="a line of the stream has more than 1000000 bytes"):
        feed(buffer, wire)


def test_the_buffer_of_an_idle_watch_is_small_and_large_reads_make_it_grow():
    buffer, line = LineBuffer(CHUNKED), b"x" * 3000
    assert len(buffer.space()) <= IDLE_SIZE

    assert feed(buffer, chunk(line + b"\n") * 100) == [line] * 100
    assert len(buffer._data) == BUFFER_SIZE
    for _ in range(CALM_READS):
        feed(buffer, chunk(line + b"\n"))
    assert len(buffer.space()) <= IDLE_SIZE


def test_the_buffer_grows_for_a_long_line_and_shrinks_back():
    buffer, line = LineBuffer(CHUNKED), b"x" * (10 * BUFFER_SIZE)

    assert feed(buffer, chunk(line + b"\n")) == [line]
    assert len(buffer._data) > 10 * BUFFER_SIZE
    for _ in range(CALM_READS):
        assert feed(buffer, chunk(b"short\n")) == [b"short"]
    assert len(buffer._data) == IDLE_SIZE


def test_long_lines_one_after_the_other_do_not_make_it_grow_each_time():
    buffer, line = LineBuffer(CHUNKED), b"x" * (3 * BUFFER_SIZE)
    feed(buffer, chunk(line + b"\n"))
    size = len(buffer._data)

    for _ in range(3 * CALM_READS):
        assert feed(buffer, chunk(line + b"\n")) == [line]
        assert len(buffer._data) == size


def test_short_lines_never_make_it_grow_further():
    buffer = LineBuffer(CHUNKED)
    wire = b"".join(chunk(b"y" * (n % 5000) + b"\n") for n in range(400))

    lines = feed_all(buffer, cut(wire, [65_537, 3, 250_000, 1000]))

    assert len(lines) == 399  # the first was empty
    assert len(buffer._data) == BUFFER_SIZE


def test_lines_are_copies_that_later_reads_do_not_change():
    buffer = LineBuffer(CHUNKED)
    [first] = feed(buffer, chunk(b"first\n"))
    feed(buffer, chunk(b"other\n") * 1000)

    assert first == b"first"
    assert type(first) is bytes
