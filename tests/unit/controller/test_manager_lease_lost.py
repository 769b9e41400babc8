"""A lost lease ends the work of a manager at once, whatever it is at, and is an error."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.elections import KEY, now
from tests.unit.controller.replicas import (
    Hangs,
    Replica,
    cluster_of_replicas,  # noqa: F401 - a fixture
    secret,
)

from hybridpg.controller.client.api import Client
from hybridpg.controller.client.patch import MergePatch
from hybridpg.controller.errors import LeaseLost
from hybridpg.controller.reconcile import Request
from hybridpg.controller.types import LEASES, SECRETS

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("trouble", ["hang", "reset", "html"])
async def test_a_lost_lease_ends_the_work_at_once_and_the_manager_with_an_error(cluster, trouble):
    one = Replica(cluster, "one", grace=1000).start()
    await one.leads()
    began = now()
    one.line.trouble = trouble
    assert one.task is not None
    with pytest.raises(LeaseLost, match="leader election lost"):
        await one.task
    ended, text = one.notes[-1]
    assert text == "sweeps no more"
    assert ended - began <= 10
    assert now() - ended < 5, "the lease and the last events get a moment, and no more"


async def test_a_run_that_hangs_when_the_lease_is_lost_gets_no_grace(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")

    class Hangs(Replica):
        async def reconcile(self, request: Request) -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                self.note("is cancelled")

    one = Hangs(cluster, "one", grace=1000).start()
    await one.leads()
    await Client(cluster).patch(LEASES, KEY, MergePatch({"spec": {"holderIdentity": "x"}}))
    edited = now()
    assert one.task is not None
    with pytest.raises(LeaseLost, match="is held by x"):
        await one.task
    assert "is cancelled" in one.said
    assert now() - edited < 1


async def test_work_that_ignores_its_end_gets_no_grace_when_the_lease_is_lost(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")
    release = asyncio.Event()

    class Stubborn(Replica):
        async def reconcile(self, request: Request) -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    one = Stubborn(cluster, "one", grace=1000).start()
    await one.leads()
    await Client(cluster).patch(LEASES, KEY, MergePatch({"spec": {"holderIdentity": "x"}}))
    lost = now()
    assert one.task is not None
    with pytest.raises(LeaseLost):
        await one.task
    assert now() - lost < 10
    release.set()
    await asyncio.sleep(0.1)


async def test_a_lease_lost_during_an_ordered_stop_ends_its_grace_and_is_an_error(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")

    one = Hangs(cluster, "one", grace=1000).start()
    await one.leads()
    one.stop.set()
    await asyncio.sleep(1)
    one.line.trouble = "reset"
    lost = now()
    assert one.task is not None
    with pytest.raises(LeaseLost):
        await one.task
    assert now() - lost < 15


async def test_in_a_block_that_does_not_look_the_work_ends_with_the_lease_all_the_same(cluster):
    one = Replica(cluster, "one")

    async def block() -> None:
        async with one.manager:
            await one.leads()
            one.line.trouble = "hang"
            await asyncio.sleep(12)
            one.note("looks")

    with pytest.raises(LeaseLost):
        await block()
    assert one.said[-2:] == ["sweeps no more", "looks"]


async def test_after_a_pause_of_the_process_no_run_begins_and_nothing_is_written(cluster):
    """SIGSTOP and SIGCONT: a worker may run before the timers of the elector do."""
    ahead = 0.0
    outcomes: list[str] = []

    class Paused(Replica):
        async def sweep(self) -> None:
            nonlocal ahead
            ahead = 10.0  # the clock has gone on, no other task has run since
            try:
                await self.manager.client.create(SECRETS, secret("late"), namespace="default")
            except LeaseLost as error:
                outcomes.append(str(error))
                raise

    await Client(cluster).create(SECRETS, secret("a"), namespace="default")
    one = Paused(cluster, "one", now=lambda: now() + ahead).start()
    assert one.task is not None
    with pytest.raises(LeaseLost):
        await one.task
    assert len(outcomes) == 1
    assert "reconciles a" not in one.said
    names = [page.name for page in (await Client(cluster).list(SECRETS)).items]
    assert names == ["a"]
