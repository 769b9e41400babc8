"""Deletion: by policy, on proof, in order; what waits says why and how it goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from hybridpg.app.kinds import ADOPT, DATABASES, FINALIZER, RETAINED_FROM, SERVERS
from hybridpg.backends import Busy, Owner, Policy, Unknown
from hybridpg.controller import SECRETS

from .world import World, both_ready, ready_and_stopped, running

pytestmark = pytest.mark.virtual_time


async def test_a_deleted_database_keeps_its_data_unless_asked_otherwise():
    """D34, invariant 2: the default is Retain."""
    async with both_ready() as world:
        password = (await world.secret("app-login"))["password"]
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        server = world.target.servers["team-pg"]
        owner = server.roles["app"].owner
        assert "app" in server.databases
        assert owner is not None
        assert owner.retained
        secret = await world.get(SECRETS, "app-login")
        assert "ownerReferences" not in secret["metadata"]
        assert secret["metadata"]["annotations"][RETAINED_FROM] == "app"
        assert (await world.secret("app-login"))["password"] == password


@pytest.mark.parametrize(
    ("config", "spec"),
    [
        pytest.param({}, {"deletionPolicy": "Delete"}, id="spec"),
        pytest.param({"deletion": {"databases": "Delete"}}, {}, id="configuration"),
    ],
)
async def test_delete_removes_database_role_and_secret(
    config: dict[str, Any], spec: dict[str, Any]
):
    """D5: the role goes as well."""
    async with both_ready(database=spec, **config) as world:
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        server = world.target.servers["team-pg"]
        assert server.databases == {}
        assert server.roles == {}
        await world.gone(SECRETS, "app-login")


async def test_the_spec_overrides_the_configuration():
    async with both_ready(
        database={"deletionPolicy": "Retain"}, deletion={"databases": "Delete"}
    ) as world:
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        assert "app" in world.target.servers["team-pg"].databases


@pytest.mark.parametrize("call", ["observe_database", "delete_database", "delete_user"])
async def test_an_error_keeps_the_finalizer_until_the_answer_is_clear(call: str):
    """D29, D30, invariants 6 and 16."""
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        world.target.fail[call] = Unknown("no answer")
        await world.delete(DATABASES, "app")
        condition = await world.reason(DATABASES, "app", "Unreachable")
        assert "deletion waits" in condition["message"]
        await asyncio.sleep(600)
        assert FINALIZER in (await world.get(DATABASES, "app"))["metadata"]["finalizers"]
        assert await world.exists(SECRETS, "app-login")
        world.target.fail.clear()
        await world.gone(DATABASES, "app")
        assert world.target.servers["team-pg"].roles == {}


async def test_what_changed_hands_meanwhile_is_left_alone():
    """Invariant 1: only what carries our mark is deleted, whatever its name."""
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        other = Owner("cluster-1", "new-uid", "team", "app")
        world.target.servers["team-pg"].roles["app"].owner = other
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        assert "app" in world.target.servers["team-pg"].databases
        assert "delete_database" not in world.target.calls
        assert [e for e in await world.events("app") if e[:2] == ("Warning", "LeftAlone")]


async def test_a_database_that_was_never_made_goes_at_once():
    async with running() as world:
        await world.database(deletionPolicy="Delete")
        await world.reason(DATABASES, "app", "ServerNotFound")
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app", 5)


async def test_a_recreated_database_does_not_take_over_by_its_name_alone():
    """A retained thing is taken over by annotation only."""
    async with both_ready() as world:
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        await world.database()
        await world.reason(DATABASES, "app", "Conflict")
        assert world.target.servers["team-pg"].databases == {"app": frozenset()}
        assert "delete_user" not in world.target.calls


async def test_a_retained_database_is_taken_over_with_its_secret_by_annotation():
    async with both_ready() as world:
        password = (await world.secret("app-login"))["password"]
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        await world.database(annotations={ADOPT: "app"})
        await world.ready(DATABASES, "app")
        role = world.target.servers["team-pg"].roles["app"]
        assert (await world.secret("app-login"))["password"] == password == role.password
        secret = await world.get(SECRETS, "app-login")
        uid = (await world.get(DATABASES, "app"))["metadata"]["uid"]
        assert [o["uid"] for o in secret["metadata"]["ownerReferences"]] == [uid]
        assert RETAINED_FROM not in secret["metadata"]["annotations"]


async def test_the_event_says_how_to_take_a_retained_thing_over():
    async with both_ready() as world:
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        told = [e for e in await world.events("app") if e[1] == "Retained"]
        assert f"{ADOPT}: app" in told[0][2]


@pytest.mark.parametrize(
    ("policy", "note"),
    [
        pytest.param("Retain", ("Normal", "Kept", "the server keeps running"), id="retain"),
        pytest.param("Delete", ("Normal", "Deleted", "the server is gone"), id="delete"),
    ],
)
async def test_an_event_says_what_became_of_a_server(policy: str, note: tuple[str, str, str]):
    async with running() as world:
        await world.server(deletionPolicy=policy)
        await world.ready(SERVERS, "pg")
        await world.delete(SERVERS, "pg")
        await world.gone(SERVERS, "pg")
        told = await world.events("pg")
    assert note in told
    assert {reason for _, reason, _ in told} & {"Kept", "Deleted"} == {note[1]}


async def test_a_server_waits_for_its_databases():
    """D33: shown in the condition, and woken by their deletion."""
    async with both_ready(server={"deletionPolicy": "Delete"}) as world:
        await world.delete(SERVERS, "pg")
        condition = await world.reason(SERVERS, "pg", "DeletionBlocked")
        assert condition["message"].endswith("app")
        await world.delete(DATABASES, "app")
        await world.gone(SERVERS, "pg", 10)
        assert world.target.servers == {}


async def test_server_and_databases_deleted_at_once_go_in_order():
    """Whatever order a namespace or a file is deleted in."""
    async with both_ready(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Delete"}
    ) as world:
        await world.delete(SERVERS, "pg")
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
        order = [line.split()[0] for line in world.target.trace]
        assert order.index("delete_user") < order.index("delete_server")


@pytest.mark.parametrize(
    ("policy", "kept", "snapshots"),
    [
        ("Delete", False, []),
        ("Retain", True, []),
        ("Snapshot", False, ["team-pg"]),
        (None, True, []),
    ],
)
async def test_a_server_is_deleted_by_its_policy(
    policy: str | None, kept: bool, snapshots: list[str]
):
    """D34: without a policy nothing is lost."""
    async with running() as world:
        await world.server(**({"deletionPolicy": policy} if policy else {}))
        await world.ready(SERVERS, "pg")
        await world.delete(SERVERS, "pg")
        await world.gone(SERVERS, "pg")
        assert ("team-pg" in world.target.servers) == kept
        assert world.target.snapshots == snapshots
        await asyncio.sleep(1)
        assert await world.exists(SECRETS, "pg-login") == (policy != "Delete")


async def test_a_policy_that_the_backend_lacks_blocks_and_says_what_to_do():
    async with running() as world:
        limited = world.backend.capabilities
        world.backend.capabilities = replace(limited, deletion_policies=frozenset({Policy.DELETE}))
        await world.server(deletionPolicy="Snapshot")
        await world.ready(SERVERS, "pg")
        await world.delete(SERVERS, "pg")
        condition = await world.reason(SERVERS, "pg", "DeletionBlocked")
        assert "spec.deletionPolicy" in condition["message"]
        assert "team-pg" in world.target.servers
        await world.patch(SERVERS, "pg", {"spec": {"deletionPolicy": "Delete"}})
        await world.gone(SERVERS, "pg")


async def server_gone_by_force(world: World) -> None:
    """A server whose finalizer a person removed, and whose process is gone with it."""
    await world.delete(SERVERS, "pg")
    await world.reason(SERVERS, "pg", "DeletionBlocked")
    await world.patch(SERVERS, "pg", {"metadata": {"finalizers": None}})
    await world.gone(SERVERS, "pg")
    await asyncio.sleep(1)


async def test_data_on_a_server_that_is_gone_cannot_be_proven_deleted():
    """It waits, and says how to let the object go."""
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        await server_gone_by_force(world)
        await world.delete(DATABASES, "app")
        condition = await world.reason(DATABASES, "app", "ServerGone")
        assert "Retain" in condition["message"]
        await world.patch(DATABASES, "app", {"spec": {"deletionPolicy": "Retain"}})
        await world.gone(DATABASES, "app")


async def test_a_deletion_while_the_controller_is_down_completes_after_its_start():
    """H18."""
    world = await ready_and_stopped(database={"deletionPolicy": "Delete"})
    await world.delete(DATABASES, "app")
    await asyncio.sleep(60)
    assert await world.exists(DATABASES, "app")
    async with world.operator():
        await world.gone(DATABASES, "app")
    assert world.target.servers["team-pg"].roles == {}


async def test_server_and_databases_deleted_while_the_controller_is_down_go_in_order():
    """H18: the server waits for its databases, and they are reached through it all the same."""
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Delete"}
    )
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    order = [line.split()[0] for line in world.target.trace]
    assert order.index("delete_user") < order.index("delete_server")
    assert world.target.servers == {}


async def test_a_server_that_stopped_answers_again_for_the_deletion_of_its_databases():
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"},
        server={"deletionPolicy": "Delete", "size": {"storageGB": 1}},
    )
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    server = world.target.servers["team-pg"]
    server.passes_left, server.storage = 3, 0
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    assert world.target.servers == {}


async def test_a_server_that_is_lost_is_not_made_again_to_be_deleted():
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Delete"}
    )
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    world.target.servers.clear()
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    assert world.target.servers == {}
    assert world.target.calls["create_or_update_server"] == 1


async def test_a_finalizer_that_is_removed_by_hand_skips_the_clean_up():
    """H18."""
    world = await ready_and_stopped(database={"deletionPolicy": "Delete"})
    await world.delete(DATABASES, "app")
    await world.patch(DATABASES, "app", {"metadata": {"finalizers": None}})
    async with world.operator():
        await asyncio.sleep(60)
    assert "app" in world.target.servers["team-pg"].databases


async def test_an_old_spec_that_is_not_valid_any_more_can_still_be_deleted():
    """A deletion needs no valid spec."""
    async with both_ready(server={"deletionPolicy": "Delete"}) as world:
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        await world.accept_anything(SERVERS)
        await world.patch(SERVERS, "pg", {"spec": {"size": {"cpu": "many"}}})
        await world.reason(SERVERS, "pg", "InvalidSpec")
        await world.delete(SERVERS, "pg")
        await world.gone(SERVERS, "pg")
        assert world.target.servers == {}


async def test_other_finalizers_are_left_to_their_owners():
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        theirs = "example.com/theirs"
        finalizers = [FINALIZER, theirs]
        await world.patch(DATABASES, "app", {"metadata": {"finalizers": finalizers}})
        await world.delete(DATABASES, "app")

        async def ours_is_gone() -> bool:
            metadata = (await world.get(DATABASES, "app"))["metadata"]
            return bool(metadata["finalizers"] == [theirs])

        await world.until(ours_is_gone)
        before = world.writes()
        await asyncio.sleep(60)
        assert world.writes() == before


async def test_a_server_that_is_only_used_goes_whether_it_answers_or_not():
    """Nothing of it is ours to delete."""
    async with running() as world:
        used = replace(world.backend.capabilities, provisions=False)
        world.backend.capabilities = used
        await world.server()
        await world.ready(SERVERS, "pg")
        world.target.fail["observe_server"] = Unknown("no answer")
        await world.delete(SERVERS, "pg")
        await world.gone(SERVERS, "pg", 5)
        assert "delete_server" not in world.target.calls


async def test_a_server_that_is_gone_with_its_data_blocks_no_deletion():
    """Both are deleted, and what held the data is proven absent: there is nothing to wait for."""
    async with both_ready(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Delete"}
    ) as world:
        del world.target.servers["team-pg"]
        await world.delete(SERVERS, "pg")
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")


async def test_a_server_without_time_is_said_only_when_it_lasts():
    """No status is written for a wait of milliseconds, and none is silent for long."""
    async with both_ready(database={"deletionPolicy": "Delete"}) as world:
        await world.events("app")
        world.target.fail["delete_database"] = Busy("all sessions are in use", retry_after=0.1)
        before = world.writes()
        await world.delete(DATABASES, "app")
        await asyncio.sleep(4)
        assert world.writes() == before + 1  # our own deletion
        condition = await world.reason(DATABASES, "app", "Deleting")
        assert condition["message"] == "the deletion waits: all sessions are in use"
        world.target.fail.clear()
        await world.gone(DATABASES, "app")


async def test_a_restart_in_the_middle_of_a_deletion_says_nothing_new():
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database(deletionPolicy="Delete")
        await world.ready(DATABASES, "app")
        world.target.fail["delete_database"] = Unknown("no answer")
        await world.delete(DATABASES, "app")
        await world.reason(DATABASES, "app", "Unreachable")
    status = (await world.get(DATABASES, "app"))["status"]
    world.target.fail["observe_server"] = Busy("starting", retry_after=0.5)
    async with world.operator():
        await asyncio.sleep(4)
        assert (await world.get(DATABASES, "app"))["status"] == status
        world.target.fail.clear()
        await world.gone(DATABASES, "app")
