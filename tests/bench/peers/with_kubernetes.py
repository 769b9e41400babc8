"""The official client, which blocks: custom objects as dicts are the fastest that it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes
from tests.bench.corpus import GROUP, PAGE, PLURAL, VERSION
from tests.bench.target import Target

from .base import Cache, Peer, Seen, look_at_dict


class Kubernetes(Peer):
    blocking = True

    def __init__(self, target: Target) -> None:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(target.kubeconfig, client_configuration=configuration)
        self._client = kubernetes.client.ApiClient(configuration)
        self._api = kubernetes.client.CustomObjectsApi(self._client)

    def watch(self, plural: str) -> Iterator[Any]:
        source = self._api.list_cluster_custom_object
        return kubernetes.watch.Watch().stream(  # type: ignore[no-any-return]
            source, GROUP, VERSION, plural, resource_version="1"
        )

    def look(self, event: Any) -> Seen:
        return look_at_dict(event)

    async def list(self) -> Cache:
        cache: Cache = {}
        token = ""
        while True:
            page = self._api.list_cluster_custom_object(
                GROUP, VERSION, PLURAL, limit=PAGE, _continue=token
            )
            cache.update(
                ((o["metadata"]["namespace"], o["metadata"]["name"]), o) for o in page["items"]
            )
            if not (token := page["metadata"].get("continue", "")):
                return cache

    async def close(self) -> None:
        self._client.close()
