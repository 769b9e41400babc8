"""The example of the first run: one server, one database, and the wait until both are Ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import Final

import yaml

from ...controller import AlreadyExists, Client, JsonObject, ObjectKey, Resource
from ..kinds import DATABASES, SERVERS
from ..reasons import Condition
from .steps import StepFailed

NAMESPACE: Final = "default"
SERVER: Final = ObjectKey(NAMESPACE, "demo")
DATABASE: Final = ObjectKey(NAMESPACE, "app")
READY_TIMEOUT: Final = 120.0
"""Seconds: initdb and a first start take two; a loaded laptop with a slow disk takes forty."""
POLL_INTERVAL: Final = 0.1
NOTE_LIMIT: Final = 200
"""Characters of a note: two lines of a terminal; the whole message is in the object's status."""

_KINDS: Final = {resource.kind: resource for resource in (SERVERS, DATABASES)}


def manifest() -> str:
    """Return the manifest: the same text as ``examples/quickstart.yaml`` of a checkout."""
    return files(__package__).joinpath("quickstart.yaml").read_text()


async def apply(client: Client) -> None:
    """Create what is missing of the example; what a user has changed since stays."""
    for document in yaml.safe_load_all(manifest()):
        try:
            await client.create(_KINDS[document["kind"]], document, namespace=NAMESPACE)
        except AlreadyExists:
            continue


async def wait_ready(client: Client, note: Callable[[str], None]) -> None:
    """Wait until server and database are Ready; whatever they say on the way is a ``note``."""
    for resource, key in ((SERVERS, SERVER), (DATABASES, DATABASE)):
        last = "nothing was said about it"
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                while (condition := await _ready(client, resource, key)).get("status") != "True":
                    if condition:
                        last = f"{condition['reason']}: {condition['message']}"
                        note(f"{resource.kind} {key.name}: {last}"[:NOTE_LIMIT])
                    await asyncio.sleep(POLL_INTERVAL)
        except TimeoutError as error:
            raise StepFailed(
                f"{resource.kind} {key.name} is not Ready after {READY_TIMEOUT:.0f} s: {last}",
                fix="the log says more",
            ) from error


async def _ready(client: Client, resource: Resource, key: ObjectKey) -> JsonObject:
    """Return the Ready condition of the object's present generation, or an empty one."""
    found = await client.get(resource, key)
    status = found.get("status") or {}
    if status.get("observedGeneration") != found["metadata"].get("generation"):
        return {}
    for condition in status.get("conditions") or ():
        if condition["type"] == Condition.READY:
            return dict(condition)
    return {}
