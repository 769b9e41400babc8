"""ConfigMaps on a real API server for the tests of the client, and what a watch tells of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybridpg.controller.client import Client
from hybridpg.controller.decode import WatchEvent, decode_event
from hybridpg.controller.types import JsonObject, Resource

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


def config_map(name: str, **data: str) -> JsonObject:
    """A ConfigMap, labelled with its own name."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"name": name}},
        "data": data,
    }


async def watch_until(
    client: Client, namespace: str, done: Callable[[list[WatchEvent]], bool], **options: Any
) -> list[WatchEvent]:
    """What a watch of the ConfigMaps tells until it is enough."""
    events: list[WatchEvent] = []
    stream = client.watch(CONFIG_MAPS, namespace=namespace, timeout_seconds=20, **options)
    async for lines in stream:
        events += [decode_event(line) for line in lines]
        if done(events):
            break
    await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator
    return events
