"""The end of a manager with leader election, disturbed: nobody works beside another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.controller.elections import read
from tests.unit.controller.replicas import Replica

from hybridpg.controller.errors import LeaseLost
from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    made = FakeCluster(seed=1)
    yield made
    await made.close()


class TidiesUp(Replica):
    """A replica whose sweep takes three seconds to end in order, and asks who leads then."""

    holder = "nobody asked"

    async def sweep(self) -> None:
        self.note("sweeps")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)
            self.holder = (await read(self.line.cluster))["holderIdentity"]
            self.note("sweeps no more")


async def test_a_forced_stop_gives_the_lease_back_no_earlier_than_the_work_has_ended(cluster):
    """The second signal comes while a runnable that was told to end still cleans up."""
    one = TidiesUp(cluster, "one")
    one.start()
    await one.leads()
    one.stop.set()
    await asyncio.sleep(1)
    assert one.task is not None
    one.task.cancel()
    await asyncio.wait([one.task])
    assert one.task.cancelled()
    assert one.manager.elector is not None
    assert one.holder == one.manager.elector.identity
    assert (await read(cluster))["holderIdentity"] == ""


async def test_work_that_is_cut_off_by_the_loss_of_the_lease_is_cancelled_once(cluster):
    """A second cancellation would interrupt what it does to end in order."""
    one = TidiesUp(cluster, "one").start()
    await one.leads()
    one.line.trouble = "reset"
    assert one.task is not None
    with pytest.raises(LeaseLost):
        await one.task
    assert one.said[-1] == "sweeps no more"


class SlowEverywhere(Replica):
    """A replica that takes three seconds to end what it does without leading."""

    async def everywhere(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)


async def test_a_standby_that_stops_does_not_take_the_lease_from_those_who_stay(cluster):
    one, two = Replica(cluster, "one").start(), SlowEverywhere(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(30)
    ending = asyncio.create_task(two.end())
    await asyncio.sleep(1)
    await one.end()
    await asyncio.sleep(1)
    assert not ending.done()
    assert (await read(cluster))["holderIdentity"] == ""
    await ending


async def test_a_standby_that_is_forced_to_stop_begins_no_work_when_it_wins_meanwhile(cluster):
    one, two = Replica(cluster, "one").start(), SlowEverywhere(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(30)
    assert two.task is not None
    two.task.cancel()
    await asyncio.sleep(1)
    await one.end()
    await asyncio.wait([two.task])
    assert two.said == ["started"]
    assert (await read(cluster))["holderIdentity"] == ""
