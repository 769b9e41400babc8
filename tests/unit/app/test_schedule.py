"""Passwords that are changed by schedule (``spec.credentials.rotateEvery``)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.app.schedule import due_in
from hybridpg.app.secrets import CredentialsSecret
from hybridpg.app.status import StatusDraft, timestamp
from hybridpg.app.subject import Subject
from hybridpg.controller import SECRETS
from hybridpg.crds import CredentialRotation

from .world import World, both_ready

pytestmark = pytest.mark.virtual_time

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RESYNC = 700
"""Seconds within which every object is looked at again."""


def age(rotate_every: str | None, *, last: object = None, created: object = None) -> float | None:
    status = {} if last is None else {"lastRotation": last}
    draft = StatusDraft(Subject(SERVERS, {"metadata": {}, "status": status}), lambda: NOW)
    secret = CredentialsSecret({"metadata": {"name": "login", "creationTimestamp": created}})
    return due_in(CredentialRotation(rotate_every=rotate_every), draft, secret, NOW)


@pytest.mark.parametrize(
    ("period", "seconds"), [("45s", 45), ("30m", 1800), ("12h", 43200), ("90d", 7_776_000)]
)
def test_a_period_counts_from_the_creation_of_the_secret(period, seconds):
    created = timestamp(NOW - timedelta(seconds=10))
    assert age(period, created=created) == seconds - 10


def test_the_newest_password_counts_whichever_way_it_came():
    old, new = timestamp(NOW - timedelta(days=9)), timestamp(NOW - timedelta(days=1))
    day = 86400
    assert age("10d", last=new, created=old) == 9 * day
    assert age("10d", last=old, created=new) == 9 * day, "a lost Secret was made anew"
    assert age("1d", last=old, created=old) == -8 * day


@pytest.mark.parametrize(
    ("period", "created"),
    [(None, timestamp(NOW)), ("10d", None), ("10d", "yesterday"), ("9999999999999d", "x")],
)
def test_without_a_period_or_an_age_nothing_is_due(period, created):
    assert age(period, created=created) is None


def test_a_period_beyond_the_calendar_never_ends():
    assert age("99999999999999d", created=timestamp(NOW)) is None


@pytest.mark.parametrize(("kind", "name"), [(SERVERS, "pg"), (DATABASES, "app")])
async def test_a_password_is_changed_when_it_is_due_and_not_before(kind, name):
    schedule = {"credentials": {"rotateEvery": "90d"}}
    async with both_ready(database=dict(schedule), server=dict(schedule)) as world:
        first = (await world.secret(f"{name}-login"))["password"]
        await look_at_all(world, timedelta(days=89))
        assert (await world.secret(f"{name}-login"))["password"] == first
        await look_at_all(world, timedelta(days=91))
        second = (await world.secret(f"{name}-login"))["password"]
        assert second != first
        status = (await world.get(kind, name))["status"]
        assert "passwordReset" not in status
        assert status["lastRotation"].startswith(f"{datetime.now(UTC) + timedelta(days=91):%Y-%m}")
        await look_at_all(world, timedelta(days=92))
        assert (await world.secret(f"{name}-login"))["password"] == second, "once a period"
        await world.ready(kind, name)


async def test_a_scheduled_change_is_told_as_an_event_and_is_no_unsupported_field():
    async with both_ready(database={"credentials": {"rotateEvery": "1d"}}) as world:
        assert "unsupportedFields" not in (await world.get(DATABASES, "app"))["status"]
        await look_at_all(world, timedelta(days=2))
        reasons = [reason for _, reason, _ in await world.events("app")]
        assert reasons.count("PasswordReset") >= 1


async def test_a_period_shorter_than_the_resync_is_kept():
    async with both_ready(database={"credentials": {"rotateEvery": "60s"}}) as world:
        first = await password(world)
        world.ahead = timedelta(seconds=60)
        await world.until(lambda: changed(world, first), 90)


async def test_after_a_scheduled_change_nothing_is_written_any_more():
    async with both_ready(database={"credentials": {"rotateEvery": "30d"}}) as world:
        first = await password(world)
        world.ahead = timedelta(days=31)
        await world.until(lambda: changed(world, first), RESYNC)
        await world.ready(DATABASES, "app")
        await world.events("app")
        before = world.writes()
        await look_at_all(world, timedelta(days=32))
        assert world.writes() == before


async def test_a_clock_that_runs_backwards_changes_nothing():
    async with both_ready(database={"credentials": {"rotateEvery": "1d"}}) as world:
        first = await password(world)
        await look_at_all(world, timedelta(days=-400))
        assert await password(world) == first


async def test_a_lost_secret_is_made_anew_and_its_age_begins_again():
    async with both_ready(database={"credentials": {"rotateEvery": "90d"}}) as world:
        first = await password(world)
        await world.delete(SECRETS, "app-login")
        await world.until(lambda: changed(world, first), RESYNC)
        second = await password(world)
        await look_at_all(world, timedelta(days=89))
        assert await password(world) == second


async def look_at_all(world: World, ahead: timedelta) -> None:
    """Let the operator look at everything twice with its clock ahead."""
    world.ahead = ahead
    await asyncio.sleep(2 * RESYNC)


async def password(world: World) -> str:
    """The published password of the database; empty while there is none."""
    if not await world.exists(SECRETS, "app-login"):
        return ""
    return (await world.secret("app-login")).get("password", "")


async def changed(world: World, before: str) -> bool:
    """Whether there is another password than before."""
    found: Any = await password(world)
    return bool(found) and found != before
