"""Parses the head of an HTTP/1.1 answer.

For the watches that are read without an HTTP library: strict, because what two readers
understand differently is how one answer is smuggled into another. What is correct and yet beyond
the in-place reader is :class:`Unsupported`: the library takes such answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import TransportError

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of all heads of an answer, interim ones included: a real one has less than one KB."""
UNTIL_CLOSED: Final = -1
CHUNKED: Final = -2

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00\r\n]*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_BODILESS: Final = (204, 304)


class Unsupported(Exception):
    """A correct answer that the in-place reader cannot read."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status, headers with lower-case names, and how long the body is.

    ``length`` is a number of bytes, ``CHUNKED``, or ``UNTIL_CLOSED``.
    """

    status: int
    headers: dict[str, str]
    length: int


class HeadReader:
    """Collects the bytes of an answer until its head is complete."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._interim = 0  # bytes of the 1xx heads that were dropped

    def feed(self, data: bytes | memoryview) -> tuple[ResponseHead, bytes] | None:
        """Take bytes; return the head and what came after it, or None if more is needed.

        Errors: :class:`~..errors.TransportError` for what is not HTTP; :class:`Unsupported`.
        """
        searched = max(len(self._received) - 3, 0)
        self._received += data
        while True:
            end = self._received.find(b"\r\n\r\n", searched)
            if self._interim + (len(self._received) if end < 0 else end) > HEAD_LIMIT:
                raise TransportError(f"the head of the answer has more than {HEAD_LIMIT} bytes")
            if end < 0:
                self._refuse_another_protocol()
                return None
            head = parse_head(bytes(self._received[:end]))
            del self._received[: end + 4]
            if head.status >= 200:
                return head, bytes(self._received)
            self._interim += end + 4
            searched = 0

    def _refuse_another_protocol(self) -> None:
        # at once: what speaks no HTTP will not send the end of a head either
        beginning = bytes(self._received[:5])
        if not b"HTTP/".startswith(beginning):
            raise TransportError(f"the answer is not HTTP, it begins with {beginning!r}")


def parse_head(data: bytes) -> ResponseHead:
    """Return the head in ``data``, which is without the empty line.

    Errors: :class:`~..errors.TransportError`, :class:`Unsupported`.
    """
    first, *rest = data.split(b"\r\n")
    found = _STATUS_LINE.fullmatch(first)
    if found is None:
        raise TransportError(f"the answer is not HTTP/1.1, it begins with {first[:40]!r}")
    version, status = found[1], int(found[2])
    if status == 101:
        raise TransportError("the server switched to another protocol without being asked")
    headers = _fields(rest)
    return ResponseHead(status, headers, _length(status, version, headers))


def _fields(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)  # a folded line begins with a space: no name does
        if found is None:
            raise TransportError(f"a header of the answer is malformed: {line[:40]!r}")
        name, value = found[1].decode("ascii").lower(), found[2].decode("latin-1")
        if name not in headers:
            headers[name] = value
        elif name != "content-length":
            headers[name] += f", {value}"
        elif headers[name] != value:
            raise TransportError("the answer has two different lengths")
    return headers


def _length(status: int, version: bytes, headers: dict[str, str]) -> int:
    coding = headers.get("transfer-encoding", "")
    length = headers.get("content-length")
    if status < 200 or status in _BODILESS:
        return 0
    if headers.get("content-encoding", "").lower() not in ("", "identity"):
        raise Unsupported(f"the answer is compressed: {headers['content-encoding'][:40]}")
    if coding and length is not None:
        raise TransportError("the answer is chunked and has a length")
    if coding:
        if coding.lower() != "chunked" or version == b"0":
            raise Unsupported(f"the answer comes in transfer encoding {coding[:40]}")
        return CHUNKED
    if length is None:
        return UNTIL_CLOSED
    if not _LENGTH.fullmatch(length):
        raise TransportError(f"the length of the answer is none: {length[:40]!r}")
    return int(length)
