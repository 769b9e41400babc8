"""A controller to be tested: greets everybody once an hour."""

from __future__ import annotations

from hybridpg.controller import (
    Client,
    Manager,
    Request,
    Resource,
    Result,
    enqueue_self,
    write_status,
)

HELLOS = Resource("example.com", "v1", "hellos", "Hello")
HOUR = Result(requeue_after=3600.0)


def greeter(client: Client) -> Manager:
    """Return a manager with one controller."""
    manager = Manager(client, name="greeter", close_client=False)
    hellos = manager.informer(HELLOS)

    async def reconcile(request: Request) -> Result | None:
        hello = hellos.store.get(request.key)
        if hello is None:
            return None
        count = (hello.decode().get("status") or {}).get("count", 0)
        await write_status(manager.client, HELLOS, hello, {"count": count + 1})
        return HOUR

    controller = manager.controller("greeter", reconcile)
    controller.watch(hellos, handler=enqueue_self(), predicate=lambda event: event.old is None)
    return manager
