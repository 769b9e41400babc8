"""One handler of an informer: contained, and with a gate of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from .protocols import EventHandler
from .types import KubeObject

logger = logging.getLogger(__name__)

MIN_RESYNC: Final = 1.0
"""Seconds between two resyncs at least: a shorter period would be a busy loop."""
_FAILED: Final = "handler of %s failed on %s and misses the event"


class Registration:
    """One handler of an informer; contains whatever the handler raises."""

    def __init__(self, handler: EventHandler, title: str, resync: float | None) -> None:
        self.resync = None if resync is None else max(MIN_RESYNC, resync)
        # nothing more is delivered; set once and for all
        self.removed = False
        self._handler = handler
        self._title = title
        # set when the handler has returned from everything that was there when it came
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether the handler was called for everything that was there at first."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the handler was called for everything that was there at first."""
        await self._synced.wait()

    def mark_synced(self) -> None:
        """Say that everything that was there at first was delivered."""
        self._synced.set()

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        """Tell the handler that an object appeared."""
        if self.removed:
            return
        try:
            self._handler.on_add(obj, initial=initial)
        except Exception:
            logger.exception(_FAILED, self._title, obj.key)

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        """Tell the handler that an object changed."""
        if self.removed:
            return
        try:
            self._handler.on_update(old, new)
        except Exception:
            logger.exception(_FAILED, self._title, new.key)

    def on_delete(self, obj: KubeObject) -> None:
        """Tell the handler that an object is gone."""
        if self.removed:
            return
        try:
            self._handler.on_delete(obj)
        except Exception:
            logger.exception(_FAILED, self._title, obj.key)
