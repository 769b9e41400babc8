"""Passwords: reset in stages, repaired when proven wrong, never lost, never changed by accident."""

from __future__ import annotations

import asyncio
import base64
from functools import partial

import pytest

from hybridpg.app.kinds import ACTION_LABEL, DATABASES, SERVERS
from hybridpg.backends import Unknown
from hybridpg.controller import SECRETS, Resource

from .memory import Role
from .world import NAMESPACE, World, both_ready, running

pytestmark = pytest.mark.virtual_time

KINDS = [pytest.param(SERVERS, "pg", id="server"), pytest.param(DATABASES, "app", id="database")]


def role(world: World, name: str) -> Role:
    server = world.target.servers["team-pg"]
    return server.admin if name == "pg" else server.roles[name]


def apply_call(name: str) -> str:
    return "update_admin_password" if name == "pg" else "update_user_password"


async def label(world: World, kind: Resource, name: str) -> str | None:
    labels = (await world.get(kind, name))["metadata"].get("labels") or {}
    found: str | None = labels.get(ACTION_LABEL)
    return found


async def until_label_is_gone(world: World, kind: Resource, name: str) -> None:
    async def gone() -> bool:
        return await label(world, kind, name) is None

    await world.until(gone)


@pytest.mark.parametrize(("kind", "name"), KINDS)
async def test_a_reset_changes_the_password_once_and_takes_the_label_off(kind: Resource, name: str):
    """H9."""
    async with both_ready() as world:
        old = (await world.secret(f"{name}-login"))["password"]
        await world.reset(kind, name)
        await until_label_is_gone(world, kind, name)
        await asyncio.sleep(5)
        secret = await world.secret(f"{name}-login")
        assert secret["password"] != old
        assert role(world, name).password == secret["password"]
        assert role(world, name).verifier_changes == 1
        assert f":{secret['password']}@" in secret["uri"]
        assert "next-password" not in secret


@pytest.mark.parametrize(("kind", "name"), KINDS)
async def test_the_label_goes_only_after_the_new_password_logs_in(kind: Resource, name: str):
    """H9, D16."""
    async with both_ready() as world:
        world.target.fail[apply_call(name)] = Unknown("no answer")
        await world.reset(kind, name)
        await world.reason(kind, name, "Unreachable")
        assert await label(world, kind, name) == "reset-password"
        secret = await world.secret(f"{name}-login")
        assert role(world, name).password == secret["password"]
        assert secret["next-password"] != secret["password"]
        world.target.fail.clear()
        await until_label_is_gone(world, kind, name)
        assert role(world, name).password == secret["next-password"]


@pytest.mark.parametrize(("kind", "name"), KINDS)
async def test_at_every_instant_a_published_password_works(kind: Resource, name: str):
    """D15, invariant 3: what the server takes was published before, the old one was until then."""
    async with both_ready() as world:
        old = role(world, name).password
        world.target.fail[apply_call(name)] = Unknown("no answer")
        await world.reset(kind, name)
        await world.reason(kind, name, "Unreachable")
        published = await world.secret(f"{name}-login")
        assert published["password"] == old == role(world, name).password
        taken: list[str] = []
        world.target.after[apply_call(name)] = lambda: taken.append(role(world, name).password)
        world.target.fail.clear()
        await until_label_is_gone(world, kind, name)
        assert taken == [published["next-password"]]


async def test_a_reset_is_recorded_as_event_and_in_status():
    """H9."""
    async with both_ready() as world:
        await world.reset(DATABASES, "app")
        await until_label_is_gone(world, DATABASES, "app")
        events = await world.events("app")
        assert [e for e in events if e[:2] == ("Normal", "PasswordReset")]
        status = (await world.get(DATABASES, "app"))["status"]
        assert status["lastRotation"].endswith("Z")
        assert "passwordReset" not in status


async def test_a_second_reset_is_a_second_change():
    async with both_ready() as world:
        for _ in range(2):
            await world.reset(DATABASES, "app")
            await until_label_is_gone(world, DATABASES, "app")
            await asyncio.sleep(5)
        assert role(world, "app").verifier_changes == 2


async def test_the_users_other_labels_survive_a_reset():
    """D52."""
    async with both_ready() as world:
        await world.patch(DATABASES, "app", {"metadata": {"labels": {"team": "a"}}})
        await world.reset(DATABASES, "app")
        await until_label_is_gone(world, DATABASES, "app")
        assert (await world.get(DATABASES, "app"))["metadata"]["labels"] == {"team": "a"}


async def test_an_unknown_action_stays_and_is_warned_about_once():
    """D52."""
    async with both_ready() as world:
        await world.patch(DATABASES, "app", {"metadata": {"labels": {ACTION_LABEL: "dance"}}})
        await asyncio.sleep(1800)
        warnings = [e for e in await world.events("app") if e[1] == "UnknownAction"]
        assert [e[0] for e in warnings] == ["Warning"]
        assert "dance" in warnings[0][2]
        assert await label(world, DATABASES, "app") == "dance"


async def test_a_spec_change_beside_a_reset_is_not_lost():
    """D42."""
    async with both_ready() as world:
        body = {
            "metadata": {"labels": {ACTION_LABEL: "reset-password"}},
            "spec": {"size": {"storageGB": 50}},
        }
        await world.patch(SERVERS, "pg", body)
        await until_label_is_gone(world, SERVERS, "pg")
        assert world.target.servers["team-pg"].storage == 50


@pytest.mark.parametrize(("kind", "name"), KINDS)
async def test_a_deleted_secret_is_back_within_a_sweep_and_logs_in(kind: Resource, name: str):
    """D1 of the sweep: repaired, and by a new password, as the old one is proven lost."""
    async with both_ready() as world:
        await world.delete(SECRETS, f"{name}-login")

        async def back() -> bool:
            if not await world.exists(SECRETS, f"{name}-login"):
                return False
            secret = await world.secret(f"{name}-login")
            return "uri" in secret and role(world, name).password == secret["password"]

        await world.until(back, 45)
        assert role(world, name).verifier_changes == 1


async def test_a_key_that_somebody_edited_is_repaired_and_the_password_stays():
    """D20."""
    async with both_ready() as world:
        before = await world.secret("app-login")
        encoded = base64.b64encode(b"evil.example").decode()
        edit = {"data": {"host": encoded, "port": None, "mine": encoded}}
        await world.patch(SECRETS, "app-login", edit)

        async def repaired() -> bool:
            return (await world.secret("app-login")).get("host") == "team-pg"

        await world.until(repaired, 45)
        after = await world.secret("app-login")
        assert after.pop("mine") == "evil.example"
        assert after == before
        assert role(world, "app").verifier_changes == 0


async def test_a_password_that_somebody_edited_becomes_the_password():
    """Invariant 4: the published Secret is the truth: it logs in again within one sweep."""
    async with both_ready() as world:
        await world.patch(
            SECRETS,
            "app-login",
            {"data": {"password": base64.b64encode(b"Edited-by-hand").decode()}},
        )

        async def settled() -> bool:
            return role(world, "app").password == "Edited-by-hand"

        await world.until(settled, 45)
        await world.ready(DATABASES, "app")
        await asyncio.sleep(5)
        assert "Edited-by-hand" in (await world.secret("app-login"))["uri"]


async def test_a_password_key_that_is_gone_is_replaced():
    """D19."""
    async with both_ready() as world:
        await world.patch(SECRETS, "app-login", {"data": {"password": None}})

        async def settled() -> bool:
            secret = await world.secret("app-login")
            return secret.get("password") == role(world, "app").password

        await world.until(settled, 45)


async def test_a_role_whose_password_was_changed_by_hand_gets_the_published_one_back():
    """The hourly login finds it."""
    async with both_ready() as world:
        role(world, "app").password = "changed in psql"

        async def settled() -> bool:
            secret = await world.secret("app-login")
            return secret["password"] == role(world, "app").password

        await world.until(settled, 3 * 3600)


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_a_secret_that_cannot_be_read_changes_nothing(status: int):
    """D17, invariant 5: an error is not an absence."""
    async with both_ready() as world:
        calls = world.target.calls.copy()
        path = "/api/v1/namespaces/team/secrets/app-login"
        fault = world.cluster.faults.error(status, "Any", method="GET", path=path, times=10_000)
        asked = len(world.cluster.requests)
        await world.patch(DATABASES, "app", {"metadata": {"labels": {"look": "again"}}})
        await asyncio.sleep(120)
        assert fault.hits > 3
        assert world.target.calls == calls
        assert role(world, "app").verifier_changes == 0
        secrets = [r for r in world.cluster.requests[asked:] if "/secrets" in r.path]
        assert {r.method for r in secrets} == {"GET"}, "nothing is made in its place"


async def test_a_foreign_secret_is_never_read_written_or_deleted():
    """S12, D18, M3, M4, invariant 14."""
    async with running() as world:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "app-login", "namespace": NAMESPACE},
            "data": {"password": base64.b64encode(b"theirs").decode()},
        }
        theirs = await world.client.create(SECRETS, body, namespace=NAMESPACE)
        await world.server()
        await world.database()
        condition = await world.reason(DATABASES, "app", "SecretConflict")
        assert "app-login" in condition["message"]
        assert "theirs" not in str(await world.get(DATABASES, "app"))
        await world.delete(DATABASES, "app")
        await world.gone(DATABASES, "app")
        kept = await world.get(SECRETS, "app-login")
        assert kept["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"]


async def test_two_objects_that_name_one_secret_do_not_fight():
    """D25: the second claimant is refused."""
    async with both_ready() as world:
        before = await world.secret("app-login")
        await world.database("late", credentialsSecret="app-login")
        await world.reason(DATABASES, "late", "SecretConflict")
        assert await world.secret("app-login") == before


async def test_a_renamed_secret_keeps_its_password_and_leaves_nothing_behind():
    """S12, D25."""
    async with both_ready() as world:
        before = (await world.secret("app-login"))["password"]
        await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "new-login"}})
        await world.gone(SECRETS, "app-login")
        assert (await world.secret("new-login"))["password"] == before
        assert role(world, "app").verifier_changes == 0
        status = (await world.get(DATABASES, "app"))["status"]
        assert status["binding"] == {"name": "new-login"}


async def test_a_former_secret_that_may_not_be_deleted_is_named_and_goes_once_it_may():
    """The right to delete Secrets is not needed for anything else."""
    async with both_ready() as world:
        path = "/api/v1/namespaces/team/secrets/app-login"
        world.cluster.faults.error(403, "Forbidden", method="DELETE", path=path, times=10_000)
        await world.patch(DATABASES, "app", {"spec": {"credentialsSecret": "new-login"}})

        async def moved() -> bool:
            status = (await world.get(DATABASES, "app"))["status"]
            return bool(status["binding"] == {"name": "new-login"})

        await world.until(moved)
        await world.ready(DATABASES, "app")
        told = [e for e in await world.events("app") if e[1] == "FormerSecretKept"]
        assert [e[0] for e in told] == ["Warning"]
        assert "app-login" in told[0][2]
        assert await world.exists(SECRETS, "app-login")
        await world.reset(DATABASES, "app")
        await until_label_is_gone(world, DATABASES, "app")
        await world.delete(SECRETS, "new-login")
        await world.patch(DATABASES, "app", {"metadata": {"annotations": {"touched": "1"}}})
        await world.until(partial(world.exists, SECRETS, "new-login"))
        await asyncio.sleep(5)
        now, kept = await world.secret("new-login"), await world.secret("app-login")
        assert now["password"] != kept["password"], "what was rotated away does not come back"
        world.cluster.faults.clear()
        await world.patch(DATABASES, "app", {"metadata": {"annotations": {"touched": "2"}}})
        await world.gone(SECRETS, "app-login")
        assert "secretNames" not in (await world.get(DATABASES, "app"))["status"]
        told = [e for e in await world.events("app") if e[1] == "FormerSecretKept"]
        assert len(told) == 1, "said once, tried at each look"


async def test_the_length_and_alphabet_of_the_configuration_are_used():
    """C30."""
    async with both_ready(security={"password_length": 20, "special_characters": False}) as world:
        password = (await world.secret("app-login"))["password"]
        assert len(password) == 20
        assert password.isalnum()


async def test_a_server_that_refuses_what_it_was_just_given_is_a_failure():
    """No third password is tried."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        world.target.refuse = True
        await world.database()
        condition = await world.reason(DATABASES, "app", "AuthenticationFailed")
        assert "'app'" in condition["message"]
        password = (await world.secret("app-login"))["password"]
        await asyncio.sleep(600)
        assert (await world.secret("app-login"))["password"] == password
        world.target.refuse = False
        await world.ready(DATABASES, "app")


async def test_a_login_that_is_refused_once_is_usable_again_after_seconds():
    """Somebody changed the role during a pass: the next one mends it, and nobody waits a minute."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        world.target.refuse = True
        await world.database()
        await world.reason(DATABASES, "app", "AuthenticationFailed")
        world.target.refuse = False
        began = asyncio.get_running_loop().time()
        await world.ready(DATABASES, "app")
        assert asyncio.get_running_loop().time() - began < 5
