"""Everything is deleted at once, in any order, with the controller running or down: nothing hangs.

A namespace that ends deletes all its objects and takes no new ones; what lives elsewhere goes or
stays by its policy, and never depends on which of them went first.
"""

import asyncio
from itertools import permutations
from typing import Any

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.controller import NAMESPACES, SECRETS, NotFound, ObjectKey

from .world import NAMESPACE, World, ready_and_stopped

pytestmark = pytest.mark.virtual_time

THINGS = {
    "server": (SERVERS, "pg"),
    "database": (DATABASES, "app"),
    "admin-secret": (SECRETS, "pg-login"),
    "secret": (SECRETS, "app-login"),
}
ORDERS = [pytest.param(order, id="-".join(order)) for order in permutations(THINGS)]
POLICIES = ["Delete", "Retain"]


async def prepared(server: str, database: str) -> World:
    """A world with a server and a database, and no controller running."""
    return await ready_and_stopped(
        database={"deletionPolicy": database}, server={"deletionPolicy": server}
    )


async def delete_in(world: World, order: tuple[str, ...], pause: float) -> None:
    for thing in order:
        kind, name = THINGS[thing]
        try:
            await world.delete(kind, name)
        except NotFound:
            continue  # collected with its owner by now
        await asyncio.sleep(pause)


async def both_gone(world: World) -> None:
    await world.gone(DATABASES, "app", 300)
    await world.gone(SERVERS, "pg", 300)


def check_data(world: World, server: str, database: str) -> None:
    """What is left is what the policies say."""
    found = world.target.servers.get("team-pg")
    assert (found is not None) == (server == "Retain")
    if found is not None:
        assert ("app" in found.databases) == (database == "Retain")


@pytest.mark.parametrize("order", ORDERS)
async def test_any_order_ends_alike_while_the_controller_runs(order: tuple[str, ...]):
    """H18: with time between the deletions for the controller to act on each."""
    world = await prepared("Delete", "Delete")
    async with world.operator():
        await delete_in(world, order, pause=2)
        await both_gone(world)
    check_data(world, "Delete", "Delete")


@pytest.mark.parametrize("order", ORDERS)
async def test_any_order_ends_alike_after_the_controller_was_down(order: tuple[str, ...]):
    """H18, D31: nothing is remembered of what was there."""
    world = await prepared("Delete", "Delete")
    await delete_in(world, order, pause=0)
    async with world.operator():
        await both_gone(world)
    check_data(world, "Delete", "Delete")


@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
@pytest.mark.parametrize("database", POLICIES)
@pytest.mark.parametrize("server", POLICIES)
async def test_a_namespace_ends_with_everything_in_it(server: str, database: str, running: bool):
    """H18: it takes no new Secret, and the policies hold."""
    world = await prepared(server, database)

    async def end() -> None:
        await world.client.delete(NAMESPACES, ObjectKey("", NAMESPACE))

    async def ended() -> bool:
        try:
            await world.client.get(NAMESPACES, ObjectKey("", NAMESPACE))
        except NotFound:
            return True
        return False

    if not running:
        await end()
    async with world.operator():
        if running:
            await asyncio.sleep(1)
            await end()
        await world.until(ended, 600)
    check_data(world, server, database)
    found: Any = world.target.servers.get("team-pg")
    if found is not None:
        assert found.owner.retained
