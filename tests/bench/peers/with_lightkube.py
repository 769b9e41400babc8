"""lightkube: custom objects are its generic resources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import lightkube
from lightkube.config.kubeconfig import KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from tests.bench.corpus import GROUP, KIND, PAGE, PLURAL, VERSION
from tests.bench.target import Target

from .base import Cache, Peer, Seen


class Lightkube(Peer):
    def __init__(self, target: Target) -> None:
        self._client = lightkube.AsyncClient(config=KubeConfig.from_file(target.kubeconfig))

    def watch(self, plural: str) -> AsyncIterator[Any]:
        # it knows a kind by one plural only, so others need a name of their own
        name = KIND + plural.removeprefix(PLURAL)
        kind = create_namespaced_resource(GROUP, VERSION, name, plural)
        return self._client.watch(kind, namespace="*", resource_version="1")  # type: ignore[no-any-return]

    def look(self, event: Any) -> Seen:
        metadata = event[1].metadata
        return event[0], metadata.namespace, metadata.name, metadata.resourceVersion

    async def list(self) -> Cache:
        kind = create_namespaced_resource(GROUP, VERSION, KIND, PLURAL)
        found = self._client.list(kind, namespace="*", chunk_size=PAGE)
        return {(o.metadata.namespace, o.metadata.name): o async for o in found}

    async def close(self) -> None:
        await self._client.close()
