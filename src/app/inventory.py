"""Turns what a backend's inventory sees into wake-ups: drift is found without polling objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..backends import BackendError, Inventory, Owner
from ..controller import ObjectKey

_log = structlog.get_logger(__name__)

_Seen = dict[str, tuple[Owner | None, object]]


class InventoryLoop:
    """Sweeps one backend and wakes the owners of everything that changed since the last sweep."""

    def __init__(
        self,
        inventory: Inventory,
        cluster_id: str,
        wake: Callable[[ObjectKey], None],
    ) -> None:
        self._inventory = inventory
        self._cluster_id = cluster_id
        self._wake = wake
        self._seen: _Seen | None = None

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await self.sweep()
            await asyncio.sleep(self._inventory.interval)

    async def sweep(self) -> None:
        """Sweep once; the first only remembers, as every object is reconciled at the start."""
        try:
            found: _Seen = dict(await self._inventory.sweep())
        except BackendError as error:
            _log.warning("the inventory cannot be read now", error=str(error))
            return
        before, self._seen = self._seen, found
        if before is None:
            return
        for name in sorted(before.keys() | found.keys()):
            if before.get(name) != found.get(name):
                self._wake_owner(before.get(name))
                self._wake_owner(found.get(name))

    def _wake_owner(self, entry: tuple[Owner | None, object] | None) -> None:
        owner = entry[0] if entry else None
        if owner is not None and owner.cluster_id == self._cluster_id:
            self._wake(ObjectKey(owner.namespace, owner.name))
