"""Gives up a stream that is silent for too long, at next to no cost for one that is not.

``asyncio.timeout`` around each read makes and cancels a timer each time, which costs more than an
event does. Here one timer looks now and then when the last read began.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Silence(Generic[T]):
    """Reads an iterator, one item at a time, none of which may take longer than ``seconds``."""

    def __init__(self, items: AsyncIterator[T], seconds: float) -> None:
        self._items = items
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        # who reads at the moment, since when, and how often it was cancelled by others before
        self._reader: asyncio.Task[object] | None = None
        self._since = self._loop.time()
        self._cancelling = 0
        # the reader was cancelled because of the silence
        self._expired = False
        self._timer = self._loop.call_later(seconds, self._look)

    async def next(self) -> T | None:
        """Return the next item, or None at the end.

        Errors: ``TimeoutError`` after the silence.
        """
        reader = self._reader = asyncio.current_task()
        if reader is None:
            raise RuntimeError("a stream can be read by a task only")
        self._since = self._loop.time()
        self._cancelling = reader.cancelling()
        try:
            return await anext(self._items, None)
        except asyncio.CancelledError as error:
            if self._expired and reader.uncancel() <= self._cancelling:
                raise TimeoutError(f"nothing came for {self._seconds:g} s") from error
            raise
        finally:
            self._reader = None

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if self._reader is None:
            # the silence is the consumer's own
            self._timer = self._loop.call_later(self._seconds, self._look)
        elif now >= self._since + self._seconds:
            self._expired = True
            self._reader.cancel()
        else:
            self._timer = self._loop.call_at(self._since + self._seconds, self._look)
