"""Lines come out whole, however the stream was cut."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridpg.controller.client.framing import LINE_LIMIT, LineFramer
from hybridpg.controller.errors import TransportError

stream_bytes = st.binary(max_size=300).map(lambda data: data.replace(b"\x00", b"\n"))
cuts = st.lists(st.integers(0, 300), max_size=20)


@given(stream_bytes, cuts)
def test_the_cuts_between_chunks_make_no_difference(data: bytes, at: list[int]):
    edges = [0, *sorted(at), len(data)]
    framer = LineFramer()
    lines = [
        line for start, end in itertools.pairwise(edges) for line in framer.feed(data[start:end])
    ]

    *whole, rest = data.split(b"\n")
    assert lines == [line for line in whole if line]
    assert framer.pending == len(rest)


def test_a_line_is_given_out_as_soon_as_its_newline_is_there():
    framer = LineFramer()

    assert framer.feed(b'{"a"') == []
    assert framer.feed(b': 1}\n{"b"') == [b'{"a": 1}']
    assert framer.pending == 4
    assert framer.feed(b": 2}\n") == [b'{"b": 2}']
    assert framer.pending == 0


def test_empty_lines_are_dropped():
    assert LineFramer().feed(b"\n\na\n\n\nb\n") == [b"a", b"b"]


def test_a_line_of_the_limit_passes_and_a_longer_one_ends_the_stream():
    framer = LineFramer(limit=10)

    assert framer.feed(b"12345") == []
    assert framer.feed(b"67890\n") == [b"1234567890"]
    framer.feed(b"12345")
    with pytest.raises(TransportError, match="more than 10 bytes"):
        framer.feed(b"678901")


def test_many_short_lines_in_one_chunk_are_not_one_long_line():
    assert len(LineFramer(limit=10).feed(b"12345\n" * 100)) == 100


def test_a_line_of_megabytes_in_small_pieces_costs_no_more_than_its_bytes():
    """A framer that searched all it has for each piece would take minutes here."""
    framer = LineFramer()
    piece = b"x" * 1024
    started = time.process_time()
    for _ in range(20 * 1024):
        assert framer.feed(piece) == []
    [line] = framer.feed(b"\n")

    assert len(line) == 20 * 1024 * 1024 < LINE_LIMIT
    assert time.process_time() - started < 5
