"""Sees that a published Secret was deleted or edited, without listing or watching Secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from ..controller import SECRETS, ApiError, Client, NotFound, ObjectKey, TransportError
from .verification import PublishedSecret, PublishedSecrets

_log = structlog.get_logger(__name__)

MAX_READS_PER_SECOND: Final = 50
"""What an API server takes without noticing, for any number of Secrets, those of all kinds."""


class SecretSweep:
    """GETs every published Secret each ``interval`` seconds and wakes its object.

    ``wake`` says by kind who is told the key of an object. The API server may answer from its
    cache: so a change is seen a moment later there.

    Awake objects repair themselves; the sweep itself changes nothing. No clear answer wakes
    nobody: it is asked again in the next round.
    """

    def __init__(
        self,
        client: Client,
        published: PublishedSecrets,
        wake: Mapping[str, Callable[[ObjectKey], None]],
        *,
        interval: float,
    ) -> None:
        self._client = client
        self._published = published
        self._wake = wake
        self._interval = interval

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(self._interval)
            await self.sweep()

    async def sweep(self) -> None:
        """Look at every published Secret once, evenly spread below the limit."""
        for kind, wake in self._wake.items():
            for key, secret in self._published.of_kind(kind):
                if await self._changed(secret):
                    wake(key)
                await asyncio.sleep(1 / MAX_READS_PER_SECOND)

    async def _changed(self, secret: PublishedSecret) -> bool:
        try:
            # a look that costs next to nothing, and reads no password; who is woken reads it anew
            found = await self._client.get(
                SECRETS,
                ObjectKey(secret.namespace, secret.name),
                resource_version="0",
                metadata_only=True,
            )
        except NotFound:
            return True
        except (ApiError, TransportError) as error:
            _log.info("a published secret cannot be read now", secret=secret.name, error=str(error))
            return False
        return bool(found["metadata"]["resourceVersion"] != secret.resource_version)
