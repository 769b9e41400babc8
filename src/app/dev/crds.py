"""Installs our CRDs, as ``hybridpg crd | kubectl apply -f -`` would."""

from __future__ import annotations

import asyncio
from typing import Final

from ...controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    AlreadyExists,
    Client,
    Conflict,
    JsonObject,
    ObjectKey,
)
from ...crds.manifest import KINDS, definition
from .steps import StepFailed

ESTABLISHED_TIMEOUT: Final = 30.0
"""Seconds; a real API server takes one or two, when it is busy ten."""
POLL_INTERVAL: Final = 0.1


async def install_crds(client: Client) -> list[str]:
    """Create or update the CRDs, wait until they are served, and return their names."""
    documents = [definition(kind) for kind in KINDS]
    for document in documents:
        await _ensure(client, document)
    for document in documents:
        await _established(client, document["metadata"]["name"])
    return [document["spec"]["names"]["plural"] for document in documents]


async def _ensure(client: Client, document: JsonObject) -> None:
    key = ObjectKey("", document["metadata"]["name"])
    try:
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, document)
    except AlreadyExists:
        present = await client.get(CUSTOM_RESOURCE_DEFINITIONS, key)
        wanted = {**present, "spec": {**present["spec"], **document["spec"]}}
        if wanted == present:
            return
        try:
            await client.update(CUSTOM_RESOURCE_DEFINITIONS, key, wanted)
        except Conflict:
            # the server's own status write came between; the next read has it
            await _ensure(client, document)


async def _established(client: Client, name: str) -> None:
    try:
        async with asyncio.timeout(ESTABLISHED_TIMEOUT):
            while True:
                crd = await client.get(CUSTOM_RESOURCE_DEFINITIONS, ObjectKey("", name))
                if _is_established(crd):
                    return
                await asyncio.sleep(POLL_INTERVAL)
    except TimeoutError as error:
        raise StepFailed(
            f"the API server does not serve {name} after {ESTABLISHED_TIMEOUT:.0f} s",
            fix=f"look at its status: kubectl get crd {name} -o yaml",
        ) from error


def _is_established(crd: JsonObject) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
