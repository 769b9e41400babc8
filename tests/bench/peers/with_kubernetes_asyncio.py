"""kubernetes_asyncio: custom objects as dicts are the fastest that it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from kubernetes_asyncio import client, config, watch
from tests.bench.corpus import GROUP, PAGE, PLURAL, VERSION
from tests.bench.target import Target

from .base import Cache, Peer, Seen, look_at_dict


class KubernetesAsyncio(Peer):
    def __init__(self, target: Target) -> None:
        self._target = target

    async def open(self) -> None:
        configuration = client.Configuration()
        await config.load_kube_config(self._target.kubeconfig, client_configuration=configuration)
        self._client = client.ApiClient(configuration)
        self._api = client.CustomObjectsApi(self._client)
        self._watches: list[watch.Watch] = []

    def watch(self, plural: str) -> AsyncIterator[Any]:
        source = self._api.list_cluster_custom_object
        self._watches.append(watch.Watch())
        return self._watches[-1].stream(source, GROUP, VERSION, plural, resource_version="1")

    def look(self, event: Any) -> Seen:
        return look_at_dict(event)

    async def list(self) -> Cache:
        cache: Cache = {}
        token = ""
        while True:
            page = await self._api.list_cluster_custom_object(
                GROUP, VERSION, PLURAL, limit=PAGE, _continue=token
            )
            cache.update(
                ((o["metadata"]["namespace"], o["metadata"]["name"]), o) for o in page["items"]
            )
            if not (token := page["metadata"].get("continue", "")):
                return cache

    async def close(self) -> None:
        for each in self._watches:
            await each.close()
        await self._client.close()
