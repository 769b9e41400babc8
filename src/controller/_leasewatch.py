"""Follows one Lease, so that what happens to it is known at once and not at the next try.

Nothing depends on it: where it fails, or where the rights for it are missing, the tries of the
elector find out the same, later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ._backoff import Backoff
from .client.api import Client
from .decode import BOOKMARK, DELETED, decode_event
from .errors import ControllerError
from .protocols import Now
from .types import LEASES, JsonObject, ObjectKey

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 480
"""After which the server ends a watch; between the limits that informers choose from."""


class LeaseWatch:
    """Calls ``on_change`` with every new state of a Lease, or with None when it was deleted."""

    def __init__(
        self,
        client: Client,
        key: ObjectKey,
        on_change: Callable[[JsonObject | None], None],
        *,
        now: Now,
    ) -> None:
        self._client = client
        self._key = key
        self._on_change = on_change
        self._backoff = Backoff(now=now)

    async def run(self) -> None:
        """Watch until cancelled; no failure ends it."""
        while True:
            try:
                await self._follow()
            except ControllerError as error:
                logger.debug("lease %s cannot be watched: %s", self._key, error)
            except Exception:
                logger.exception("the watch of lease %s failed", self._key)
            await asyncio.sleep(self._backoff.next())

    async def _follow(self) -> None:
        # no version: the stream begins with the newest state
        watch = self._client.watch(
            LEASES,
            namespace=self._key.namespace,
            field_selector=f"metadata.name={self._key.name}",
            timeout_seconds=WATCH_SECONDS,
        )
        async for lines in watch:
            for line in lines:
                event = decode_event(line)
                if event.type != BOOKMARK:
                    self._on_change(None if event.type == DELETED else event.object.decode())
