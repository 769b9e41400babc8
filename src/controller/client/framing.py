"""Cuts a byte stream into lines.

The line readers of HTTP libraries have limits of a few hundred kilobytes, and a single object may
have megabytes. Each byte is looked at once and copied once or twice, however the stream is cut
into chunks: looking for the newline in everything that was buffered is quadratic.
"""

from __future__ import annotations

from typing import Final

from ..errors import TransportError

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one line: forty times what etcd stores by default, and still a bound on memory."""


class LineFramer:
    """Collects chunks and gives back complete lines."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []  # of one line, none of them with a newline
        self._size = 0  # of all parts together

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk and return the lines that it completes, without newlines, none empty.

        Errors: :class:`~..errors.TransportError` where a line outgrows the limit.
        """
        end = chunk.find(b"\n")
        if self._size + (len(chunk) if end < 0 else end) > self._limit:
            raise TransportError(f"a line of the stream has more than {self._limit} bytes")
        if end < 0:
            self._parts.append(chunk)
            self._size += len(chunk)
            return []
        lines = chunk.split(b"\n")
        if self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
        rest = lines.pop()
        self._parts = [rest] if rest else []
        self._size = len(rest)
        return [line for line in lines if line]

    @property
    def pending(self) -> int:
        """Bytes of an incomplete line: more than none at the end means a cut stream."""
        return self._size
