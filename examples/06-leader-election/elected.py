"""Two replicas of which one works: the other has its caches ready and waits for the Lease.

A reconcile function writes through ``manager.client``: that one refuses to write from the moment on
at which the lease is not provably held, also in a process that was stopped and goes on later.
"""

from __future__ import annotations

import asyncio

from hybridpg.controller import (
    AiohttpTransport,
    Client,
    LeaseConfig,
    Manager,
    Request,
    Resource,
    enqueue_self,
    load_default,
    stop_on_signals,
    write_status,
)

HELLOS = Resource("example.com", "v1", "hellos", "Hello")
LEASE = LeaseConfig("default", "greeter")


def elected(client: Client, name: str) -> Manager:
    """Return one of several managers; ``name`` is what it writes while it leads."""
    manager = Manager(client, name="elected", leader_election=LEASE, close_client=False)
    hellos = manager.informer(HELLOS)

    async def reconcile(request: Request) -> None:
        if (found := hellos.store.get(request.key)) is not None:
            await write_status(manager.client, HELLOS, found, {"greeting": f"from {name}"})

    manager.controller("hello", reconcile).watch(hellos, handler=enqueue_self())
    return manager


async def main() -> None:
    """Run until told to stop, or until the lease is lost: that is an error, and the end."""
    client = Client(AiohttpTransport(await load_default()))
    try:
        with stop_on_signals() as stop:
            await elected(client, "me").run(stop)
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main())
