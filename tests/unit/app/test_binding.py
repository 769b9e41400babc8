"""Status is a hint: whoever forges or wipes it moves, doubles and leaks nothing."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.backends import Unknown
from hybridpg.controller import SECRETS, MergePatch, ObjectKey, Resource

from .memory import MemoryBackend, MemoryTarget
from .world import NAMESPACE, World, ready_and_stopped

pytestmark = pytest.mark.virtual_time

BOTH = {"allowed_backends": ["memory", "two"]}


def world_of_two(config: dict[str, Any] | None = None, **capabilities: Any) -> World:
    """A world with a second backend, which has servers of its own."""
    world = World(config or BOTH)
    two = MemoryBackend(MemoryTarget(), "two")
    two.capabilities = replace(
        two.capabilities, name_pattern="two-{namespace}-{name}", **capabilities
    )
    two.target = world.target  # logins are tried on one target
    world.others["two"] = two
    return world


@asynccontextmanager
async def operating(world: World):
    """A world with everything installed and its operator running."""
    await world.prepare()
    async with world.operator():
        yield world


async def forge(world: World, kind: Resource, name: str, **status: Any) -> None:
    """Write status as somebody with rights on the subresource; None wipes a field."""
    body = MergePatch({"status": status})
    await world.client.patch(kind, ObjectKey(NAMESPACE, name), body, subresource="status")


async def wipe(world: World, kind: Resource, name: str) -> None:
    """Make status what it is when an object is restored from a file."""
    fields = (await world.get(kind, name)).get("status") or {}
    await forge(world, kind, name, **dict.fromkeys(fields))


async def wake(world: World, kind: Resource, name: str) -> None:
    """Touch an object, so that it is looked at."""
    await world.patch(kind, name, {"metadata": {"annotations": {"touched": "yes"}}})


async def settled(world: World, kind: Resource, name: str, **expected: str) -> dict[str, Any]:
    """Wake an object, and return its status once it says what is expected and is Ready."""

    async def looked() -> bool:
        status = (await world.get(kind, name)).get("status") or {}
        found = all(status.get(field) == value for field, value in expected.items())
        return found and bool(status.get("backend"))

    await wake(world, kind, name)
    await asyncio.sleep(5)
    await world.until(looked)
    await world.ready(kind, name)
    found: dict[str, Any] = (await world.get(kind, name))["status"]
    return found


async def test_a_forged_binding_gets_no_backend_that_the_namespace_may_not_have():
    """M8: forged before anything was bound."""
    world = world_of_two({**BOTH, "namespaces": {"team": {"allowed_backends": ["memory"]}}})
    await world.prepare()
    await world.server(backend="memory")
    await forge(world, SERVERS, "pg", backend="two", externalName="two-team-pg")
    async with world.operator():
        condition = await world.reason(SERVERS, "pg", "BackendUnavailable")
    assert "'two' is not allowed in namespace team; allowed: memory" in condition["message"]
    assert world.target.servers == {}


async def test_a_forged_name_is_not_taken_from_others():
    """M1, M8: a name that is free now is somebody's later."""
    world = World()
    await world.prepare()
    await world.server()
    await forge(world, SERVERS, "pg", backend="memory", externalName="victim-db")
    async with world.operator():
        await world.ready(SERVERS, "pg")
    assert list(world.target.servers) == ["team-pg"]
    assert (await world.get(SERVERS, "pg"))["status"]["externalName"] == "team-pg"


async def test_a_forged_name_does_not_make_an_annotation_adopt_anything():
    """M1: what has no mark is adopted by its own name alone."""
    world = World()
    await world.prepare()
    await world.server(annotations={"hybridcloud.maibornwolff.de/adopt": "platform"})
    await forge(world, SERVERS, "pg", backend="memory", externalName="platform")
    async with world.operator():
        await world.ready(SERVERS, "pg")
    assert "platform" not in world.target.servers


@pytest.mark.parametrize("restart", [False, True], ids=["running", "after-a-restart"])
@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"backend": None, "externalName": None}, id="wiped"),
        pytest.param({"backend": "memory", "externalName": "team-pg"}, id="another-backend"),
        pytest.param({"backend": "gone"}, id="no-backend"),
        pytest.param({"externalName": "other"}, id="another-name"),
    ],
)
async def test_a_server_stays_where_its_mark_is(restart: bool, forged: dict[str, Any]):
    """M8, D44: no second server, and status is right again."""
    world = world_of_two()
    await world.prepare()
    async with world.operator():
        await world.server(backend="two", deletionPolicy="Delete")
        await world.ready(SERVERS, "pg")
        if not restart:
            await forge(world, SERVERS, "pg", **forged)
            status = await settled(world, SERVERS, "pg")
    if restart:
        await forge(world, SERVERS, "pg", **forged)
        async with world.operator():
            status = await settled(world, SERVERS, "pg")
    assert (status["backend"], status["externalName"]) == ("two", "two-team-pg")
    assert list(world.target.servers) == ["two-team-pg"]


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(None, id="wiped"),
        pytest.param({"backend": "memory", "externalName": "team-pg"}, id="another-backend"),
        pytest.param({"backend": "gone", "externalName": "x"}, id="no-backend"),
        pytest.param({"backend": "used", "externalName": "team-pg"}, id="backend-that-makes-none"),
    ],
)
async def test_a_deletion_finds_the_server_by_its_mark(forged: dict[str, Any] | None):
    """M8: nothing is left running because status says that nothing was made."""
    world = world_of_two()
    used = MemoryBackend(MemoryTarget(), "used")
    used.capabilities = replace(used.capabilities, provisions=False, publishes_admin=False)
    world.others["used"] = used
    await world.prepare()
    async with world.operator():
        await world.server(backend="two", deletionPolicy="Delete")
        await world.ready(SERVERS, "pg")
    await (forge(world, SERVERS, "pg", **forged) if forged else wipe(world, SERVERS, "pg"))
    await world.delete(SERVERS, "pg")
    async with world.operator():
        await world.gone(SERVERS, "pg")
    assert world.target.servers == {}


async def test_a_deletion_with_an_empty_status_waits_for_a_clear_answer():
    """M8, D29, D32: the Secret says that something was made."""
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server(deletionPolicy="Delete")
        await world.ready(SERVERS, "pg")
    await wipe(world, SERVERS, "pg")
    await world.delete(SERVERS, "pg")
    world.target.fail["observe_server"] = Unknown("no answer")
    async with world.operator():
        condition = await world.reason(SERVERS, "pg", "Unreachable")
        assert condition["message"] == "the deletion waits: no answer"
        world.target.fail.clear()
        await world.gone(SERVERS, "pg")
    assert world.target.servers == {}


async def test_what_was_never_bound_goes_whatever_the_backends_say():
    """D32: without a Secret nothing was made, so nobody has to be asked for certain."""
    config = {"namespaces": {"team": {"allowed_backends": ["other"]}}}
    world = World(config)
    async with operating(world):
        await world.server(deletionPolicy="Delete")
        await world.reason(SERVERS, "pg", "BackendUnavailable")
        world.target.fail["observe_server"] = Unknown("no answer")
        await world.delete(SERVERS, "pg")
        await world.gone(SERVERS, "pg", 5)
    assert world.target.servers == {}


async def test_a_backend_that_is_silent_keeps_nobody_from_getting_a_server_elsewhere():
    """D51."""
    world = world_of_two()
    silent = world.others["two"]
    silent.target = MemoryTarget(fail={"observe_server": Unknown("no answer")})
    async with operating(world):
        await world.server(backend="memory")
        await world.ready(SERVERS, "pg", 5)


async def test_a_backend_that_is_no_longer_allowed_keeps_the_servers_that_it_has():
    """C3: the mark shows that the binding was made while it was allowed."""
    world = world_of_two()
    await world.prepare()
    async with world.operator():
        await world.server(backend="two")
        await world.ready(SERVERS, "pg")
    world.config = World({"allowed_backends": ["memory"]}).config
    async with world.operator():
        status = await settled(world, SERVERS, "pg")
    assert status["backend"] == "two"
    assert list(world.target.servers) == ["two-team-pg"]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "after-a-restart"])
async def test_a_forged_name_makes_no_second_database(restart: bool):
    """M8: the name in the spec cannot change, nor can it by the back door."""
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        if not restart:
            await forge(world, DATABASES, "app", externalName="other")
            status = await settled(world, DATABASES, "app")
    if restart:
        await forge(world, DATABASES, "app", externalName="other")
        async with world.operator():
            status = await settled(world, DATABASES, "app")
    assert status["externalName"] == "app"
    assert list(world.target.servers["team-pg"].databases) == ["app"]


async def test_a_recorded_name_that_the_mark_confirms_is_kept():
    """C3: names of earlier days stay."""
    world = await ready_and_stopped()
    server = world.target.servers["team-pg"]
    server.roles["old_app"] = server.roles.pop("app")
    server.databases["old_app"] = server.databases.pop("app")
    await forge(world, DATABASES, "app", externalName="old_app")
    async with world.operator():
        status = await settled(world, DATABASES, "app")
    assert status["externalName"] == "old_app"
    assert list(server.databases) == ["old_app"]


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
async def test_a_database_whose_status_was_wiped_is_deleted_by_its_policy(policy: str):
    """M8, D30."""
    world = await ready_and_stopped(database={"deletionPolicy": policy})
    await wipe(world, DATABASES, "app")
    await world.delete(DATABASES, "app")
    async with world.operator():
        await world.gone(DATABASES, "app")
    server = world.target.servers["team-pg"]
    assert ("app" in server.databases) == (policy == "Retain")
    role = server.roles.get("app")
    assert (role.owner.retained if role and role.owner else None) == (
        True if policy == "Retain" else None
    )


async def test_status_says_what_a_deletion_would_do_before_there_is_one():
    """H13: and follows the spec."""
    async with operating(World()) as world:
        await world.server()
        await world.database(deletionPolicy="Delete")
        await world.ready(DATABASES, "app")

        async def shown(kind: Resource, name: str) -> str:
            return str((await world.get(kind, name))["status"]["effective"]["deletionPolicy"])

        assert await shown(SERVERS, "pg") == "Retain"
        assert await shown(DATABASES, "app") == "Delete"
        await world.patch(SERVERS, "pg", {"spec": {"deletionPolicy": "Snapshot"}})

        async def followed() -> bool:
            return await shown(SERVERS, "pg") == "Snapshot"

        await world.until(followed)


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"backend": None, "externalName": None}, id="wiped"),
        pytest.param({"backend": "memory", "externalName": "elsewhere"}, id="forged"),
    ],
)
async def test_a_server_whose_status_says_something_else_takes_no_database_for_gone(
    forged: dict[str, Any], policy: str
):
    """Law 1: what is absent from a place that status alone names proves nothing of the data."""
    world = await ready_and_stopped(
        database={"deletionPolicy": policy}, server={"deletionPolicy": policy}
    )
    await forge(world, SERVERS, "pg", **forged)
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
        await asyncio.sleep(10)
    server = world.target.servers.get("team-pg")
    if policy == "Delete":
        assert server is None
        assert "delete_user app" in world.target.trace
        return
    assert server is not None
    assert server.roles["app"].owner is not None
    assert server.roles["app"].owner.retained
    assert await world.exists(SECRETS, "app-login")


async def test_a_database_whose_server_is_nowhere_says_what_its_deletion_waits_for():
    """Law 5: nothing that is left says where the data was, so nothing proves that it went."""
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Delete"}
    )
    await forge(world, SERVERS, "pg", backend=None, externalName=None)
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    world.target.servers.clear()
    async with world.operator():
        await world.reason(DATABASES, "app", "WaitingForServer")
        await world.reason(SERVERS, "pg", "DeletionBlocked")
        await asyncio.sleep(60)
        assert await world.exists(DATABASES, "app")


@pytest.mark.parametrize(("kind", "name"), [(SERVERS, "pg"), (DATABASES, "app")])
async def test_a_deletion_with_a_wiped_binding_knows_the_former_name_of_the_secret(
    kind: Resource, name: str
):
    """Status says where nothing is, and the spec names a Secret that was never made."""
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Delete"}
    )
    if kind is SERVERS:
        await world.patch(DATABASES, "app", {"metadata": {"finalizers": None}})
        await world.delete(DATABASES, "app")
    await forge(world, kind, name, backend=None, externalName=None)
    await world.patch(kind, name, {"spec": {"credentialsSecret": "new-login"}})
    await world.delete(kind, name)
    world.target.fail["observe_server"] = Unknown("no answer")
    async with world.operator():
        await asyncio.sleep(30)
        assert await world.exists(kind, name), "something may be there"
        world.target.fail.clear()
        await world.gone(kind, name, 600)
    server = world.target.servers.get("team-pg")
    assert server is None if kind is SERVERS else server is not None and server.roles == {}
