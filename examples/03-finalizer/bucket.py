"""Something outside of Kubernetes that must be cleaned up before its object may go.

The finalizer is set before anything is made, and taken off after it is proven gone. A crash at any
point leaves an object that is looked at again, and never a bucket that nobody knows of.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from hybridpg.controller import (
    AiohttpTransport,
    Client,
    Manager,
    Request,
    Resource,
    enqueue_self,
    ensure_finalizer,
    load_default,
    remove_finalizer,
    stop_on_signals,
)

BUCKETS = Resource("example.com", "v1", "buckets", "Bucket")
FINALIZER = "example.com/bucket"


class Storage(Protocol):
    """Where buckets are; each call may be repeated and does no harm then."""

    async def ensure(self, uid: str, size: int) -> None:
        """Make or change the bucket of an object."""

    async def delete(self, uid: str) -> None:
        """Delete the bucket of an object, if there is one."""


def buckets(client: Client, storage: Storage) -> Manager:
    """Return a manager with the controller of buckets."""
    manager = Manager(client, name="buckets")
    cached = manager.informer(BUCKETS)

    async def reconcile(request: Request) -> None:
        bucket = cached.store.get(request.key)
        if bucket is None:
            return
        if await ensure_finalizer(manager.client, BUCKETS, bucket, FINALIZER):
            return  # just added, so it comes again; or it is on its way out without us
        if bucket.deleting:
            await storage.delete(bucket.uid)  # raises until it is gone, and is tried again
            await remove_finalizer(manager.client, BUCKETS, bucket, FINALIZER)
            return
        await storage.ensure(bucket.uid, bucket.decode()["spec"]["size"])

    manager.controller("bucket", reconcile, workers=4).watch(cached, handler=enqueue_self())
    return manager


class Shelf:
    """A storage for trying it out."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    async def ensure(self, uid: str, size: int) -> None:
        """Keep the size."""
        self.sizes[uid] = size

    async def delete(self, uid: str) -> None:
        """Forget the size."""
        self.sizes.pop(uid, None)


async def main() -> None:
    """Run until told to stop."""
    with stop_on_signals() as stop:
        await buckets(Client(AiohttpTransport(await load_default())), Shelf()).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
