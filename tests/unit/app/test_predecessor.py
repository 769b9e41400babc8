"""Rows of the predecessor's defects that no single feature owns: each must not happen here."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
import yaml

from hybridpg.app.kinds import DATABASES, FINALIZER, SERVERS
from hybridpg.backends import (
    Credentials,
    DatabaseRef,
    Denied,
    Done,
    Endpoint,
    Outcome,
    ServerState,
    Unknown,
)
from hybridpg.backends.values import ServerRef
from hybridpg.controller import SECRETS, Resource
from hybridpg.crds.manifest import crd_yaml

from .memory import MemoryBackend
from .world import World, both_ready, ready_and_stopped, running

pytestmark = pytest.mark.virtual_time

RESYNC_SECONDS = 660.0
"""The longest time for which a change behind our back stays unseen."""
LATE_SECONDS = 30.0


@pytest.mark.parametrize(("kind", "name"), [(SERVERS, "pg"), (DATABASES, "app")])
async def test_the_secret_has_the_host_by_both_names(kind: Resource, name: str):
    """D21: the README promised ``hostname`` and the code wrote ``host``; and the user logs in."""
    async with both_ready() as world:
        secret = await world.secret(f"{name}-login")
        assert secret["hostname"] == secret["host"] == "team-pg"
        server = world.target.servers["team-pg"]
        role = ({"postgres": server.admin} | server.roles)[secret["username"]]
        assert secret["username"] == secret["user"]
        assert secret["password"] == role.password


class LateBackend(MemoryBackend):
    """Takes a password at once and applies it later, as managed services do."""

    async def update_user_password(self, database: DatabaseRef, role: Credentials) -> Outcome:
        self.target.write("update_user_password", database.external_name)
        found = self._server(database).roles[database.external_name]
        self._later(found, role)
        return Done()

    async def update_admin_password(
        self, server: ServerRef, observed: ServerState, admin: Credentials
    ) -> Outcome:
        self.target.write("update_admin_password", server.external_name)
        self._later(self.target.servers[server.external_name].admin, admin)
        return Done()

    def _later(self, role: Any, login: Credentials) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(LATE_SECONDS, setattr, role, "password", str(login.password))


@pytest.mark.parametrize(("kind", "name"), [(SERVERS, "pg"), (DATABASES, "app")])
async def test_a_password_is_published_only_when_it_logs_in(kind: Resource, name: str):
    """D23, invariant 23: the target applies a new password long after it has said yes."""
    world = World()
    world.backend = LateBackend(world.target)
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        old = (await world.secret(f"{name}-login"))["password"]
        began = asyncio.get_running_loop().time()
        await world.reset(kind, name)
        await world.reason(kind, name, "AuthenticationFailed")
        assert (await world.secret(f"{name}-login"))["password"] == old

        async def changed() -> bool:
            return (await world.secret(f"{name}-login"))["password"] != old

        await world.until(changed, 300)
        assert asyncio.get_running_loop().time() - began >= LATE_SECONDS
        await world.ready(kind, name)
        server = world.target.servers["team-pg"]
        role = server.admin if name == "pg" else server.roles["app"]
        assert (await world.secret(f"{name}-login"))["password"] == role.password


async def test_no_temporary_secret_exists_at_any_time():
    """D24: cut names were shared and leaked; here nothing lies but the object's own Secret."""
    async with both_ready() as world:
        await world.reset(DATABASES, "app")
        await asyncio.sleep(60)
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        requests = world.cluster.requests
        made = [r.path for r in requests if r.method == "POST" and r.path.endswith("/secrets")]
        assert made == ["/api/v1/namespaces/team/secrets"] * 2
        page = await world.client.list(SECRETS)
        assert {item.name for item in page.items} <= {"pg-login", "app-login"}


async def test_a_server_goes_although_its_secret_is_gone():
    """D31: the predecessor crashed for ever, or skipped the deletion without a word."""
    async with running() as world:
        await world.server(deletionPolicy="Delete")
        await world.ready(SERVERS, "pg")
        await world.delete(SECRETS, "pg-login")
        await world.delete(SERVERS, "pg")
        await world.gone(SERVERS, "pg")
        assert world.target.servers == {}
        assert world.target.calls["delete_server"] == 1


async def test_without_the_admins_secret_a_deletion_makes_itself_a_way_in():
    """D31: nobody can log in any more, so a new password takes nothing from anybody."""
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Delete"}
    )
    await world.delete(SECRETS, "pg-login")
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    async with world.operator():
        await world.gone(DATABASES, "app")
        await world.gone(SERVERS, "pg")
    order = [line.split()[0] for line in world.target.trace]
    assert order.index("update_admin_password") < order.index("delete_database")
    assert world.target.servers == {}
    assert world.target.calls["delete_database"] == 1


async def test_without_the_admins_secret_and_without_an_answer_a_deletion_says_so():
    """D31, invariant 15: what cannot be done now is neither skipped nor a crash."""
    world = await ready_and_stopped(
        database={"deletionPolicy": "Delete"}, server={"deletionPolicy": "Delete"}
    )
    await world.delete(SECRETS, "pg-login")
    await world.delete(SERVERS, "pg")
    await world.delete(DATABASES, "app")
    world.target.fail["update_admin_password"] = Denied("the account may not change passwords")
    async with world.operator():
        condition = await world.reason(SERVERS, "pg", "Denied")
        assert "the account may not change passwords" in condition["message"]
        await world.reason(DATABASES, "app", "WaitingForServer")
        await asyncio.sleep(600)
        assert FINALIZER in (await world.get(DATABASES, "app"))["metadata"]["finalizers"]
        assert "app" in world.target.servers["team-pg"].databases


async def test_what_somebody_dropped_by_hand_comes_back_within_a_resync():
    """D43: nobody said anything, and no event came."""
    async with both_ready() as world:
        del world.target.servers["team-pg"].databases["app"]

        async def back() -> bool:
            return "app" in world.target.servers["team-pg"].databases

        await world.until(back, RESYNC_SECONDS)


async def test_a_change_made_while_the_controller_was_down_is_seen_at_its_start():
    """D43, invariant 18: there is no resume that could be switched off."""
    world = World({"handler_on_resume": False})
    await world.prepare()
    async with world.operator():
        await world.server(size={"storageGB": 20})
        await world.ready(SERVERS, "pg")
    await world.patch(SERVERS, "pg", {"spec": {"size": {"storageGB": 50}}})
    async with world.operator():

        async def grown() -> bool:
            return world.target.servers["team-pg"].storage == 50

        await world.until(grown, 10)


class MovingBackend(MemoryBackend):
    """A server that fails over to another address."""

    port = 5433

    async def endpoint(self, server: ServerRef, observed: ServerState) -> Endpoint:
        return Endpoint(server.external_name, self.port, ca="CA of " + server.external_name)


async def test_an_endpoint_that_moved_is_published_in_every_secret():
    """D20: the predecessor wrote host and port once."""
    world = World()
    world.backend = backend = MovingBackend(world.target)
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        backend.port = 6000

        async def published() -> bool:
            secrets = [await world.secret(name) for name in ("pg-login", "app-login")]
            return all(s["port"] == "6000" and ":6000/" in s["uri"] for s in secrets)

        await world.until(published, RESYNC_SECONDS)
        assert world.target.servers["team-pg"].roles["app"].verifier_changes == 0


@pytest.mark.parametrize("call", ["observe_server", "create_or_update_server", "login"])
async def test_a_failure_shows_as_a_condition_with_a_reason(call: str):
    """D44: the predecessor's status said "working" for ever, and why nowhere."""
    async with running() as world:
        world.target.fail[call] = Unknown("the target is on fire")
        await world.server()
        condition = await world.reason(SERVERS, "pg", "Unreachable")
        server = await world.get(SERVERS, "pg")
        assert condition["status"] == "False"
        assert "on fire" in condition["message"]
        assert server["status"]["observedGeneration"] == server["metadata"]["generation"]
        assert server["status"]["deployment"]["status"] == "working"
        assert "on fire" in server["status"]["deployment"]["reason"]
        world.target.fail.clear()
        await world.ready(SERVERS, "pg")


def test_status_is_a_subresource_with_columns_that_people_read():
    """D44: with the predecessor any editor could forge ``status.backend``."""
    for document in yaml.safe_load_all(crd_yaml()):
        (version,) = document["spec"]["versions"]
        assert version["subresources"] == {"status": {}}
        columns = {
            column["name"]: column["jsonPath"] for column in version["additionalPrinterColumns"]
        }
        assert "Ready" in columns
        assert 'type=="Ready"' in columns["Ready"]


async def test_a_failure_is_a_warning_event_that_users_see():
    """D45: the predecessor's warnings never left its log."""
    async with both_ready() as world:
        foreign = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "other", "namespace": "team"},
            "data": {"password": base64.b64encode(b"theirs").decode()},
        }
        await world.client.create(SECRETS, foreign, namespace="team")
        await world.database("late", credentialsSecret="other")
        await world.reason(DATABASES, "late", "SecretConflict")
        told = [e for e in await world.events("late") if e[1] == "SecretConflict"]
        assert [e[0] for e in told] == ["Warning"]
        assert "other" in told[0][2]
