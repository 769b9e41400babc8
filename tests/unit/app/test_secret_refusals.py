"""What the API server refuses about Secrets is said in status, with what to do."""

from __future__ import annotations

import asyncio

import pytest

from hybridpg.app.errors import SecretRefused
from hybridpg.app.kinds import ACTION_LABEL, DATABASES, SERVERS
from hybridpg.app.secret_refusals import refusals_named
from hybridpg.backends import Denied
from hybridpg.controller import SECRETS, Conflict, Forbidden, Invalid, NotFound, Resource

from .world import World, both_ready, running

pytestmark = pytest.mark.virtual_time

SECRETS_PATH = "/api/v1/namespaces/team/secrets"
VERBS = {"POST": "create", "GET": "get", "PATCH": "patch"}
OBJECTS = [pytest.param(SERVERS, "pg", id="server"), pytest.param(DATABASES, "app", id="database")]


def forbid(world: World, method: str, secret: str) -> None:
    path = SECRETS_PATH if method == "POST" else f"{SECRETS_PATH}/{secret}"
    world.cluster.faults.error(403, "Forbidden", method=method, path=path, times=100_000)


@pytest.mark.parametrize("method", VERBS)
@pytest.mark.parametrize(("kind", "name"), OBJECTS)
async def test_a_missing_right_on_secrets_is_said_of_a_new_object_which_goes_on_once_it_is_given(
    kind: Resource, name: str, method: str
):
    async with running() as world:
        if kind is DATABASES:
            await world.server()
            await world.ready(SERVERS, "pg")
        forbid(world, method, f"{name}-login")
        await (world.database() if kind is DATABASES else world.server())
        condition = await world.reason(kind, name, "Denied")
        assert condition["status"] == "False"
        assert f"may not {VERBS[method]} secret team/{name}-login" in condition["message"]
        assert f"grant it {VERBS[method]} on secrets" in condition["message"]
        world.cluster.faults.clear()
        await world.ready(kind, name)


async def test_a_missing_right_on_secrets_costs_one_write_and_not_one_each_minute():
    async with running() as world:
        forbid(world, "GET", "pg-login")
        await world.server()
        await world.reason(SERVERS, "pg", "Denied")
        await asyncio.sleep(30)
        writes = world.writes()
        await asyncio.sleep(3600)
        assert world.writes() == writes


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize(("kind", "name"), OBJECTS)
async def test_a_deletion_that_must_keep_a_secret_and_may_not_says_so_and_goes_on_once_it_may(
    kind: Resource, name: str, method: str
):
    async with both_ready() as world:
        if kind is SERVERS:
            await world.delete(DATABASES, "app")
            await world.gone(DATABASES, "app")
        forbid(world, method, f"{name}-login")
        await world.delete(kind, name)
        condition = await world.reason(kind, name, "Denied")
        assert condition["message"].startswith("the deletion waits: the controller may not ")
        assert any(event[:2] == ("Warning", "Denied") for event in await world.events(name))
        world.cluster.faults.clear()
        await world.gone(kind, name)
        assert await world.exists(SECRETS, f"{name}-login")


async def test_a_reset_that_an_immutable_secret_stops_says_so_and_a_new_name_is_a_way_out():
    """What cannot be written is not shown as usable and under way for ever."""
    async with both_ready() as world:
        before = (await world.secret("app-login"))["password"]
        await world.patch(SECRETS, "app-login", {"immutable": True})
        await world.reset(DATABASES, "app")
        condition = await world.reason(DATABASES, "app", "SecretConflict")
        assert "patch secret team/app-login" in condition["message"]
        assert "immutable" in condition["message"]
        assert "spec.credentialsSecret" in condition["message"]
        role = world.target.servers["team-pg"].roles["app"]
        assert role.password == before, "what cannot be published is not set"
        await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "new-login"}})
        await world.ready(DATABASES, "app")
        await world.gone(SECRETS, "app-login")
        now = (await world.secret("new-login"))["password"]
        assert now == role.password != before
        labels = (await world.get(DATABASES, "app"))["metadata"].get("labels") or {}
        assert ACTION_LABEL not in labels


def test_what_is_refused_is_named_by_verb_and_secret():
    with (
        pytest.raises(Denied, match=r"may not delete secret ns/login.*delete on secrets.*why"),
        refusals_named("delete", "ns", "login"),
    ):
        raise Forbidden(403, "Forbidden", "why")
    with (
        pytest.raises(SecretRefused, match="refuses to patch secret ns/login: why"),
        refusals_named("patch", "ns", "login"),
    ):
        raise Invalid(422, "Invalid", "why")


@pytest.mark.parametrize(
    "error",
    [
        Forbidden(403, details={"causes": [{"reason": "NamespaceTerminating"}]}),
        NotFound(404),
        Conflict(409),
    ],
    ids=["namespace-ends", "404", "409"],
)
def test_what_nobody_has_to_mend_passes_through(error: Exception):
    with pytest.raises(type(error)), refusals_named("create", "ns", "login"):
        raise error
