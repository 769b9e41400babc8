"""Cuts an HTTP body into lines in the buffer that it was read into.

A watch is read at gigabytes a second where the machine allows it, and then each copy of the
stream costs as much as the network. So the socket (or TLS) writes into one buffer that lives as
long as the watch; the chunks of HTTP are walked there, newlines are looked for in new bytes only,
and each line is copied once, out of the buffer. Bytes move within it only where a line spans
chunks or reads.

::

    0     start            end       raw              filled         len
    | used | line so far    | gap     | not yet walked | free         |
"""

from __future__ import annotations

import re
import sys
from typing import Final

from ..errors import TransportError
from .framing import LINE_LIMIT
from .httphead import CHUNKED, UNTIL_CLOSED

BUFFER_SIZE: Final = 256 * 1024
"""Bytes of a read while much comes: 85 events of 3 KB are half a millisecond, and fit a cache."""
IDLE_SIZE: Final = 64 * 1024
"""Bytes of the buffer while little comes: a process has dozens of watches, nearly all idle."""
LEAST_SPACE: Final = 32 * 1024
"""Bytes that a read is offered at least: two of TLS's largest records."""
CHUNK_HEAD_LIMIT: Final = 16 * 1024
"""Bytes of a chunk's size with its extensions, and of all trailers together."""
SIZES_KEPT: Final = 4096
CALM_READS: Final = 8
"""A large buffer is kept for so many small reads: after a long line comes often another."""

_SIZE: Final = re.compile(rb"\r\n([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00\r\n]*)?")


class LineBuffer:
    """The body of one answer: bytes are written into ``space()`` and come out as lines.

    ``length`` is as in :class:`~.httphead.ResponseHead`. Lines are without their newline, and
    none is empty.
    """

    def __init__(self, length: int, *, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._data = bytearray(IDLE_SIZE)
        self._view = memoryview(self._data)
        self._sizes: dict[bytes, int] = {}  # of the heads of chunks that were parsed: they recur
        self.restart(length)

    def restart(self, length: int) -> None:
        """Forget what came and begin another body, in the same memory."""
        self._chunked = length == CHUNKED
        self._calm = 0  # reads since the last that was large, or left a long line
        self._start = 0  # of the incomplete line
        self._end = 0  # of what is known of it, which holds no newline
        self._raw = 0  # of the bytes that were not walked yet; between reads: of a chunk's head
        self._filled = 0  # where the next read goes
        self._left = sys.maxsize if length == UNTIL_CLOSED else max(length, 0)  # of this chunk
        self._trailers = False  # the last chunk came, what follows are header lines
        self._trailer_bytes = 0
        self.complete = length == 0
        """Whether the body came to the end that HTTP gives it."""
        if self._chunked:  # each head is parsed with the CRLF before it; the first has none
            self._view[:2] = b"\r\n"
            self._filled = 2

    @property
    def pending(self) -> int:
        """Bytes of the incomplete line."""
        return self._end - self._start

    @property
    def excess(self) -> bool:
        """Whether bytes came behind the end of the body."""
        return self.complete and self._raw < self._filled

    @property
    def rest(self) -> bytes:
        """The incomplete line."""
        return bytes(self._view[self._start : self._end])

    def take_rest(self) -> bytes:
        """Return the incomplete line as if it were complete."""
        rest = self.rest
        self._start = self._end
        return rest

    def space(self) -> memoryview:
        """Return where the next bytes go, at least ``LEAST_SPACE`` of it."""
        size, kept = len(self._data), self.pending + self._filled - self._raw
        full = size - self._filled < LEAST_SPACE
        self._calm = 0 if full or kept >= LEAST_SPACE else self._calm + 1
        if full:  # what is moved is at most as much as the move makes room for
            self._move(max(BUFFER_SIZE, size if 2 * kept <= size else 2 * size))
        elif self._calm >= CALM_READS and size > IDLE_SIZE:
            self._move(IDLE_SIZE)
        elif not kept:
            self._start = self._end = self._raw = self._filled = 0
        return self._view[self._filled :]

    def fed(self, count: int) -> list[bytes]:
        """Take note of ``count`` bytes in ``space()``; return the lines that they complete.

        Errors: :class:`~..errors.TransportError` for malformed chunks and where a line outgrows
        the limit.
        """
        self._filled += count
        lines: list[bytes] = []
        while self._raw < self._filled and not self.complete:
            if self._chunked and not self._left:
                if self._start == self._end and not self._trailers:
                    self._take_whole_chunks(lines)
                if not self._next_chunk():
                    break
            self._take(lines)
        return lines

    def _take_whole_chunks(self, lines: list[bytes]) -> None:
        """Take the chunks that are complete and hold one line each, as API servers send them.

        ``tobytes`` copies as ``bytes`` does, in half the time for a few kilobytes.
        """
        find, view, sizes, filled = self._data.find, self._view, self._sizes, self._filled
        chunk = self._raw
        while (head := find(b"\r\n", chunk + 2, filled)) > 0:
            # only what was parsed before; an end, an error and a new size are not found here
            size = sizes.get(view[chunk:head].tobytes())
            if size is None or (stop := head + 2 + size) > filled:
                break
            if find(b"\n", head + 2, stop) != stop - 1:
                break
            if size > 1:
                lines.append(view[head + 2 : stop - 1].tobytes())
            chunk = stop
        self._raw = self._start = self._end = chunk

    def _next_chunk(self) -> bool:
        """Parse the head of a chunk; return False where more bytes are needed, or none come."""
        if self._trailers:
            return self._skip_trailers()
        head = self._data.find(b"\r\n", self._raw + 2, self._filled)
        if head < 0:
            self._refuse_long(self._filled - self._raw)
            # not before two bytes came: the first of them may be all there is
            if not b"\r\n".startswith(self._data[self._raw : min(self._raw + 2, self._filled)]):
                raise TransportError("a chunk of the answer does not end where it should")
            return False
        self._refuse_long(head - self._raw)
        key = bytes(self._view[self._raw : head])
        found = _SIZE.fullmatch(key)
        if found is None:
            raise TransportError(f"a chunk of the answer has no size: {key[:40]!r}")
        self._left = int(found[1], 16)
        self._raw = head + 2
        if self._left:
            if len(self._sizes) >= SIZES_KEPT:
                self._sizes.clear()
            self._sizes[key] = self._left
            return True
        self._trailers = True
        return self._skip_trailers()

    def _skip_trailers(self) -> bool:
        """Read header lines up to the empty one, which ends the body; they mean nothing here."""
        while not self.complete:
            end = self._data.find(b"\r\n", self._raw, self._filled)
            if end < 0:
                self._refuse_long(self._trailer_bytes + self._filled - self._raw)
                return False
            self.complete = end == self._raw
            self._trailer_bytes += end + 2 - self._raw
            self._refuse_long(self._trailer_bytes)
            self._raw = end + 2
        return False

    def _take(self, lines: list[bytes]) -> None:
        """Take what came of this chunk."""
        find, view = self._data.find, self._view
        position, stop = self._raw, min(self._raw + self._left, self._filled)
        self._left -= stop - position
        self._raw = stop
        self.complete = not self._left and not self._chunked
        newline = find(b"\n", position, stop)
        if self._start == self._end:
            self._start = self._end = position
        elif self._end != position:  # the head of a chunk is within the line
            upto = stop if newline < 0 else newline
            view[self._end : self._end + upto - position] = view[position:upto]
        while newline >= 0:
            self._end += newline - position
            if self._end > self._start:
                lines.append(view[self._start : self._end].tobytes())
            position = self._start = self._end = newline + 1
            newline = find(b"\n", position, stop)
        self._end += stop - position
        if self.pending > self._limit:
            raise TransportError(f"a line of the stream has more than {self._limit} bytes")

    def _move(self, size: int) -> None:
        """Move what is kept to the front of the buffer, which gets ``size`` bytes."""
        data, view = self._data, self._view
        if size != len(data):  # a view is on it, so it cannot be resized
            data = bytearray(size)
            view = memoryview(data)
        line, head = self.pending, self._filled - self._raw
        view[:line] = self._view[self._start : self._end]
        view[line : line + head] = self._view[self._raw : self._filled]
        self._data, self._view = data, view
        self._start, self._end, self._raw, self._filled = 0, line, line, line + head

    def _refuse_long(self, count: int) -> None:
        if count > CHUNK_HEAD_LIMIT:
            raise TransportError(
                f"the head of a chunk or the trailers have more than {CHUNK_HEAD_LIMIT} bytes"
            )
