"""Leader election: one at a time, whatever the API server, the clocks and the others do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from tests.unit.controller.elections import (
    KEY,
    RUBBISH,
    Candidate,
    Line,
    config,
    now,
    read,
    renewed,
)

from hybridpg.controller.client.api import Client
from hybridpg.controller.client.patch import MergePatch
from hybridpg.controller.errors import LeaseLost, NotFound
from hybridpg.controller.fence import FencedTransport
from hybridpg.controller.leader import LeaderElector
from hybridpg.controller.testing import FakeCluster, eventually
from hybridpg.controller.types import LEASES

pytestmark = pytest.mark.virtual_time

BOUND = 15 + 2 * 2.2 * 2
"""Lease duration and twice the longest time between two tries: when a dead leader is replaced."""


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    made = FakeCluster(seed=1)
    yield made
    await made.close()


@pytest.fixture
async def electing(cluster: FakeCluster) -> AsyncIterator[list[Candidate]]:
    """Candidates that are ended with the test."""
    made: list[Candidate] = []
    yield made
    for candidate in made:
        await candidate.die()


@pytest.fixture
async def leader(cluster: FakeCluster, electing: list[Candidate]) -> Candidate:
    """A candidate that leads."""
    candidate = Candidate(cluster, "leader").start()
    electing.append(candidate)
    await candidate.leads()
    return candidate


@pytest.fixture
async def standby(cluster: FakeCluster, electing: list[Candidate], leader: Candidate) -> Candidate:
    """A candidate that waits and has seen a renewal of the leader."""
    candidate = Candidate(cluster, "standby").start()
    electing.append(candidate)
    await asyncio.sleep(5)
    assert candidate.elector.holder == "leader"
    return candidate


async def wait_lost(candidate: Candidate, seconds: float = 100) -> tuple[float, LeaseLost]:
    async with asyncio.timeout(seconds):
        while candidate.lost is None:
            await asyncio.sleep(0.01)
    return candidate.lost


async def test_the_first_candidate_makes_the_lease_and_leads_at_once(cluster, electing):
    candidate = Candidate(cluster, "a").start()
    electing.append(candidate)
    await asyncio.sleep(0)
    assert not candidate.elector.is_leader
    assert await candidate.leads() < 0.1
    assert candidate.elector.is_leader
    assert await read(cluster) == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
        "leaseTransitions": 1,
    }


async def test_a_leader_renews_every_retry_period_with_one_request_each(cluster, leader):
    before = len(leader.line.sent)
    await asyncio.sleep(19)
    times = [at for at, _ in leader.line.sent[before:]]
    assert {method for _, method in leader.line.sent[before:]} == {"PUT"}
    assert [round(b - a, 6) for a, b in pairwise(times)] == [2.0] * (len(times) - 1)
    assert len(times) == 9
    assert leader.elector.slowpaths == 0


async def test_a_renewal_changes_nothing_but_its_time(cluster, leader):
    client = Client(cluster)
    await client.patch(LEASES, KEY, MergePatch({"metadata": {"labels": {"kept": "yes"}}}))
    first = await read(cluster)
    await asyncio.sleep(5)
    second = await read(cluster)
    assert {**second, "renewTime": ""} == {**first, "renewTime": ""}
    assert second["renewTime"] > first["renewTime"]
    assert (await client.get(LEASES, KEY))["metadata"]["labels"] == {"kept": "yes"}
    assert leader.elector.slowpaths == 1, "somebody wrote, so that it had to read first"


async def test_a_second_candidate_waits_as_long_as_the_first_renews(standby, leader):
    await asyncio.sleep(1000)
    assert leader.elector.is_leader
    assert standby.led is None


@pytest.mark.parametrize("watching", [True, False])
@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
async def test_a_dead_leader_is_replaced_within_the_bound(cluster, electing, watching, chance):
    leader = Candidate(cluster, "leader").start()
    electing.append(leader)
    await leader.leads()
    standby = Candidate(cluster, "standby", watching=watching, chance=chance).start()
    electing.append(standby)
    await asyncio.sleep(20)
    died = await renewed(cluster)
    await leader.die()
    took = await standby.leads() - died
    assert 15 <= took <= (15.01 if watching else BOUND)
    assert (await read(cluster))["leaseTransitions"] == 2


async def test_a_released_lease_is_taken_at_once_by_a_candidate_that_watches(leader, standby):
    await leader.die()
    await leader.elector.release(10)
    released = now()
    assert await standby.leads() - released < 0.05


async def test_a_released_lease_is_taken_with_the_next_try_where_the_watch_is_forbidden(
    leader, standby
):
    standby.line.trouble = "reset"
    standby.line.methods = ("WATCH",)
    standby.line.cluster.drop_watches()
    await leader.die()
    await leader.elector.release(10)
    released = now()
    assert await standby.leads() - released <= 2.2 * 2


async def test_a_release_says_so_and_keeps_the_count(cluster, leader):
    await asyncio.sleep(3)
    await leader.die()
    await leader.elector.release(10)
    assert await read(cluster) == {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "acquireTime": "2026-01-01T00:00:03.010000Z",
        "renewTime": "2026-01-01T00:00:03.010000Z",
        "leaseTransitions": 1,
    }
    assert not leader.elector.is_leader


async def test_a_release_is_repeated_after_a_conflict_and_ends_in_time(cluster, leader):
    await leader.die()
    cluster.faults.conflict(method="PUT", times=3)
    await leader.elector.release(10)
    assert (await read(cluster))["holderIdentity"] == ""


async def test_a_release_into_silence_takes_no_longer_than_it_may(cluster, leader, caplog):
    await leader.die()
    leader.line.trouble = "hang"
    begun = now()
    await leader.elector.release(3)
    assert now() == begun + 3
    assert "is not released" in caplog.text


async def test_nothing_is_released_that_belongs_to_somebody_else(cluster, leader):
    await leader.die()
    patch = MergePatch({"spec": {"holderIdentity": "other"}})
    await Client(cluster).patch(LEASES, KEY, patch)
    await leader.elector.release(10)
    assert (await read(cluster))["holderIdentity"] == "other"


async def test_who_never_was_elected_releases_nothing(cluster, leader, standby):
    await standby.die()
    before = len(standby.line.sent)
    await standby.elector.release(10)
    assert len(standby.line.sent) == before


@pytest.mark.parametrize("trouble", ["hang", "reset", "stale", *RUBBISH])
async def test_a_leader_without_answers_ends_before_another_can_begin(
    cluster, leader, standby, trouble
):
    """The whole point: what it can still believe ends earlier than what the others wait for."""
    last = await renewed(cluster)
    leader.line.trouble = trouble
    lost_at, error = await wait_lost(leader)
    assert lost_at == pytest.approx(last + 10, abs=0.02)
    assert str(error).startswith("leader election lost: lease default/controller could not be")
    taken = await standby.leads()
    assert lost_at < last + 15 <= taken <= last + BOUND


@pytest.mark.parametrize("trouble", ["hang", "reset", "lost", "stale", *RUBBISH])
async def test_a_leader_goes_on_when_the_answers_come_back_in_time(
    cluster, leader, standby, trouble
):
    await renewed(cluster)
    leader.line.trouble = trouble
    await asyncio.sleep(6)
    leader.line.trouble = ""
    await asyncio.sleep(60)
    assert leader.lost is None
    assert leader.elector.is_leader
    assert standby.led is None
    assert leader.elector.slowpaths > 0


async def test_one_request_that_hangs_does_not_lose_the_lease(cluster, leader):
    await renewed(cluster)
    cluster.faults.delay(1000, method="PUT", times=1)
    await asyncio.sleep(30)
    assert leader.elector.is_leader
    assert leader.elector.slowpaths == 1


async def test_a_renewal_whose_answer_was_lost_counts_once_it_is_read(cluster, leader):
    leader.line.trouble = "lost"
    leader.line.methods = ("PUT",)
    await renewed(cluster)
    leader.line.trouble = ""
    await asyncio.sleep(0.1)
    assert leader.elector.is_leader
    assert (await read(cluster))["leaseTransitions"] == 1


async def test_a_claim_whose_answer_was_lost_is_made_good_by_the_next_try(cluster, electing):
    candidate = Candidate(cluster, "a")
    electing.append(candidate)
    candidate.line.trouble = "lost"
    candidate.line.methods = ("POST",)
    candidate.start()
    await asyncio.sleep(1)
    assert (await read(cluster))["holderIdentity"] == "a"
    assert candidate.elector.is_leader, "the watch told that it holds the lease"
    assert (await read(cluster))["leaseTransitions"] == 1


async def test_claims_whose_answers_are_all_lost_are_not_made_faster_by_what_the_watch_tells(
    cluster, electing
):
    candidate = Candidate(cluster, "a")
    electing.append(candidate)
    candidate.line.trouble = "lost"
    candidate.line.methods = ("POST", "PUT")
    candidate.start()
    await asyncio.sleep(60)
    claims = [at for at, method in candidate.line.sent if method in ("POST", "PUT")]
    assert len(claims) <= 60 / config().retry_period + 2
    candidate.line.trouble = ""
    await asyncio.sleep(5)
    assert candidate.elector.is_leader


@pytest.mark.parametrize("trouble", ["hang", "reset", *RUBBISH])
async def test_a_candidate_survives_whatever_it_is_answered(cluster, electing, trouble):
    candidate = Candidate(cluster, "a")
    electing.append(candidate)
    candidate.line.trouble = trouble
    candidate.start()
    await asyncio.sleep(300)
    assert candidate.led is None
    candidate.line.trouble = ""
    began = now()
    await candidate.leads()
    assert now() - began <= 2.2 * 2 + 5, "a try under way, and the pause before the next"


async def test_a_trouble_that_lasts_is_logged_once(cluster, electing, caplog):
    candidate = Candidate(cluster, "a", watching=False)
    electing.append(candidate)
    candidate.line.trouble = "forbidden"
    with caplog.at_level(logging.INFO, logger="hybridpg.controller.leader"):
        candidate.start()
        await asyncio.sleep(100)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "a try for lease default/controller failed: 403" in caplog.text


@pytest.mark.parametrize("hours", [1, -1])
async def test_steps_of_the_wall_clock_change_nothing(cluster, leader, standby, hours):
    for candidate, other in ((leader, standby), (standby, leader), (leader, standby)):
        candidate.wall.ahead += timedelta(hours=hours)
        await asyncio.sleep(40)
        other.wall.ahead -= timedelta(hours=hours)
        await asyncio.sleep(40)
    assert leader.elector.is_leader
    assert standby.led is None
    assert leader.elector.slowpaths == 0


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_wall_clock_that_is_wrong_does_not_change_when_a_leader_is_replaced(
    cluster, electing, hours
):
    leader = Candidate(cluster, "leader")
    leader.wall.ahead = timedelta(hours=hours)
    electing.append(leader.start())
    await leader.leads()
    standby = Candidate(cluster, "standby").start()
    electing.append(standby)
    await asyncio.sleep(20)
    died = await renewed(cluster)
    await leader.die()
    assert await standby.leads() - died == pytest.approx(15, abs=0.02)


async def test_a_clock_that_stands_still_still_renews(cluster, leader, standby):
    leader.wall.frozen = datetime(2026, 1, 1, tzinfo=UTC)
    await asyncio.sleep(100)
    assert leader.elector.is_leader
    assert standby.led is None


async def test_a_deleted_lease_is_made_again_by_its_leader(cluster, leader, standby):
    await asyncio.sleep(10)
    before = await read(cluster)
    await Client(cluster).delete(LEASES, KEY)
    await asyncio.sleep(0.1)
    after = await read(cluster)
    assert after["holderIdentity"] == "leader"
    assert after["leaseTransitions"] == before["leaseTransitions"]
    assert after["acquireTime"] == before["acquireTime"]
    await asyncio.sleep(60)
    assert leader.elector.is_leader
    assert standby.led is None


async def test_a_deleted_lease_is_not_taken_before_its_leader_can_know(cluster, leader, standby):
    """Otherwise both would work until the first one's next renewal, or longer."""
    last = await renewed(cluster)
    leader.line.trouble = "hang"
    await Client(cluster).delete(LEASES, KEY)
    taken = await standby.leads()
    assert taken >= last + 15
    assert leader.lost is not None
    assert leader.lost[0] < taken


async def test_a_lease_whose_holder_was_wiped_out_is_lost_and_not_taken_at_once(
    cluster, leader, standby
):
    last = await renewed(cluster)
    await Client(cluster).patch(LEASES, KEY, MergePatch({"spec": {"holderIdentity": ""}}))
    lost_at, error = await wait_lost(leader)
    assert lost_at - last < 0.1
    assert str(error) == "leader election lost: lease default/controller is held by nobody"
    assert await standby.leads() >= last + 14.9


async def test_a_lease_that_was_given_to_another_name_is_lost_at_once(cluster, leader, standby):
    await Client(cluster).patch(LEASES, KEY, MergePatch({"spec": {"holderIdentity": "ghost"}}))
    edited = now()
    lost_at, error = await wait_lost(leader)
    assert lost_at - edited < 0.1
    assert "is held by ghost" in str(error)
    assert await standby.leads() == pytest.approx(edited + 15, abs=0.1)


async def test_the_others_wait_for_as_long_as_the_record_says_not_for_what_they_would_write(
    cluster, electing
):
    settings = config(duration=60, renew_deadline=40, retry_period=5)
    leader = Candidate(cluster, "leader", settings).start()
    standby = Candidate(cluster, "standby").start()
    electing += [leader, standby]
    await leader.leads()
    await asyncio.sleep(20)
    died = await renewed(cluster)
    await leader.die()
    assert await standby.leads() - died >= 60


async def test_of_many_candidates_exactly_one_wins(cluster, electing):
    leader = Candidate(cluster, "leader").start()
    electing.append(leader)
    await leader.leads()
    electing += [Candidate(cluster, f"c{number}").start() for number in range(10)]
    await asyncio.sleep(5)
    await leader.die()
    await leader.elector.release(10)
    await asyncio.sleep(60)
    assert sum(each.elector.is_leader for each in electing) == 1
    assert sum(each.led is not None for each in electing[1:]) == 1


async def test_a_leader_that_stood_still_knows_before_any_timer_of_its_runs(cluster):
    ahead = 0.0
    elector = LeaderElector(
        Client(Line(cluster)), config(), identity="paused", now=lambda: now() + ahead
    )
    task = asyncio.create_task(elector.run(lambda: None))
    await eventually(lambda: elector.is_leader)
    elector.check("PUT /x")
    ahead = 10.0  # SIGSTOP and SIGCONT: no task has run since
    assert not elector.is_leader
    with pytest.raises(LeaseLost, match="PUT /x is not begun: lease default/controller is not"):
        elector.check("PUT /x")
    assert elector.healthy
    ahead = 15.0 + 20.1
    assert not elector.healthy
    with pytest.raises(LeaseLost):
        await task


async def test_a_thread_that_has_no_loop_is_told_whether_it_may_go_on(cluster):
    line = Line(cluster)
    elector = LeaderElector(Client(line), config(), identity="one")
    fenced = Client(FencedTransport(line, elector.check))
    with pytest.raises(LeaseLost):
        await asyncio.to_thread(fenced.check, "a statement")
    task = asyncio.create_task(elector.run(lambda: None))
    await eventually(lambda: elector.is_leader)
    await asyncio.to_thread(fenced.check, "a statement")
    line.trouble = "hang"
    with pytest.raises(LeaseLost):
        await task
    with pytest.raises(LeaseLost, match="a statement is not begun"):
        await asyncio.to_thread(fenced.check, "a statement")


async def test_a_machine_that_slept_has_lost_its_lease_though_its_clock_stood_still(cluster):
    slept = 0.0
    elector = LeaderElector(
        Client(Line(cluster)), config(), identity="laptop", now=now, asleep=lambda: slept
    )
    task = asyncio.create_task(elector.run(lambda: None))
    await eventually(lambda: elector.is_leader)
    slept = 3600.0
    with pytest.raises(LeaseLost):
        elector.check("PUT /x")
    with pytest.raises(LeaseLost, match="this process stood still"):
        await task


async def test_a_claim_that_took_too_long_to_be_answered_is_not_believed(cluster):
    """The process stood still between the request and its answer: the time is gone."""
    ahead = 0.0

    class Slow(Line):
        async def request(self, method, *args, **options):
            nonlocal ahead
            answer = await super().request(method, *args, **options)
            if method == "POST":
                ahead += 11
            return answer

    elector = LeaderElector(Client(Slow(cluster)), config(), now=lambda: now() + ahead)
    led: list[float] = []
    task = asyncio.create_task(elector.run(lambda: led.append(now())))
    await eventually(lambda: led)
    assert elector.is_leader
    assert led[0] >= 2, "the second try"
    task.cancel()
    await asyncio.wait([task])


async def test_identities_are_unique(cluster):
    names = {LeaderElector(Client(cluster), config()).identity for _ in range(3)}
    assert len(names) == 3
    assert all("_" in name for name in names)


async def test_a_candidate_tells_what_it_has_seen(cluster, leader, standby):
    fresh = LeaderElector(Client(cluster), config())
    assert (fresh.holder, fresh.transitions, fresh.is_leader, fresh.healthy) == ("", 0, False, True)
    assert (standby.elector.holder, standby.elector.transitions) == ("leader", 1)
    assert (leader.elector.holder, leader.elector.transitions) == ("leader", 1)
    assert leader.elector.healthy


async def test_a_leader_knows_what_it_wrote_without_any_watch(cluster, electing):
    candidate = Candidate(cluster, "a", watching=False).start()
    electing.append(candidate)
    await candidate.leads()
    assert (candidate.elector.holder, candidate.elector.transitions) == ("a", 1)


async def test_a_namespace_that_does_not_exist_is_told_and_waited_for(cluster, electing, caplog):
    candidate = Candidate(cluster, "a")
    candidate.elector = LeaderElector(candidate.client, config(), identity="a")
    cluster.faults.error(404, "NotFound", 'namespaces "default" not found', method="POST", times=2)
    electing.append(candidate.start())
    await asyncio.sleep(1)
    assert 'namespaces "default" not found' in caplog.text
    with pytest.raises(NotFound):
        await read(cluster)
    await candidate.leads()
