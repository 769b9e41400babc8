"""kopf has no public function that lists or watches without an operator: its own are called."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from kopf._cogs.clients import auth
from kopf._cogs.clients.fetching import fetch_objs
from kopf._cogs.clients.watching import Bookmark, infinite_watch
from kopf._cogs.configs.configuration import OperatorSettings
from kopf._cogs.structs.credentials import ConnectionInfo, Vault, VaultKey
from kopf._cogs.structs.references import Resource
from kopf._core.reactor.queueing import watcher
from tests.bench.corpus import GROUP, KIND, PLURAL, VERSION
from tests.bench.figures import Clock
from tests.bench.target import TOKEN, Target

from .base import Cache, Peer, Seen, look_at_dict


class Kopf(Peer):
    def __init__(self, target: Target) -> None:
        self._target = target
        self._settings = OperatorSettings()

    async def open(self) -> None:
        target = self._target
        self._vault = Vault()
        login = ConnectionInfo(
            server=target.url,
            ca_path=target.ca or None,
            certificate_path=target.certificate or None,
            private_key_path=target.key or None,
            token=None if target.certificate else TOKEN,
        )
        await self._vault.populate({VaultKey("bench"): login})
        auth.vault_var.set(self._vault)

    def _where(self, plural: str = PLURAL) -> dict[str, Any]:
        resource = Resource(group=GROUP, version=VERSION, plural=plural, kind=KIND, namespaced=True)
        return {"settings": self._settings, "resource": resource, "namespace": None}

    async def watch(self, plural: str) -> AsyncIterator[Any]:
        async for event in infinite_watch(**self._where(plural)):
            if not isinstance(event, Bookmark):
                yield event

    def look(self, event: Any) -> Seen:
        return look_at_dict(event)

    async def list(self) -> Cache:
        cache: Cache = {}
        async for chunk, _ in fetch_objs(logger=logging.getLogger("bench"), **self._where()):
            cache.update(((o["metadata"]["namespace"], o["metadata"]["name"]), o) for o in chunk)
        return cache

    async def work(self, events: int, see: Callable[[Any], None] | None = None) -> Clock:
        clock = Clock(events)

        async def process(*, raw_event: Any, **_: Any) -> None:
            if see is not None:
                see(raw_event)
            if clock.tick():
                clock.stop()

        task = asyncio.create_task(watcher(processor=process, **self._where()))
        await clock.done.wait()
        # not awaited: stopping takes it seconds that nobody measures
        task.cancel()
        return clock

    async def close(self) -> None:
        await self._vault.close()
