"""A manager with leader election: who works and writes, who waits, and what the checks say."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.elections import KEY, LEASE_PATH, now, read
from tests.unit.controller.replicas import (
    ABOUT,
    Replica,
    cluster_of_replicas,  # noqa: F401 - a fixture
    secret,
)

from hybridpg.controller._checks import live, ready
from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import LeaseLost, ManagerError
from hybridpg.controller.testing import eventually
from hybridpg.controller.types import SECRETS, ObjectKey

pytestmark = pytest.mark.virtual_time


async def test_a_replica_that_does_not_lead_watches_and_works_nothing(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")
    one, two = Replica(cluster, "one").start(), Replica(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(30)
    assert sorted(one.said[:2]) == sorted(two.said) == ["is everywhere", "started"]
    assert one.said[2:] == ["sweeps", "reconciles a"]
    assert two.manager.informers[0].synced
    await one.end()
    await two.end()


async def test_a_standby_is_warm_and_works_at_once_when_the_leader_stops(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")
    one, two = Replica(cluster, "one").start(), Replica(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(30)
    stopped = now()
    lists = cluster.requests[:]
    await one.end()
    await two.leads()
    assert now() - stopped < 0.2
    await asyncio.sleep(0.1)
    assert two.said[2:] == ["sweeps", "reconciles a"]
    asked = [r.path for r in cluster.requests[len(lists) :] if r.method == "GET"]
    assert set(asked) == {f"{LEASE_PATH}/{KEY.name}"}, "its caches were complete"
    await two.end()


async def test_a_standby_remembers_nothing_of_what_came_and_went(cluster):
    client = Client(cluster)
    one, two = Replica(cluster, "one").start(), Replica(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(1)
    for number in range(50):
        await client.create(SECRETS, secret(f"s{number}"), namespace="default")
        await client.delete(SECRETS, ObjectKey("default", f"s{number}"))
    await client.create(SECRETS, secret("stays"), namespace="default")
    await asyncio.sleep(30)
    [controller] = two.manager.controllers
    assert len(controller.queue) == 0

    await one.end()
    await two.leads()
    await asyncio.sleep(0.1)
    assert two.said[2:] == ["sweeps", "reconciles stays"]
    await two.end()


async def test_a_replica_that_is_stopped_before_it_leads_never_starts_its_work(cluster):
    one, two = Replica(cluster, "one").start(), Replica(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(30)
    await asyncio.gather(two.end(), one.end())
    await asyncio.sleep(60)
    assert sorted(two.said) == ["is everywhere", "started"]
    assert (await read(cluster))["holderIdentity"] == ""


async def test_only_the_leader_writes_through_the_client_of_its_manager(cluster):
    one, two = Replica(cluster, "one").start(), Replica(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(10)
    await one.manager.client.create(SECRETS, secret("a"), namespace="default")
    with pytest.raises(LeaseLost, match="POST /api/v1/namespaces/default/secrets is not begun"):
        await two.manager.client.create(SECRETS, secret("b"), namespace="default")
    assert (await two.manager.client.get(SECRETS, ObjectKey("default", "a")))["kind"] == "Secret"
    two.manager.events.event(ABOUT, "Normal", "Waits", "a standby may say so")
    await eventually(lambda: any("events" in r.path for r in cluster.writes))
    await one.end()
    await two.end()
    with pytest.raises(LeaseLost):
        await one.manager.client.create(SECRETS, secret("c"), namespace="default")


async def test_without_an_election_everything_starts_and_writes_are_free(cluster):
    one = Replica(cluster, "one", leader_election=None).start()
    await asyncio.sleep(1)
    assert sorted(one.said) == ["is everywhere", "started", "sweeps"]
    await one.manager.client.create(SECRETS, secret("a"), namespace="default")
    await one.end()
    assert not any("leases" in request.path for request in cluster.requests)


async def test_two_managers_of_one_process_are_candidates_of_their_own(cluster):
    one, two = Replica(cluster, "one").start(), Replica(cluster, "two").start()
    await asyncio.sleep(10)
    electors = [one.manager.elector, two.manager.elector]
    assert [each is not None and each.is_leader for each in electors].count(True) == 1
    await one.end()
    await asyncio.sleep(1)
    await two.end()
    assert one.said.count("sweeps") == two.said.count("sweeps") == 1


async def test_the_checks_tell_who_leads_and_call_both_ready(cluster):
    one, two = Replica(cluster, "one").start(), Replica(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(10)

    def lines(replica: Replica) -> list[str]:
        manager = replica.manager
        return [str(each) for each in ready(manager.informers, manager.elector, now())]

    assert one.manager.elector is not None
    assert lines(one) == ["[+] informer secrets: ok", "[+] leader election: leads"]
    waits = f"waits, the lease is held by {one.manager.elector.identity}"
    assert lines(two) == ["[+] informer secrets: ok", f"[+] leader election: {waits}"]
    await one.end()
    await two.end()


async def test_a_process_that_leads_long_after_its_lease_is_not_alive(cluster):
    ahead = 0.0
    one = Replica(cluster, "one", now=lambda: now() + ahead).start()
    await one.leads()
    elector = one.manager.elector
    assert [check.problem for check in live(None, elector)] == ["", ""]
    ahead = 36
    problems = [check.problem for check in live(ManagerError("x died"), elector)]
    assert problems == ["x died", "leads without lease default/controller"]
    assert one.task is not None
    with pytest.raises(LeaseLost):
        await one.task
