"""kr8s: lists as plain dicts, which it offers; watches as objects, which it always makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import kr8s
from kr8s.asyncio.objects import new_class
from tests.bench.corpus import GROUP, KIND, PLURAL, VERSION
from tests.bench.target import Target

from .base import Cache, Peer, Seen


class Kr8s(Peer):
    def __init__(self, target: Target) -> None:
        self._target = target

    async def open(self) -> None:
        self._api = await kr8s.asyncio.api(kubeconfig=self._target.kubeconfig)

    def watch(self, plural: str) -> AsyncIterator[Any]:
        return self._api.async_watch(_kind(plural), namespace=kr8s.ALL, since="1")  # type: ignore[no-any-return]

    def look(self, event: Any) -> Seen:
        kind, obj = event
        return kind, obj.namespace, obj.name, obj.metadata.resourceVersion

    async def list(self) -> Cache:
        found = self._api.async_get(_kind(PLURAL), namespace=kr8s.ALL, raw=True)
        return {(o["metadata"]["namespace"], o["metadata"]["name"]): o async for o in found}


def _kind(plural: str) -> Any:
    return new_class(KIND, version=f"{GROUP}/{VERSION}", namespaced=True, plural=plural)
