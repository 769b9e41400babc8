"""The life of a PostgreSQLServer, from manifest to login, over a target in memory."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from hybridpg.app.connection_keys import NEXT_PASSWORD
from hybridpg.app.kinds import DATABASES, FINALIZER, PAUSED, SERVERS
from hybridpg.backends import Owner, Quota, Retired, Unavailable, Unknown
from hybridpg.controller import SECRETS, ObjectKey

from .memory import Role, Server
from .world import World, ready_and_stopped, running

pytestmark = pytest.mark.virtual_time

STRANGER = Owner("cluster-1", "other-uid", "other", "pg")
KEPT = Owner("cluster-1", "former-uid", "team", "pg", retained=True)


async def test_a_manifest_becomes_a_server_whose_secret_logs_in():
    """H8: the admin's Secret names the system database."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        secret = await world.secret("pg-login")
        assert secret["dbname"] == "postgres"
        assert secret["username"] == "postgres"
        assert secret["host"] == secret["hostname"] == "team-pg"
        assert world.target.servers["team-pg"].admin.password == secret["password"]


async def test_the_status_says_where_and_what_it_is():
    """S17."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        status = (await world.get(SERVERS, "pg"))["status"]
        assert status["backend"] == "memory"
        assert status["externalName"] == "team-pg"
        assert status["endpoint"] == {"host": "team-pg", "port": 5433}
        assert status["version"] == "17.2"
        assert status["binding"] == {"name": "pg-login"}
        assert status["deployment"]["status"] == "finished"
        assert status["observedGeneration"] == 1
        conditions = {c["type"]: c["status"] for c in status["conditions"]}
        assert conditions == {
            "Ready": "True",
            "Synced": "True",
            "EndpointReady": "True",
            "CredentialsReady": "True",
        }


async def test_the_secret_is_written_before_the_server_is_made():
    """The password that a server is made with must not exist only in memory."""
    async with running() as world:
        seen: list[str] = []

        def look() -> None:
            posts = [r for r in world.cluster.requests if r.method == "POST"]
            seen.extend(r.path for r in posts if r.path.endswith("/secrets"))

        world.target.after["create_or_update_server"] = look
        await world.server()
        await world.ready(SERVERS, "pg")
        assert seen == ["/api/v1/namespaces/team/secrets"]


async def test_backend_and_name_are_recorded_before_the_first_external_call():
    """D32."""
    async with running() as world:
        world.target.fail["observe_server"] = Unknown("no answer")
        await world.server()
        await world.reason(SERVERS, "pg", "Unreachable")
        status = (await world.get(SERVERS, "pg"))["status"]
        assert (status["backend"], status["externalName"]) == ("memory", "team-pg")


async def test_the_finalizer_comes_before_anything_else():
    """H18, invariant 16."""
    async with running() as world:
        world.target.fail["observe_server"] = Unknown("no answer")
        await world.server()
        await world.reason(SERVERS, "pg", "Unreachable")
        assert FINALIZER in (await world.get(SERVERS, "pg"))["metadata"]["finalizers"]
        assert not await world.exists(SECRETS, "pg-login")


async def test_a_long_creation_holds_no_worker():
    async with running({"controller": {"workers": 1}}) as world:
        world.target.creation_passes = 30
        await world.server("slow")
        await world.reason(SERVERS, "slow", "Creating")
        world.target.creation_passes = 0
        await world.server("quick")
        await world.ready(SERVERS, "quick", 5)
        assert (await world.condition(SERVERS, "slow"))["reason"] == "Creating"
        await world.ready(SERVERS, "slow")


async def test_a_converged_server_costs_no_write_whatever_wakes_it():
    """H20, D81, invariant 19: a touched label looks again and writes nothing."""
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        await world.events("pg")
        before, calls = world.writes(), world.target.calls.copy()
        world.ahead = timedelta(days=1)  # what shows the time of a look would change
        await world.patch(SERVERS, "pg", {"metadata": {"labels": {"touched": "yes"}}})
        await asyncio.sleep(3600)
        assert world.writes() == before + 1  # our own patch of the label
        assert world.target.calls == calls


async def test_a_restart_looks_at_everything_and_changes_nothing():
    """C1."""
    world = World()
    await world.prepare()
    async with world.operator():
        await world.server()
        await world.ready(SERVERS, "pg")
        password = (await world.secret("pg-login"))["password"]
        await world.events("pg")
    before = world.writes()
    async with world.operator():
        await asyncio.sleep(60)
        assert world.writes() == before
        assert (await world.secret("pg-login"))["password"] == password


async def test_a_growing_spec_is_applied():
    async with running() as world:
        await world.server(size={"storageGB": 10})
        await world.ready(SERVERS, "pg")
        await world.patch(SERVERS, "pg", {"spec": {"size": {"storageGB": 20}}})

        async def grown() -> bool:
            return world.target.servers["team-pg"].storage == 20

        await world.until(grown)


async def test_a_field_that_the_backend_lacks_is_listed_and_warned_about_once():
    """D63."""
    async with running() as world:
        await world.server(backup={"retentionDays": 7}, highavailability={"enabled": True})
        await world.ready(SERVERS, "pg")
        status = (await world.get(SERVERS, "pg"))["status"]
        assert status["unsupportedFields"] == ["backup.retentionDays", "highavailability.enabled"]
        events = [e for e in await world.events("pg") if e[1] == "UnsupportedFields"]
        assert [e[0] for e in events] == ["Warning"]


async def test_a_version_that_is_not_offered_falls_back_with_a_warning():
    """H15."""
    async with running() as world:
        await world.server(version="99")
        await world.ready(SERVERS, "pg")
        synced = await world.condition(SERVERS, "pg", "Synced")
        assert synced["status"] == "True"
        assert synced["message"] == "spec.version: 99 is not offered; using 17"
        assert ("Warning", "SpecNotHonoured", synced["message"]) in await world.events("pg")


async def test_a_wish_that_cannot_be_met_leaves_the_server_usable():
    """D60, invariant 24: refused with a reason, and the rest is applied."""
    async with running() as world:
        await world.server(size={"storageGB": 13})
        await world.ready(SERVERS, "pg")
        synced = await world.condition(SERVERS, "pg", "Synced")
        assert (synced["status"], synced["reason"]) == ("False", "InvalidSpec")
        assert "13 GB" in synced["message"]
        told = [e for e in await world.events("pg") if "13 GB" in e[2]]
        assert [e[:2] for e in told] == [("Warning", "InvalidSpec")]


async def test_pending_changes_are_shown_while_they_are_pending_only():
    async with running() as world:
        world.target.creation_passes = 30
        await world.server()
        await world.reason(SERVERS, "pg", "Creating")
        assert (await world.get(SERVERS, "pg"))["status"]["pendingChanges"] == ["create team-pg"]
        await world.ready(SERVERS, "pg")
        assert "pendingChanges" not in (await world.get(SERVERS, "pg"))["status"]


async def test_a_conflict_says_how_to_adopt_what_is_of_this_namespace():
    async with running() as world:
        retained = Owner("cluster-1", "other-uid", "team", "pg", retained=True)
        world.target.servers["team-pg"] = Server(retained, Role("theirs", None))
        await world.server()
        message = (await world.reason(SERVERS, "pg", "Conflict"))["message"]
        assert message.endswith(
            "; to take it over, set annotation hybridcloud.maibornwolff.de/adopt: team-pg"
        )


async def test_a_server_of_another_owner_is_left_alone():
    """D53, M1, invariants 11 and 13: no call, no Secret."""
    async with running() as world:
        world.target.servers["team-pg"] = Server(STRANGER, Role("theirs", None))
        await world.server()
        condition = await world.reason(SERVERS, "pg", "Conflict")
        assert condition["status"] == "False"
        assert world.target.calls.total() == 0
        assert not await world.exists(SECRETS, "pg-login")


async def test_only_the_exact_name_adopts():
    async with running() as world:
        world.target.servers["team-pg"] = Server(KEPT, Role("theirs", None))
        adopt = "hybridcloud.maibornwolff.de/adopt"
        await world.server(annotations={adopt: "team"})
        await world.reason(SERVERS, "pg", "Conflict")
        await world.patch(SERVERS, "pg", {"metadata": {"annotations": {adopt: "team-pg"}}})
        await world.ready(SERVERS, "pg")
        secret = await world.secret("pg-login")
        assert world.target.servers["team-pg"].admin.password == secret["password"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(Unknown("no answer"), "Unreachable", id="unknown"),
        pytest.param(Quota("too many"), "QuotaExceeded", id="quota"),
    ],
)
async def test_an_error_of_the_target_is_shown_and_healed(error: Exception, reason: str):
    """H19."""
    async with running() as world:
        world.target.fail["create_or_update_server"] = error
        await world.server()
        condition = await world.reason(SERVERS, "pg", reason)
        assert str(error) in condition["message"]
        world.target.fail.clear()
        await world.ready(SERVERS, "pg")


async def test_a_target_that_stays_silent_is_asked_less_and_less_often():
    """H19: no tight loop."""
    async with running() as world:
        world.target.fail["observe_server"] = Unknown("no answer")
        await world.server()
        await world.reason(SERVERS, "pg", "Unreachable")
        before = world.writes()
        await asyncio.sleep(1800)
        assert world.writes() == before


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        pytest.param(Unavailable("needs a section"), "BackendUnavailable", id="unconfigured"),
        pytest.param(Retired("ended by its provider"), "BackendRetired", id="retired"),
    ],
)
async def test_an_unusable_backend_stops_its_own_objects_only(problem: Unavailable, reason: str):
    """H4, D48."""
    world = World({"allowed_backends": ["memory", "other"]})
    world.others["other"] = problem
    await world.prepare()
    async with world.operator():
        await world.server("bad", backend="other")
        await world.server("good", backend="memory")
        await world.ready(SERVERS, "good")
        assert str(problem) in (await world.reason(SERVERS, "bad", reason))["message"]


async def test_without_a_list_the_default_backend_is_used_whatever_is_asked_for():
    """C3."""
    async with running() as world:
        await world.server(backend="helmbitnami")
        await world.ready(SERVERS, "pg")
        assert (await world.get(SERVERS, "pg"))["status"]["backend"] == "memory"


async def test_a_backend_that_is_not_in_the_list_is_refused():
    """C3, D47."""
    async with running({"allowed_backends": ["memory"]}) as world:
        await world.server(backend="awsrds")
        condition = await world.reason(SERVERS, "pg", "BackendUnavailable")
        assert "allowed: memory" in condition["message"]


async def test_a_namespace_may_be_kept_from_a_backend():
    """M8."""
    limits = {"namespaces": {"te*": {"allowed_backends": ["other"]}}}
    async with running(limits) as world:
        await world.server()
        condition = await world.reason(SERVERS, "pg", "BackendUnavailable")
        assert "namespace team" in condition["message"]


@pytest.mark.parametrize(
    ("limit", "spec"),
    [
        pytest.param({"servers": 1}, {}, id="servers"),
        pytest.param({"storageGB": 30}, {"size": {"storageGB": 20}}, id="storage"),
        pytest.param({"cpu": 3}, {"size": {"cpu": 2}}, id="cpu"),
    ],
)
async def test_a_namespace_stays_within_its_caps(limit: dict[str, int], spec: dict[str, object]):
    """M11."""
    async with running({"namespaces": {"team": {"limits": limit}}}) as world:
        await world.server("one", **spec)
        await world.ready(SERVERS, "one")
        await world.server("two", **spec)
        condition = await world.reason(SERVERS, "two", "QuotaExceeded")
        assert str(next(iter(limit.values()))) in condition["message"]


async def test_a_paused_server_is_left_alone_until_it_is_resumed():
    async with running() as world:
        paused = "hybridcloud.maibornwolff.de/paused"
        await world.server(annotations={paused: "true"})

        async def is_paused() -> bool:
            return bool(await world.condition(SERVERS, "pg", "Paused"))

        await world.until(is_paused)
        assert world.target.servers == {}
        assert "finalizers" not in (await world.get(SERVERS, "pg"))["metadata"]
        await world.patch(SERVERS, "pg", {"metadata": {"annotations": {paused: None}}})
        await world.ready(SERVERS, "pg")
        assert not await world.condition(SERVERS, "pg", "Paused")


@pytest.mark.parametrize("answers", [True, False], ids=["gone", "silent"])
async def test_a_paused_server_that_is_gone_takes_its_databases_readiness(answers: bool):
    """Law 5: after a start, nothing but the paused server tells them."""
    world = await ready_and_stopped()
    await world.patch(SERVERS, "pg", {"metadata": {"annotations": {PAUSED: "true"}}})
    world.target.servers.clear()
    if not answers:
        world.target.fail["observe_server"] = Unknown("no answer")
    async with world.operator():
        await world.reason(DATABASES, "app", "WaitingForServer")


async def test_a_null_status_of_the_predecessor_is_tolerated():
    """D46."""
    world = World()
    await world.prepare()
    stored = await world.server()
    await world.client.update(
        SERVERS, ObjectKey("team", "pg"), {**stored, "status": None}, subresource="status"
    )
    assert (await world.get(SERVERS, "pg")).get("status") is None
    async with world.operator():
        await world.ready(SERVERS, "pg")


async def test_a_server_that_stops_answering_is_not_ready_and_comes_back():
    async with running() as world:
        await world.server()
        await world.ready(SERVERS, "pg")
        world.target.servers["team-pg"].passes_left = 10
        await world.patch(SERVERS, "pg", {"metadata": {"labels": {"look": "again"}}})
        await world.reason(SERVERS, "pg", "Unreachable")
        await world.ready(SERVERS, "pg")


async def test_a_read_only_server_is_not_ready():
    """D80: Ready means a primary."""
    async with running() as world:
        world.target.read_only = True
        async with world.history(SERVERS) as seen:
            await world.server()
            condition = await world.reason(SERVERS, "pg", "Unreachable")
            await asyncio.sleep(600)
        assert "read-only" in condition["message"]
        shown = [c for obj in seen for c in (obj.get("status") or {}).get("conditions", [])]
        ready = {c["status"] for c in shown if c["type"] == "Ready"}
        assert ready == {"False"}, "not even for a moment"
        world.target.read_only = False
        await world.ready(SERVERS, "pg")


class Told(NamedTuple):
    """What events and status say of a server and its database, and their passwords."""

    told: str
    passwords: list[str]


async def test_no_event_no_status_and_no_log_shows_the_password(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logged:
        seen = await _told_of_both()
    assert logged, "the product logs by structlog"
    assert len(seen.passwords) == 3, "one of them is not in force yet"
    for password in seen.passwords:
        assert password not in f"{seen.told}{logged}{caplog.text}"


async def _told_of_both() -> Told:
    async with running() as world:
        await world.server()
        await world.database()
        await world.ready(DATABASES, "app")
        # what cannot be had is logged, too
        world.target.fail["update_user_password"] = Unknown("no answer")
        await world.reset(DATABASES, "app")
        await world.reason(DATABASES, "app", "Unreachable")
        events = await world.events("app") + await world.events("pg")
        objects = [await world.get(SERVERS, "pg"), await world.get(DATABASES, "app")]
        secrets = [await world.secret(name) for name in ("pg-login", "app-login")]
        passwords = [s[key] for s in secrets for key in ("password", NEXT_PASSWORD) if key in s]
        return Told(f"{events}{objects}", passwords)
