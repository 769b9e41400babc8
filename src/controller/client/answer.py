"""The answer to a GET as it comes in, head and then lines; knows nothing of sockets."""

from __future__ import annotations

from typing import Final

from ..errors import TransportError
from .framing import LINE_LIMIT
from .httphead import UNTIL_CLOSED, HeadReader, ResponseHead
from .linebuffer import LineBuffer

HEAD_PIECE: Final = 4096
"""Bytes that a head is looked for in at a time; all of a real one."""

CHUNKS_PREFIX: Final = 2
"""Bytes that :class:`LineBuffer` puts before the first chunk: what came with the head must fit in
behind them, even where nearly all of the head came before."""


class Answer:
    """Takes bytes where they are written, gives back the head and complete lines.

    With ``whole``, so many bytes at most, the body is one text: its last line needs no end.
    """

    def __init__(self, whole: int = 0) -> None:
        self.head: ResponseHead | None = None
        self._heading = HeadReader()
        # begun anew once the head says how the body comes
        self._body = LineBuffer(UNTIL_CLOSED, limit=whole or LINE_LIMIT)
        self._whole = whole > 0
        self._space = memoryview(b"")  # that was handed out last

    def restart(self) -> None:
        """Expect another answer on the same connection."""
        self.head = None
        self._heading = HeadReader()
        self._body.restart(UNTIL_CLOSED)

    @property
    def complete(self) -> bool:
        """Whether the answer came to the end that HTTP gives it."""
        return self.head is not None and self._body.complete

    @property
    def reusable(self) -> bool:
        """Whether another answer can come on this connection."""
        head, body = self.head, self._body
        if head is None or not body.complete or body.excess:
            return False
        return "close" not in head.headers.get("connection", "").lower()

    @property
    def rest(self) -> bytes:
        """What came of a line that has no end yet."""
        return self._body.rest

    def space(self) -> memoryview:
        """Return where the next bytes go."""
        self._space = self._body.space()
        if self.head is None:
            self._space = self._space[:-CHUNKS_PREFIX]
        return self._space

    def fed(self, count: int) -> list[bytes]:
        """Take note of ``count`` bytes in ``space()``; return the lines that they complete.

        Errors: :class:`~..errors.TransportError` for what is not HTTP;
        :class:`~.httphead.Unsupported` for what is beyond this reader.
        """
        lines = self._body.fed(count) if self.head is not None else self._began(count)
        if self._whole and self.complete and self._body.pending:
            lines.append(self._body.take_rest())
        return lines

    def _began(self, count: int) -> list[bytes]:
        came, found, taken = self._space[:count], None, 0
        # a head is short, and what comes behind it may be a megabyte
        while found is None and taken < count:
            found = self._heading.feed(came[taken : taken + HEAD_PIECE])
            taken = min(taken + HEAD_PIECE, count)
        if found is None:
            return []
        self.head, begun = found
        self._body.restart(self.head.length)
        space, kept = self._body.space(), len(begun)
        # both are in one buffer: what is kept is copied before it is written over
        space[kept : kept + count - taken] = came[taken:]
        space[:kept] = begun
        return self._body.fed(kept + count - taken)

    def end(self) -> None:
        """Take note that the answer, or the connection, ended in an orderly way.

        Errors: :class:`~..errors.TransportError` if that is too early, or in mid-line.
        """
        if self.head is None:
            raise TransportError("the connection broke: it ended before an answer")
        if not self._body.complete and self.head.length != UNTIL_CLOSED:
            raise TransportError("the connection broke: the answer ended in the middle")
        # an error's body is a text, whose last line need not have an end
        if self._body.pending and self.head.status == 200 and not self._whole:
            raise TransportError("the stream ended in the middle of a line")
