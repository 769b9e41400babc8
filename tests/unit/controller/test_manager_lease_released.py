"""A manager that stops gives its lease back, and not before its work has ended."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.elections import config, now, read
from tests.unit.controller.replicas import (
    ABOUT,
    Hangs,
    Replica,
    cluster_of_replicas,  # noqa: F401 - a fixture
    secret,
)

from hybridpg.controller.client.api import Client
from hybridpg.controller.client.patch import MergePatch
from hybridpg.controller.errors import ManagerError
from hybridpg.controller.manager import Manager
from hybridpg.controller.reconcile import Request
from hybridpg.controller.testing import eventually
from hybridpg.controller.types import SECRETS

pytestmark = pytest.mark.virtual_time


async def test_a_replica_that_is_told_to_stop_while_it_wins_gives_the_lease_back(cluster):
    """The claim is on its way when the stop comes: it may arrive."""
    one = Replica(cluster, "one")
    one.line.trouble, one.line.methods = "lost", ("POST", "WATCH")
    one.manager = Manager(Client(one.line), leader_election=config())
    one.manager.add("sweep", one.sweep)
    one.start()
    await eventually(lambda: "POST" in [method for _, method in one.line.sent])
    assert one.manager.elector is not None
    assert (await read(cluster))["holderIdentity"] == one.manager.elector.identity
    await one.end()
    assert one.said == ["started"]
    assert (await read(cluster))["holderIdentity"] == ""


async def test_the_lease_is_given_back_when_all_work_has_ended_and_not_before(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")
    holders: list[str] = []

    class Slow(Replica):
        async def reconcile(self, request: Request) -> None:
            self.note("begins")
            await asyncio.sleep(12)
            holders.append((await read(cluster))["holderIdentity"])
            await self.manager.client.patch(
                SECRETS, request.key, MergePatch({"metadata": {"labels": {"done": "yes"}}})
            )
            self.note("ends")

    one = Slow(cluster, "one").start()
    await eventually(lambda: "begins" in one.said)
    await asyncio.sleep(1)
    await one.end()
    elector = one.manager.elector
    assert elector is not None
    assert holders == [elector.identity], "renewed all the while"
    assert one.said[-2:] == ["sweeps no more", "ends"]
    assert (await read(cluster))["holderIdentity"] == ""


async def test_events_of_the_end_are_written_after_the_lease_is_given_back(cluster):
    one = Replica(cluster, "one").start()
    await one.leads()
    one.manager.events.event(ABOUT, "Normal", "Stopped", "at the end")
    cluster.faults.delay(1, path="*/events")
    await one.end()
    writes = [(r.method, r.path.rsplit("/", 1)[-1]) for r in cluster.writes]
    assert ("POST", "events") in writes
    assert (await read(cluster))["holderIdentity"] == ""


async def test_parts_that_end_in_an_ordered_stop_are_no_failure(cluster):
    """One controller has ended, another has not: the process is as healthy as it should be."""
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")

    class Slow(Replica):
        async def reconcile(self, request: Request) -> None:
            await asyncio.sleep(12)

    async def idle(request: Request) -> None:
        return None

    one = Slow(cluster, "one")
    one.manager.controller("idle", idle)
    one.start()
    await one.leads()
    one.stop.set()
    await asyncio.sleep(5)
    assert one.task is not None
    assert not one.task.done()
    assert one.manager._lifecycle.failure() is None
    await one.end()


async def test_a_stop_that_is_forced_gives_the_lease_back_and_waits_for_nothing_else(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")

    one = Hangs(cluster, "one", grace=1000).start()
    await one.leads()
    one.stop.set()
    await asyncio.sleep(1)
    assert one.task is not None
    one.task.cancel()
    forced = now()
    await asyncio.wait([one.task])
    assert one.task.cancelled()
    assert now() - forced < 0.1
    assert (await read(cluster))["holderIdentity"] == ""


async def test_work_that_cannot_be_ended_keeps_the_lease_from_being_given_back(cluster, caplog):
    release = asyncio.Event()

    class Stubborn(Replica):
        async def sweep(self) -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    one = Stubborn(cluster, "one").start()
    await one.leads()
    with pytest.raises(ManagerError, match="runnable sweep did not stop when it was cancelled"):
        await one.end()
    elector = one.manager.elector
    assert elector is not None
    assert (await read(cluster))["holderIdentity"] == elector.identity
    assert "is not released: runnable sweep goes on" in caplog.text
    release.set()
    await asyncio.sleep(0.1)
