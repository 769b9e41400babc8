"""A manager with leader election: what starts when, what ends when, and what may be written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.controller.elections import KEY, LEASE_PATH, Line, config, now, read
from tests.unit.controller.scripted import WIDGETS

from hybridpg.controller._checks import live, ready
from hybridpg.controller.client.api import Client
from hybridpg.controller.client.patch import MergePatch
from hybridpg.controller.errors import LeaseLost, ManagerError
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.manager import Manager
from hybridpg.controller.reconcile import Request
from hybridpg.controller.testing import FakeCluster, eventually
from hybridpg.controller.types import LEASES, SECRETS, JsonObject, ObjectKey, ObjectReference

pytestmark = pytest.mark.virtual_time

ABOUT = ObjectReference("v1", "Secret", "default", "a", "uid-a")


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    made = FakeCluster(seed=1)
    yield made
    await made.close()


def secret(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}


class Replica:
    """A manager that notes what its parts do; it stops like a process that is told to."""

    def __init__(self, cluster: FakeCluster, name: str, **options) -> None:
        self.line = Line(cluster)
        self.name = name
        self.notes: list[tuple[float, str]] = []
        options = {"leader_election": config(), **options}
        self.manager = Manager(Client(self.line), name=name, **options)
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        informer = self.manager.informer(SECRETS)
        controller = self.manager.controller("secrets", self.reconcile)
        controller.watch(informer, handler=enqueue_self())
        self.manager.add("sweep", self.sweep)
        self.manager.add("everywhere", self.everywhere, leader_only=False)

    def note(self, text: str) -> None:
        self.notes.append((round(now(), 2), text))

    @property
    def said(self) -> list[str]:
        return [text for _, text in self.notes]

    async def reconcile(self, request: Request) -> None:
        self.note(f"reconciles {request.key.name}")

    async def sweep(self) -> None:
        self.note("sweeps")
        try:
            await asyncio.Event().wait()
        finally:
            self.note("sweeps no more")

    async def everywhere(self) -> None:
        self.note("is everywhere")
        await asyncio.Event().wait()

    def start(self) -> Replica:
        self.task = asyncio.create_task(
            self.manager.run(self.stop, on_started=lambda: self.note("started"))
        )
        return self

    async def end(self) -> None:
        """Stop and wait for the end, which may be an error."""
        self.stop.set()
        assert self.task is not None
        await self.task

    async def leads(self) -> None:
        elector = self.manager.elector
        assert elector is not None
        await eventually(lambda: elector.is_leader, seconds=100)
        await asyncio.sleep(0.01)


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


async def test_a_replica_that_is_stopped_before_it_leads_never_starts_its_work(cluster):
    one, two = Replica(cluster, "one").start(), Replica(cluster, "two")
    await one.leads()
    two.start()
    await asyncio.sleep(30)
    await asyncio.gather(two.end(), one.end())
    await asyncio.sleep(60)
    assert sorted(two.said) == ["is everywhere", "started"]
    assert (await read(cluster))["holderIdentity"] == ""


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


async def test_a_stop_that_is_forced_gives_the_lease_back_and_waits_for_nothing_else(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")

    class Hangs(Replica):
        async def reconcile(self, request: Request) -> None:
            await asyncio.sleep(1000)

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


async def test_a_lease_lost_during_an_ordered_stop_ends_its_grace_and_is_an_error(cluster):
    await Client(cluster).create(SECRETS, secret("a"), namespace="default")

    class Hangs(Replica):
        async def reconcile(self, request: Request) -> None:
            await asyncio.sleep(1000)

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


async def test_an_informer_that_is_asked_for_while_the_manager_runs_starts_at_once(cluster):
    manager = Manager(Client(cluster))
    async with manager:
        informer = manager.informer(SECRETS, namespaces=("default",))
        async with asyncio.timeout(1):
            await informer.wait_synced()
        assert manager.informer(SECRETS, namespaces=("default",)) is informer
        assert manager.informers == (informer,)
        assert cluster.open_watches == ["secrets"]

        await manager.stop_informer(informer)
        assert not manager.informers
        assert cluster.open_watches == []
        await asyncio.sleep(1)

        again = manager.informer(SECRETS, namespaces=("default",))
        assert again is not informer
        await again.wait_synced()
        with pytest.raises(ManagerError, match="has no such informer of secrets"):
            await manager.stop_informer(informer)
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(5, stop.set)
        await manager.wait(stop)
        assert stop.is_set(), "an informer that was stopped has not died"


async def test_an_informer_of_the_run_that_dies_fails_the_manager(cluster):
    class Broken(Line):
        async def request(self, method, path, **options):
            if "widgets" in path:
                raise ZeroDivisionError("bug")
            return await super().request(method, path, **options)

        async def stream(self, path, **options):
            if "widgets" in path:
                raise ZeroDivisionError("bug")
            async for lines in super().stream(path, **options):
                yield lines

    manager = Manager(Client(Broken(cluster)))

    async def block() -> None:
        async with manager:
            manager.informer(WIDGETS)
            await manager.wait(asyncio.Event())

    with pytest.raises(ManagerError, match=r"informer widgets\.example\.org died"):
        await block()


async def test_the_parts_of_a_manager_can_be_looked_at(cluster):
    manager = Manager(Client(cluster))
    informer = manager.informer(SECRETS)

    async def idle(request: Request) -> None:
        return None

    controller = manager.controller("c", idle)
    assert manager.informers == (informer,)
    assert manager.controllers == (controller,)
    assert manager.elector is None
    assert manager.health is None
    await manager.stop_informer(informer)
    assert not manager.informers
    await manager.client.close()
