"""What can happen to the lines of a watch between two machines.

Each kind takes the lines as they come and gives the bytes that are passed on; how the stream ends
where it ends too early is an exception. ``lines`` is always the rest: what a kind does not take is
passed on as it is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeAlias

Lines: TypeAlias = AsyncIterator[bytes]
"""Whole lines, each with its newline."""
BOOKMARK = b'"type":"BOOKMARK"'
INITIAL_END = b'"k8s.io/initial-events-end":"true"'
"""Is in the bookmark behind the list with which a watch may begin."""


class Ended(Exception):
    """The stream ends as if all had been said."""


class Broken(Exception):
    """The connection breaks: by a reset, or by an end before the end."""

    def __init__(self, *, reset: bool = True) -> None:
        super().__init__()
        self.reset = reset


class Stalled(Exception):
    """Nothing comes any more, and the connection stays."""


@dataclass(frozen=True, slots=True)
class End:
    """End the watch cleanly."""

    def perturb(self, lines: Lines) -> Lines:
        raise Ended


@dataclass(frozen=True, slots=True)
class Break:
    """Break the connection between two lines."""

    reset: bool = True

    def perturb(self, lines: Lines) -> Lines:
        raise Broken(reset=self.reset)


@dataclass(frozen=True, slots=True)
class CutFrame:
    """Break the connection in the middle of the next line."""

    reset: bool = True

    async def perturb(self, lines: Lines) -> Lines:
        line = await _next(lines)
        yield line[: len(line) // 2]
        raise Broken(reset=self.reset)


@dataclass(frozen=True, slots=True)
class CutLine:
    """End the watch cleanly in the middle of the next line."""

    async def perturb(self, lines: Lines) -> Lines:
        line = await _next(lines)
        yield line[: len(line) // 2]
        raise Ended


@dataclass(frozen=True, slots=True)
class Silence:
    """Pass nothing on, and say nothing of it: the connection is half-open."""

    def perturb(self, lines: Lines) -> Lines:
        raise Stalled


@dataclass(frozen=True, slots=True)
class Swallow:
    """Take events out."""

    count: int = 1

    async def perturb(self, lines: Lines) -> Lines:
        left = self.count
        async for line in lines:
            if left and BOOKMARK not in line:
                left -= 1
            else:
                yield line


@dataclass(frozen=True, slots=True)
class Repeat:
    """Pass each event on twice."""

    async def perturb(self, lines: Lines) -> Lines:
        async for line in lines:
            yield line
            yield line


@dataclass(frozen=True, slots=True)
class Late:
    """Pass the next event on late, and with it all that come after."""

    seconds: float

    async def perturb(self, lines: Lines) -> Lines:
        line = await _next(lines)
        await asyncio.sleep(self.seconds)
        yield line
        async for line in lines:
            yield line


@dataclass(frozen=True, slots=True)
class Say:
    """Put lines in; ``last``: and end the watch behind them."""

    said: bytes
    last: bool = False

    async def perturb(self, lines: Lines) -> Lines:
        yield self.said
        if self.last:
            raise Ended
        async for line in lines:
            yield line


@dataclass(frozen=True, slots=True)
class NoBookmarks:
    """Take the bookmarks out: some API servers send none."""

    async def perturb(self, lines: Lines) -> Lines:
        async for line in lines:
            if BOOKMARK not in line:
                yield line


@dataclass(frozen=True, slots=True)
class Inflate:
    """Give the object of the next event an annotation of that many bytes."""

    size: int

    async def perturb(self, lines: Lines) -> Lines:
        event = json.loads(await _next(lines))
        annotations = event["object"]["metadata"].setdefault("annotations", {})
        annotations["large"] = "x" * self.size
        yield json.dumps(event, separators=(",", ":")).encode() + b"\n"
        async for line in lines:
            yield line


StreamFault: TypeAlias = (
    End | Break | CutFrame | CutLine | Silence | Swallow | Repeat | Late | Say | NoBookmarks
) | Inflate


async def _next(lines: Lines) -> bytes:
    line = await anext(lines, None)
    if line is None:
        raise Ended
    return line


async def perturbed(
    lines: Lines, fault: StreamFault, *, behind: bytes, after: int, strike: Callable[[], None]
) -> Lines:
    """Pass lines on up to the one that holds ``behind``, and then so many events; then strike."""
    while behind or after:
        line = await _next(lines)
        if behind:
            behind = behind if behind not in line else b""
        elif BOOKMARK not in line:
            after -= 1
        yield line
    strike()
    async for made in fault.perturb(lines):
        yield made


def error_event(code: int, reason: str, message: str = "scripted") -> bytes:
    """Return the line with which an API server ends a watch."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body = {**status, "code": code, "reason": reason, "message": message}
    return json.dumps({"type": "ERROR", "object": body}, separators=(",", ":")).encode() + b"\n"
