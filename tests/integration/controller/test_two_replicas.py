"""Two replicas on the real API server: however the leader ends, never two write.

The leader is killed, stopped and continued after another took over, and cut off from the API
server: resets, or silence after which what it said arrives late. ``LEADER_ROUNDS`` sets how often
each is done, and a number above the usual one makes the lease as short as it can be.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import yaml
from tests.fix_testenv import TestEnv
from tests.relay import Relay
from tests.sequence_replica import CONFIG_MAPS, TRAIL

from hybridpg.controller.client import Client
from hybridpg.controller.types import LEASES, ObjectKey

ROUNDS = int(os.environ.get("LEADER_ROUNDS", "3"))
TIMES = (1.0, 0.7, 0.2) if ROUNDS > 3 else (3.0, 2.0, 0.4)
"""Duration, deadline and period of the lease."""
BOUND = TIMES[0] + 2 * 2.2 * TIMES[2]
"""After the last renewal: what product and issue promise."""
ROOT = Path(__file__).parents[3]
PATIENCE = 30.0
"""For what takes a second where the machine has nothing else to do."""
NAME = "sequence"


class Replica:
    """One process behind a relay of its own, started again after each end."""

    def __init__(self, env: TestEnv, namespace: str, folder: Path) -> None:
        self._env = env
        self._namespace = namespace
        self._kubeconfig = folder / "kubeconfig"
        self._reading: asyncio.Task[None] | None = None
        self.relay = Relay(env.host)
        self.process: asyncio.subprocess.Process
        self.identity = ""
        self.lines: list[str] = []
        self.started = asyncio.Event()
        self.leading = asyncio.Event()

    async def prepare(self) -> None:
        """Write a kubeconfig that leads through the relay."""
        document = yaml.safe_load(self._env.kubeconfig.read_text())
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self.relay.port}"
        self._kubeconfig.parent.mkdir()
        self._kubeconfig.write_text(yaml.safe_dump(document))

    async def start(self) -> None:
        """Start the process and wait until its caches are complete."""
        self.relay.heal()
        self.started.clear()
        self.leading.clear()
        self.lines = []
        arguments = [str(self._kubeconfig), self._namespace, NAME, *map(str, TIMES)]
        self.process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "tests.sequence_replica", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "hack/import"), "."])},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read())
        async with asyncio.timeout(PATIENCE):
            await self.started.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = raw.decode().rstrip()
            self.lines = [*self.lines[-200:], line]
            if line.startswith("started "):
                self.identity = line.split()[1]
                self.started.set()
            elif line.startswith("leads "):
                self.leading.set()
        self.started.set()

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self.process.returncode is None

    async def ended(self) -> int:
        """Wait for the end of the process; return its exit code."""
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            assert self._reading is not None
            await self._reading
        return code

    async def kill(self) -> None:
        """End the process at once, be it stopped or not."""
        if self.alive:
            self.process.kill()
        await self.ended()


class Referee:
    """Follows the Lease past all relays, by its own clock."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._changed = asyncio.Event()
        self.holder = ""
        self.renewed: dict[str, float] = {}
        """When each holder renewed last."""
        self.began: dict[str, float] = {}
        """When each holder got the lease."""

    async def follow(self) -> None:
        """Watch for ever."""
        while True:
            watch = self._client.watch(LEASES, namespace=self._namespace, timeout_seconds=600)
            async for lines in watch:
                for line in lines:
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._note(event["object"]["spec"].get("holderIdentity") or "")

    def _note(self, holder: str) -> None:
        now = time.monotonic()
        self.holder = holder
        self.renewed[holder] = now
        self.began.setdefault(holder, now)
        self._changed.set()

    async def successor(self, of: str) -> str:
        """Wait until somebody else holds the lease."""
        async with asyncio.timeout(PATIENCE):
            while self.holder in ("", of):
                self._changed.clear()
                await self._changed.wait()
        return self.holder


class Trail:
    """Follows the ConfigMap that is written without preconditions: who came after whom."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self.writers: list[str] = []

    async def follow(self) -> None:
        """Watch for ever; every version comes, in order."""
        version = ""
        while True:
            watch = self._client.watch(
                CONFIG_MAPS,
                namespace=self._namespace,
                field_selector=f"metadata.name={TRAIL}",
                resource_version=version,
                timeout_seconds=3000,
            )
            async for lines in watch:
                for line in lines:
                    obj = json.loads(line)["object"]
                    version = obj["metadata"]["resourceVersion"]
                    writer = (obj.get("data") or {}).get("writer", "")
                    if writer and self.writers[-1:] != [writer]:
                        self.writers.append(writer)


class Arena:
    """Two replicas, the referee, and the sequence that they write."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        replicas: list[Replica],
        referee: Referee,
        trail: Trail,
    ) -> None:
        self._client = client
        self._key = ObjectKey(namespace, NAME)
        self.replicas = replicas
        self.referee = referee
        self.trail = trail
        self.takeovers: list[float] = []
        self.spurious = 0

    async def data(self) -> dict[str, str]:
        """Return the sequence."""
        found: dict[str, str] = (await self._client.get(CONFIG_MAPS, self._key))["data"]
        return found

    async def ready(self) -> tuple[Replica, Replica]:
        """Have both run and one write; return the leader and the other."""
        async with asyncio.timeout(2 * PATIENCE):
            while True:
                for replica in self.replicas:
                    if not replica.alive:  # a machine under load stops processes for a while, too
                        assert await replica.ended() != 0
                        self.spurious += 1
                        await replica.start()
                leading = [each for each in self.replicas if each.identity == self.referee.holder]
                if leading and leading[0].leading.is_set() and await self._writes(leading[0]):
                    standby = next(each for each in self.replicas if each is not leading[0])
                    if standby.alive and leading[0].alive:
                        return leading[0], standby
                await asyncio.sleep(0.02)

    async def _writes(self, replica: Replica) -> bool:
        return (await self.data())["writers"].split()[-1:] == [replica.identity]

    async def taken_over(self, leader: Replica, standby: Replica) -> None:
        """Wait until the other writes; note how long nobody held the lease."""
        referee = self.referee
        assert await referee.successor(leader.identity) == standby.identity
        self.takeovers.append(referee.began[standby.identity] - referee.renewed[leader.identity])
        async with asyncio.timeout(PATIENCE):
            while not await self._writes(standby):
                await asyncio.sleep(0.005)


@pytest.fixture
async def arena(
    testenv: TestEnv, real_client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Arena]:
    """Two replicas that run."""
    data = {"writers": "", "count": "0"}
    sequence = {"metadata": {"name": NAME, "namespace": namespace}, "data": data}
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    await real_client.create(CONFIG_MAPS, {**head, **sequence}, namespace=namespace)
    empty = {**head, "metadata": {"name": TRAIL}}
    await real_client.create(CONFIG_MAPS, empty, namespace=namespace)
    referee, trail = Referee(real_client, namespace), Trail(real_client, namespace)
    following = [asyncio.create_task(each.follow()) for each in (referee, trail)]
    replicas = [Replica(testenv, namespace, tmp_path / name) for name in ("one", "two")]
    async with AsyncExitStack() as stack:
        for replica in replicas:
            await stack.enter_async_context(replica.relay)
            await replica.prepare()
            await replica.start()
            stack.push_async_callback(replica.kill)
        yield Arena(real_client, namespace, replicas, referee, trail)
    for task in following:
        task.cancel()
    await asyncio.wait(following)


async def check(arena: Arena, what: str, *, late: bool = False) -> None:
    """Nobody who was replaced wrote again, and each time another took over in time.

    ``late``: what was sent in time may arrive afterwards, and then only its precondition helps.
    """
    data = await arena.data()
    trail = arena.trail.writers
    assert len(trail) >= len(arena.takeovers)
    assert late or len(trail) == len(set(trail)), f"{what}: written without the lease: {trail}"
    writers = data["writers"].split()
    again = sorted({name for name in writers if writers.count(name) > 1})
    figures = (
        f"{what}: {len(arena.takeovers)} takeovers, max {max(arena.takeovers):.2f} s, "
        f"median {statistics.median(arena.takeovers):.2f} s, bound {BOUND:.2f} s; "
        f"{data['count']} writes by {len(writers)} writers, {len(again)} of them twice; "
        f"{arena.spurious} leases lost without cause"
    )
    print(figures)
    assert not again, figures
    assert max(arena.takeovers) <= BOUND, figures
    assert len(arena.takeovers) == ROUNDS


async def test_a_killed_leader_is_replaced_in_time_and_never_two_write(arena):
    for _ in range(ROUNDS):
        leader, standby = await arena.ready()
        await leader.kill()
        await arena.taken_over(leader, standby)
        await leader.start()
    await check(arena, "kill -9")


async def test_a_stopped_leader_that_goes_on_after_its_replacement_writes_nothing(arena):
    for _ in range(ROUNDS):
        leader, standby = await arena.ready()
        leader.process.send_signal(signal.SIGSTOP)
        await arena.taken_over(leader, standby)
        leader.process.send_signal(signal.SIGCONT)
        assert await leader.ended() == 1
        assert any("leader election lost" in line for line in leader.lines), leader.lines
        await leader.start()
    await check(arena, "SIGSTOP")


async def test_a_leader_cut_off_ends_before_it_is_replaced_and_nothing_late_counts(arena):
    ways = itertools.cycle((Relay.freeze, Relay.cut))
    for way in itertools.islice(ways, ROUNDS):
        leader, standby = await arena.ready()
        way(leader.relay)
        await arena.taken_over(leader, standby)
        leader.relay.heal()
        assert await leader.ended() == 1
        assert any("leader election lost" in line for line in leader.lines), leader.lines
        await leader.start()
    await check(arena, "network cut", late=True)


async def test_a_leader_that_is_told_to_stop_hands_over_at_once(arena):
    leader, standby = await arena.ready()
    leader.process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    await arena.taken_over(leader, standby)
    assert arena.referee.began[standby.identity] - told < TIMES[2] * 2.2 + 1
    assert await leader.ended() == 0
    data = await arena.data()
    assert len(data["writers"].split()) == len(set(data["writers"].split()))
