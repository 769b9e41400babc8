"""Says what it does: a condition that programs wait for, and events that people read.

Orders a ticket and looks again every minute until it is there. A ticket to nowhere is a mistake
that no repetition cures: it is said in the status, and not tried again until the object changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hybridpg.controller import (
    AiohttpTransport,
    Client,
    KubeObject,
    Manager,
    ObjectReference,
    Request,
    Resource,
    Result,
    enqueue_self,
    generation_changed,
    load_default,
    set_condition,
    stop_on_signals,
    write_status,
)

TICKETS = Resource("example.com", "v1", "tickets", "Ticket")
LOOK_AGAIN = Result(requeue_after=60.0)

Printed = Callable[[str], Awaitable[bool]]
"""Whether the ticket to a place is printed by now."""


def tickets(client: Client, printed: Printed) -> Manager:
    """Return a manager with the controller of tickets."""
    manager = Manager(client, name="tickets")
    cached = manager.informer(TICKETS)

    async def reconcile(request: Request) -> Result | None:
        ticket = cached.store.get(request.key)
        if ticket is None or ticket.deleting:
            return None
        place = ticket.decode()["spec"]["to"]
        if place == "nowhere":
            await say(ticket, "NoSuchPlace", f"there is no way to {place}", warning=True)
            return None
        if not await printed(place):
            await say(ticket, "Ordered", f"a ticket to {place} is being printed")
            return LOOK_AGAIN
        await say(ticket, "Printed", f"a ticket to {place} is ready", ready=True)
        return None

    async def say(
        ticket: KubeObject, reason: str, message: str, *, ready: bool = False, warning: bool = False
    ) -> None:
        status = ticket.decode().get("status") or {}
        status["conditions"] = set_condition(
            status.get("conditions") or [],
            "Ready",
            "True" if ready else "False",
            reason=reason,
            message=message,
            observed_generation=ticket.generation,
        )
        # nothing changed, nothing written; and what was not written is no news
        if await write_status(manager.client, TICKETS, ticket, status) is not None:
            about = ObjectReference(
                TICKETS.api_version, TICKETS.kind, ticket.namespace, ticket.name, ticket.uid
            )
            manager.events.event(about, "Warning" if warning else "Normal", reason, message)

    controller = manager.controller("ticket", reconcile)
    controller.watch(cached, handler=enqueue_self(), predicate=generation_changed())
    return manager


async def at_once(place: str) -> bool:
    """Print in no time."""
    return True


async def main() -> None:
    """Run until told to stop."""
    with stop_on_signals() as stop:
        await tickets(Client(AiohttpTransport(await load_default())), at_once).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
