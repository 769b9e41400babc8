"""The head of an answer is understood in one way or refused."""

from __future__ import annotations

import pytest

from hybridpg.controller.client.httphead import (
    CHUNKED,
    HEAD_LIMIT,
    UNTIL_CLOSED,
    HeadReader,
    Unsupported,
    parse_head,
)
from hybridpg.controller.errors import TransportError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_head_has_a_status_and_headers_in_lower_case():
    head = parse_head(b"HTTP/1.1 403 Forbidden\r\nRetry-After:\t 7 \r\nX-Empty:\r\nX-A: b: c")

    assert head.status == 403
    assert head.headers == {"retry-after": "7", "x-empty": "", "x-a": "b: c"}


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        pytest.param(b"Transfer-Encoding: chunked", CHUNKED, id="chunked"),
        pytest.param(b"TRANSFER-ENCODING: Chunked", CHUNKED, id="in-capitals"),
        pytest.param(b"Content-Length: 0", 0, id="empty"),
        pytest.param(b"Content-Length: 12", 12, id="length"),
        pytest.param(b"Content-Length: 12\r\ncontent-length: 12", 12, id="twice-the-same"),
        pytest.param(b"Connection: close", UNTIL_CLOSED, id="until-closed"),
        pytest.param(b"Content-Encoding: identity\r\nContent-Length: 3", 3, id="identity"),
    ],
)
def test_the_head_says_how_long_the_body_is(lines: bytes, length: int):
    assert parse_head(b"HTTP/1.1 200 OK\r\n" + lines).length == length


def test_a_status_without_a_reason_or_of_the_older_version_will_do():
    assert parse_head(b"HTTP/1.1 200").status == 200
    assert parse_head(b"HTTP/1.0 200 OK").length == UNTIL_CLOSED


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_cannot_have_a_body_has_none(status: int):
    assert parse_head(b"HTTP/1.1 %d x\r\nContent-Length: 7" % status).length == 0


def test_repeated_headers_are_joined():
    head = parse_head(b"HTTP/1.1 200 OK\r\nVary: a\r\nvary: b")

    assert head.headers == {"vary": "a, b"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/2 200", id="version-2"),
        pytest.param(b"HTTP/1.2 200 OK", id="version-1.2"),
        pytest.param(b"HTTP/1.1 20 OK", id="short-status"),
        pytest.param(b"HTTP/1.1 2000 OK", id="long-status"),
        pytest.param(b"HTTP/1.1 abc OK", id="no-status"),
        pytest.param(b"HTTP/1.1  200 OK", id="two-spaces"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols", id="another-protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n folded", id="folded"),
        pytest.param(b"HTTP/1.1 200 OK\r\n folded: first", id="folded-at-once"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon", id="no-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length : 5", id="space-before-the-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\n: nameless", id="no-name"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\nC: d", id="bare-newline"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\x00", id="nul"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5", id="negative-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: +5", id="signed-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0x5", id="hexadecimal-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5", id="list-of-lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length:", id="empty-length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", id="two-lengths"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            id="chunked-and-length",
        ),
    ],
)
def test_a_malformed_head_is_refused(data: bytes):
    with pytest.raises(TransportError):
        parse_head(data)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (b"Transfer-Encoding: gzip, chunked", "transfer encoding gzip, chunked"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "transfer encoding"),
        (b"Content-Encoding: gzip\r\nContent-Length: 5", "compressed: gzip"),
    ],
)
def test_what_is_correct_but_beyond_the_reader_is_told_apart(lines: bytes, reason: str):
    with pytest.raises(Unsupported, match=reason):
        parse_head(b"HTTP/1.1 200 OK\r\n" + lines)


def test_chunks_of_the_older_version_are_beyond_the_reader():
    with pytest.raises(Unsupported):
        parse_head(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked")


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(HEAD) - 1, len(HEAD), 1000])
def test_a_head_may_come_in_pieces_and_leaves_what_follows(size: int):
    reader, data = HeadReader(), HEAD + b"5\r\nhello"
    for start in range(0, len(data), size):
        if found := reader.feed(data[start : start + size]):
            break

    assert found is not None
    head, rest = found
    assert head.length == CHUNKED
    assert rest == data[len(HEAD) : start + size]


def test_interim_answers_are_skipped():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    found = HeadReader().feed(b"HTTP/1.1 100 Continue\r\n\r\n" + early + HEAD + b"rest")

    assert found is not None
    assert (found[0].status, found[1]) == (200, b"rest")


def test_an_endless_head_is_given_up():
    reader = HeadReader()
    reader.feed(HEAD[:-2])
    reader.feed(b"A: " + b"x" * (HEAD_LIMIT - len(HEAD) - 1))

    with pytest.raises(TransportError, match=f"more than {HEAD_LIMIT} bytes"):
        reader.feed(b"x")


def test_endless_interim_answers_are_given_up():
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    reader = HeadReader()
    for _ in range(HEAD_LIMIT // len(interim)):
        assert reader.feed(interim) is None

    with pytest.raises(TransportError, match=f"more than {HEAD_LIMIT} bytes"):
        reader.feed(interim)


@pytest.mark.parametrize("beginning", [b"SSH-2.0-OpenSSH\r\n", b"\x15\x03\x01", b"h"])
def test_another_protocol_is_refused_with_its_first_bytes(beginning: bytes):
    with pytest.raises(TransportError, match="not HTTP"):
        HeadReader().feed(beginning)
