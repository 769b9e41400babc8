"""The answer to one GET as it comes in, head and then lines; knows nothing of sockets."""

from __future__ import annotations

from ..errors import TransportError
from .httphead import UNTIL_CLOSED, HeadReader, ResponseHead
from .linebuffer import LineBuffer


class Answer:
    """Takes bytes where they are written, gives back the head and complete lines."""

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self._heading = HeadReader()
        self._body = LineBuffer(UNTIL_CLOSED)  # exchanged once the head says how the body comes

    @property
    def complete(self) -> bool:
        """Whether the answer came to the end that HTTP gives it."""
        return self.head is not None and self._body.complete

    @property
    def rest(self) -> bytes:
        """What came of a line that has no end yet."""
        return self._body.rest

    def space(self) -> memoryview:
        """Return where the next bytes go."""
        return self._body.space()

    def fed(self, count: int) -> list[bytes]:
        """Take note of ``count`` bytes in ``space()``; return the lines that they complete.

        Errors: :class:`~..errors.TransportError` for what is not HTTP;
        :class:`~.httphead.Unsupported` for what is beyond this reader.
        """
        if self.head is not None:
            return self._body.fed(count)
        found = self._heading.feed(self._body.space()[:count])
        if found is None:
            return []
        self.head, begun = found
        self._body = LineBuffer(self.head.length)
        self._body.space()[: len(begun)] = begun
        return self._body.fed(len(begun))

    def end(self) -> None:
        """Take note that the answer, or the connection, ended in an orderly way.

        Errors: :class:`~..errors.TransportError` if that is too early, or in mid-line.
        """
        if self.head is None:
            raise TransportError("the connection broke: it ended before an answer")
        if not self._body.complete and self.head.length != UNTIL_CLOSED:
            raise TransportError("the connection broke: the answer ended in the middle")
        # an error's body is a text, whose last line need not have an end
        if self._body.pending and self.head.status == 200:
            raise TransportError("the stream ended in the middle of a line")
