"""The life of a PostgreSQLDatabase, from manifest to login, over a target in memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from hybridpg.app.kinds import DATABASES, FINALIZER, SERVERS
from hybridpg.backends import Denied, Owner, Unknown
from hybridpg.controller import SECRETS

from .memory import Role
from .world import NAMESPACE, World, running

pytestmark = pytest.mark.virtual_time

STRANGER = Owner("cluster-1", "other-uid", "other", "app")


async def test_a_manifest_becomes_a_database_whose_secret_logs_in():
    """H7, H8."""
    async with running() as world:
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        secret = await world.secret("app-login")
        assert secret["dbname"] == secret["database"] == "app"
        assert secret["username"] == "app"
        assert world.target.servers["team-pg"].roles["app"].password == secret["password"]


async def test_the_database_is_called_as_its_object_with_underscores():
    """H6."""
    async with running() as world:
        await world.server()
        await world.database("foo-bar")
        await world.ready(DATABASES, "foo-bar")
        server = world.target.servers["team-pg"]
        assert set(server.databases) == set(server.roles) == {"foo_bar"}


async def test_three_databases_get_three_roles_and_three_secrets():
    """H5."""
    async with running() as world:
        await world.server()
        names = ["one", "two", "three"]
        for name in names:
            await world.database(name)
        for name in names:
            await world.ready(DATABASES, name)
        secrets = [await world.secret(f"{name}-login") for name in names]
        assert {secret["username"] for secret in secrets} == set(names)
        assert len({secret["password"] for secret in secrets}) == 3


async def test_a_database_waits_for_its_server_without_failing():
    """S13."""
    async with running() as world:
        await world.database()
        assert (await world.reason(DATABASES, "app", "ServerNotFound"))["status"] == "False"
        world.target.creation_passes = 5
        await world.server()
        await world.reason(DATABASES, "app", "WaitingForServer")
        assert not await world.condition(DATABASES, "app", "Stalled")
        await world.ready(DATABASES, "app")


async def test_a_server_in_another_namespace_is_no_server():
    """H5: a reference across namespaces is impossible."""
    async with running() as world:
        await world.namespace("other")
        await world.server(namespace="other")
        await world.database()
        await asyncio.sleep(60)
        await world.reason(DATABASES, "app", "ServerNotFound")


async def test_every_step_is_a_condition():
    async with running() as world:
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        status = (await world.get(DATABASES, "app"))["status"]
        assert {c["type"]: c["status"] for c in status["conditions"]} == {
            "Ready": "True",
            "ServerReady": "True",
            "RoleReady": "True",
            "ExtensionsReady": "True",
            "SecretReady": "True",
        }
        assert status["externalName"] == "app"
        assert status["backend"] == "memory"


async def test_the_order_is_secret_then_role_then_database():
    """Whatever crashes, the only copy of a password is in the Secret already."""
    async with running() as world:
        secrets_at_role: list[bool] = []
        world.target.after["create_or_update_user"] = lambda: secrets_at_role.append(
            any(r.method == "POST" and r.path.endswith("/secrets") for r in world.cluster.requests)
        )
        world.target.fail["create_or_update_database"] = Unknown("no answer")
        await world.server()
        await world.ready(SERVERS, "pg")
        world.cluster.requests.clear()
        await world.database()
        await world.reason(DATABASES, "app", "Unreachable")
        assert secrets_at_role == [True]
        secret = await world.secret("app-login")
        assert set(secret) == {"password", "username", "user", "type", "provider"}
        assert FINALIZER in (await world.get(DATABASES, "app"))["metadata"]["finalizers"]
        world.target.fail.clear()
        await world.ready(DATABASES, "app")
        assert (await world.secret("app-login"))["password"] == secret["password"]
        assert world.target.servers["team-pg"].roles["app"].verifier_changes == 0


async def test_a_role_of_somebody_else_is_left_alone():
    """D3: neither adopted nor given the tenant's password."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        world.target.servers["team-pg"].roles["app"] = Role("theirs", STRANGER)
        await world.database()
        condition = await world.reason(DATABASES, "app", "Conflict")
        assert "adopt" not in condition["message"], "another namespace's is not on offer"
        assert world.target.servers["team-pg"].roles["app"].password == "theirs"
        assert not await world.exists(SECRETS, "app-login")


async def test_an_adopted_database_gets_a_password_that_works():
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        server = world.target.servers["team-pg"]
        server.roles["app"], server.databases["app"] = Role("theirs", None), frozenset()
        await world.database(annotations={"hybridcloud.maibornwolff.de/adopt": "app"})
        await world.ready(DATABASES, "app")
        assert server.roles["app"].password == (await world.secret("app-login"))["password"]


async def test_extensions_of_the_spec_are_made_and_those_of_later_specs_too():
    """S15."""
    async with running() as world:
        await world.server()
        await world.database(database={"extensions": ["hstore"]})
        await world.ready(DATABASES, "app")
        databases = world.target.servers["team-pg"].databases
        assert databases["app"] == {"hstore"}
        wanted = {"spec": {"database": {"extensions": ["hstore", "pgcrypto"]}}}
        await world.patch(DATABASES, "app", wanted)

        async def both() -> bool:
            return databases["app"] == {"hstore", "pgcrypto"}

        await world.until(both)


@pytest.mark.parametrize(
    ("config", "server"),
    [
        pytest.param({}, {"extensions": ["hstore"]}, id="server"),
        pytest.param({"extensions": {"allowed": ["hstore"]}}, {}, id="administrator"),
    ],
)
async def test_an_extension_that_is_not_allowed_is_refused(
    config: dict[str, Any], server: dict[str, Any]
):
    """S15, D11."""
    async with running(config) as world:
        await world.server(**server)
        await world.database(database={"extensions": ["pgcrypto"]})
        condition = await world.reason(DATABASES, "app", "ExtensionRefused")
        assert condition["message"] == "spec.database.extensions: not allowed: pgcrypto"
        extensions = await world.condition(DATABASES, "app", "ExtensionsReady")
        assert (extensions["status"], extensions["reason"]) == ("False", "ExtensionRefused")
        assert extensions["message"] == condition["message"]
        await world.patch(DATABASES, "app", {"spec": {"database": {"extensions": ["hstore"]}}})
        await world.ready(DATABASES, "app")


async def test_what_is_refused_keeps_nothing_else_from_being_done():
    """S15: the database is there, has what it may have, and its Secret logs in."""
    async with running({"extensions": {"allowed": ["hstore"]}}) as world:
        await world.server()
        await world.database(database={"extensions": ["pgcrypto", "hstore"]})
        condition = await world.reason(DATABASES, "app", "ExtensionRefused")
        assert "hstore" not in condition["message"]
        server = world.target.servers["team-pg"]
        assert server.databases["app"] == {"hstore"}
        assert (await world.secret("app-login"))["password"] == server.roles["app"].password
        assert (await world.condition(DATABASES, "app", "Stalled"))["status"] == "True"


async def test_a_refusal_that_lasts_is_told_once_and_costs_no_write():
    async with running({"extensions": {"allowed": []}}) as world:
        await world.server()
        await world.database(database={"extensions": ["pgcrypto"]})
        await world.reason(DATABASES, "app", "ExtensionRefused")
        before = await world.events("app"), world.writes(), world.target.calls.copy()
        await asyncio.sleep(3600)
        assert (await world.events("app"), world.writes(), world.target.calls) == before
        warnings = [reason for kind, reason, _ in before[0] if kind == "Warning"]
        assert warnings == ["ExtensionRefused"]


async def test_backend_and_name_are_recorded_before_anything_is_made():
    """D32: a deletion must know them, whenever the controller dies."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        recorded: list[int] = []
        path = "/namespaces/team/postgresqldatabases/app/status"

        def look() -> None:
            recorded.append(sum(r.path.endswith(path) for r in world.cluster.requests))

        world.target.after["create_or_update_user"] = look
        await world.database()
        await world.ready(DATABASES, "app")
        status = (await world.get(DATABASES, "app"))["status"]
        assert (status["backend"], status["externalName"]) == ("memory", "app")
        assert recorded == [1]


async def test_a_converged_database_costs_no_write():
    """D81."""
    async with running() as world:
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        await world.events("app")
        before, calls = world.writes(), world.target.calls.copy()
        world.ahead = timedelta(days=1)  # what shows the time of a look would change
        await asyncio.sleep(7200)
        assert world.writes() == before
        assert world.target.calls == calls


async def test_one_bad_database_delays_no_other():
    """D51, invariant 20: with a single worker."""
    async with running({"controller": {"workers": 1}}) as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        world.target.servers["team-pg"].roles["bad"] = Role("theirs", STRANGER)
        await world.database("bad")
        await world.reason(DATABASES, "bad", "Conflict")
        await world.database("good")
        await world.ready(DATABASES, "good", 5)


async def test_a_missing_right_is_named():
    """H31."""
    async with running() as world:
        await world.server()
        world.target.fail["create_or_update_user"] = Denied("CREATEROLE is missing")
        await world.database()
        condition = await world.reason(DATABASES, "app", "Denied")
        assert "CREATEROLE" in condition["message"]


async def test_a_server_that_vanishes_makes_its_databases_wait():
    async with running() as world:
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        world.target.servers["team-pg"].passes_left = 1000
        await world.patch(SERVERS, "pg", {"metadata": {"labels": {"look": "again"}}})
        await world.reason(DATABASES, "app", "WaitingForServer")
        world.target.servers["team-pg"].passes_left = 0
        await world.ready(DATABASES, "app")


async def test_a_restart_makes_no_new_role_and_no_new_password():
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        password = (await world.secret("app-login"))["password"]
        await world.events("app")
    before = world.writes()
    calls = world.target.calls.copy()
    async with world.operator():
        await asyncio.sleep(60)
    assert world.writes() == before
    assert world.target.calls == calls
    assert (await world.secret("app-login"))["password"] == password


async def test_the_secret_belongs_to_its_object():
    """D28."""
    async with running() as world:
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        metadata = (await world.get(SECRETS, "app-login"))["metadata"]
        owner = (await world.get(DATABASES, "app"))["metadata"]["uid"]
        assert [(o["uid"], o["controller"]) for o in metadata["ownerReferences"]] == [(owner, True)]
        assert metadata["labels"] == {"app.kubernetes.io/managed-by": "hybridpg"}
        assert metadata["namespace"] == NAMESPACE
