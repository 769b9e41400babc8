"""The namespaces of a lane, one of which a point may take away."""

from __future__ import annotations

import asyncio
from typing import Final

from hybridpg.controller import NAMESPACES, Client, NotFound, ObjectKey

GONE_SECONDS: Final = 60.0
"""A namespace controller looks again after eight seconds where something had a finalizer."""
LOOK_SECONDS: Final = 0.1


async def make(client: Client, name: str) -> None:
    """Create a namespace."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await client.create(NAMESPACES, body)


async def delete(client: Client, name: str) -> None:
    """Delete a namespace: all in it goes, in no order, and nothing can be made in it any more."""
    await client.delete(NAMESPACES, ObjectKey("", name))


async def make_again(client: Client, name: str) -> None:
    """Make a namespace that somebody has deleted, once that is over; leave one that is there.

    Raises:
        TimeoutError: it is not over in time.
    """
    try:
        async with asyncio.timeout(GONE_SECONDS):
            while await _is_going(client, name):
                await asyncio.sleep(LOOK_SECONDS)
    except NotFound:
        await make(client, name)


async def _is_going(client: Client, name: str) -> bool:
    found = await client.get(NAMESPACES, ObjectKey("", name))
    return "deletionTimestamp" in found["metadata"]
