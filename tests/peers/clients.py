"""The clients, each used as its documentation shows: what they are told is printed, line by line.

A line is a JSON array of an event type and a name. Imports stand inside the functions: a run pays
for one client only. Nothing here retries or catches: what a user would have to write around a
library is no part of the library. ``KUBECONFIG`` leads to the same server as the address.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

RESOURCE = "configmaps"
DELETED = "DELETED"


def say(type_: str, name: str) -> None:
    """Print one event."""
    print(json.dumps([type_, name]), flush=True)


async def hybridpg(url: str) -> None:
    """Our informer: its handler is told of every change."""
    from hybridpg.controller import AiohttpTransport, Client, Config, Informer, KubeObject, Resource

    class Handler:
        def on_add(self, obj: KubeObject, *, initial: bool) -> None:
            say("ADDED", obj.name)

        def on_update(self, old: KubeObject, new: KubeObject) -> None:
            say("MODIFIED", new.name)

        def on_delete(self, obj: KubeObject) -> None:
            say(DELETED, obj.name)

    client = Client(AiohttpTransport(Config(url)))
    informer = Informer(client, Resource("", "v1", RESOURCE, "ConfigMap"))
    informer.add_handler(Handler())
    await informer.run()


async def kopf(url: str) -> None:
    """An operator with a handler of raw events."""
    import kopf as library

    @library.on.login()  # type: ignore[untyped-decorator]  # the library's
    def login(**_: Any) -> Any:
        return library.ConnectionInfo(server=url)

    @library.on.startup()  # type: ignore[untyped-decorator]  # the library's
    def configure(settings: Any, **_: Any) -> None:
        settings.posting.enabled = False

    @library.on.event("v1", RESOURCE)  # type: ignore[untyped-decorator]  # the library's
    def event(type: str | None, name: str, **_: Any) -> None:
        say(type or "LISTED", name)

    await library.operator(clusterwide=True, standalone=True)


async def kr8s(url: str) -> None:
    """The watch of its asynchronous API."""
    import kr8s as library
    import kr8s.asyncio

    api = await library.asyncio.api()
    async for type_, obj in api.watch(RESOURCE, namespace=library.ALL):
        say(type_, obj.name)


async def kubernetes(url: str) -> None:
    """The SharedInformer of the official client."""
    from kubernetes import client
    from kubernetes.informer import ADDED, MODIFIED, SharedInformer

    api = client.CoreV1Api(client.ApiClient(client.Configuration(host=url)))
    informer = SharedInformer(list_func=api.list_config_map_for_all_namespaces)
    for type_ in (ADDED, MODIFIED, DELETED):
        informer.add_event_handler(type_, lambda obj, type_=type_: say(type_, obj.metadata.name))
    informer.start()
    await asyncio.Event().wait()


async def kubernetes_asyncio(url: str) -> None:
    """Its Watch."""
    from kubernetes_asyncio import client, watch

    async with client.ApiClient(client.Configuration(host=url)) as api_client:
        api = client.CoreV1Api(api_client)
        async with watch.Watch().stream(api.list_config_map_for_all_namespaces) as stream:
            async for event in stream:
                say(event["type"], event["object"].metadata.name)


async def lightkube(url: str) -> None:
    """Its watch, with the retries that it offers."""
    from lightkube import AsyncClient
    from lightkube.resources.core_v1 import ConfigMap
    from lightkube.types import on_error_retry

    client = AsyncClient()
    async for type_, obj in client.watch(ConfigMap, namespace="*", on_error=on_error_retry):
        say(type_, obj.metadata.name)


CLIENTS: dict[str, Callable[[str], Awaitable[None]]] = {
    "hybridpg": hybridpg,
    "kopf": kopf,
    "kr8s": kr8s,
    "kubernetes": kubernetes,
    "kubernetes-asyncio": kubernetes_asyncio,
    "lightkube": lightkube,
}
