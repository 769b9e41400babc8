"""All servers of this machine in one look, so that one that died wakes its object at once.

A look costs some file reads a server and no SQL. New programs and a certificate about to expire
are noticed here too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ..values import (
    Owner,
)
from .failures import translated
from .installations import Installations
from .site import Site
from .state import look_at_all

INTERVAL = 2.0  # seconds that a dead server stays unnoticed at most
SCAN_SECONDS = 60.0  # between two looks for programs that were installed meanwhile


class LocalInventory:
    """Sweeps the folder of the servers."""

    interval = INTERVAL

    def __init__(self, site: Callable[[], Awaitable[Site]], installations: Installations) -> None:
        self._site = site
        self._installations = installations
        self._scanned: float | None = None

    async def sweep(self) -> Mapping[str, tuple[Owner | None, object]]:
        """Return external name → (owner, state)."""
        site = await self._site()
        now = asyncio.get_running_loop().time()
        with translated():
            if self._scanned is None or now - self._scanned >= SCAN_SECONDS:
                self._scanned = now
                await self._installations.refresh()
                await asyncio.to_thread(site.renew)
            states = await asyncio.to_thread(look_at_all, site.layout, site.authority)
        return {name: (state.owner, state) for name, state in states.items()}
