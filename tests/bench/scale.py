"""Thousands of databases on one real PostgreSQL, with a real API server between it and its users.

Half of the databases are there before the clock starts. The other half is created at once while
people edit what is there, and while other servers accept connections and never answer. The floor
is what one connection takes for the same number of bare ``CREATE DATABASE`` in the same run, half
of them before and half after.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

from tests.fix_postgres import PgServer

from hybridpg.app.kinds import DATABASES, SERVERS
from hybridpg.controller import Conflict, MergePatch, ObjectKey

from .figures import Figures
from .scene import HUNG, LONGEST, TEAMS, WRITERS, Scene, database, key_of, log, scene, write_all

WAITING = 4
"""Objects that wait for a server, for each database."""
EDIT_EVERY = 0.1
"""Seconds between two edits: more than a thousand while everything is created."""
QUIET_SECONDS = 3.0
SETTLING = 180.0
"""Seconds after which something must be at rest; a hung server's objects are shown once each."""


def bare(pg: PgServer, first: int, count: int) -> float:
    """Return the seconds that one connection takes for the statements alone.

    What it makes stays until the end: ext4 does not use an inode again that was freed in the last
    minutes, and to search on among thousands of them takes as long as to make a database.
    """
    with pg.connect("postgres", "postgres", pg.password) as connection:
        began = time.perf_counter()
        for number in range(first, first + count):
            connection.execute(f"CREATE DATABASE bare_{number} TEMPLATE template0".encode())
        return time.perf_counter() - began


async def edits(scene: Scene, existing: int, stop: asyncio.Event) -> list[float]:
    """Edit a database now and then; return how long each took to be handled, in seconds."""
    took: list[float] = []
    chance = random.Random(1)
    under_way: set[asyncio.Task[None]] = set()

    async def edit(number: int, policy: str) -> None:
        key = key_of(number)
        began = time.monotonic()
        body = MergePatch({"spec": {"deletionPolicy": policy}})
        try:
            changed = await scene.client.patch(DATABASES, key, body)
        except Conflict:
            return
        generation = changed["metadata"]["generation"]
        seen = scene.view.observed
        await scene.view.until(f"edit of {key}", lambda: seen.get(key, -1) >= generation)
        took.append(time.monotonic() - began)

    count = 0
    while not stop.is_set():
        policy = "Retain" if (count // existing) % 2 else "Delete"
        task = asyncio.create_task(edit(chance.randrange(existing), policy))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        count += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EDIT_EVERY)
    await asyncio.gather(*under_way)
    return took


async def create(scene: Scene, numbers: range) -> float:
    """Create databases at once; return the seconds until the last one is Ready."""
    began = time.monotonic()
    keys = {key_of(number) for number in numbers}
    await write_all(scene.client, DATABASES, [database(key_of(number)) for number in numbers])
    log(f"{len(numbers)} objects are written after {time.monotonic() - began:.1f} s")
    await scene.view.until("not all are Ready", lambda: keys <= scene.view.ready)
    return time.monotonic() - began


def percentile(values: list[float], part: float) -> float:
    """The value that this part of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def still(scene: Scene, seconds: float = QUIET_SECONDS) -> None:
    """Wait until no object has changed for a while."""
    while time.monotonic() - scene.view.last < seconds:
        await asyncio.sleep(0.2)


async def settled(scene: Scene) -> None:
    """Wait until what the creation left behind is over: events, the servers that hang, vacuum.

    Raises:
        AssertionError: something is written again and again.
    """
    pg, began, since = scene.pg, time.monotonic(), time.monotonic()
    last: tuple[int, ...] = ()
    while time.monotonic() - since < QUIET_SECONDS:
        assert time.monotonic() - began < SETTLING, f"there is no rest: {last}"
        vacuums = pg.run("SELECT 1 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'")
        # those that hang are told of one by one, when their connect timeout is over
        now = (scene.controller.writes(), transactions(pg), await unreachable(scene))
        if now != last or vacuums or now[2] < HUNG:
            last, since = now, time.monotonic()
        await asyncio.sleep(0.2)


async def unreachable(scene: Scene) -> int:
    """Return how many servers are known to hang."""
    servers = [item.decode() for item in (await scene.client.list(SERVERS)).items]
    conditions = [c for obj in servers for c in (obj.get("status") or {}).get("conditions") or []]
    return sum((c["type"], c["reason"]) == ("Ready", "Unreachable") for c in conditions)


def transactions(pg: PgServer) -> int:
    """The id of the next transaction that writes."""
    return int(pg.run("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0][0])


async def steady(scene: Scene, count: int) -> Figures:
    """Let everything be looked at, all at once; return writes and round trips of SQL.

    The first time each database is looked into, which is due once an hour; the second time is
    what a resync costs.
    """
    pg = scene.pg
    pg.run("ALTER SYSTEM SET autovacuum = off")  # it would be taken for the controller
    pg.run("ALTER SYSTEM SET log_statement = 'all'")
    pg.run("SELECT pg_reload_conf()")
    await touch(scene, count, "warm")
    await settled(scene)
    before, first = scene.controller.writes(), transactions(pg)
    with pg.statements() as sent:
        seconds = await touch(scene, count, "checked")
        requests, written = scene.controller.writes() - before, transactions(pg) - first
    log(
        f"check of {count} in {seconds:.1f} s: {len(sent)} round trips, "
        f"{requests} writes to the API server, {written} of SQL"
    )
    pg.run("ALTER SYSTEM SET log_statement = 'none'")
    pg.run("SELECT pg_reload_conf()")
    return {"db.steady.writes": requests + written, "db.check.roundtrips": len(sent)}


async def touch(scene: Scene, count: int, label: str) -> float:
    """Label every database, so that a pass is made of each; return the seconds until all were."""
    began, passes = time.monotonic(), scene.controller.passes()
    body = MergePatch({"metadata": {"labels": {label: "yes"}}})
    left = iter(range(count))

    async def write() -> None:
        for number in left:
            await scene.client.patch(DATABASES, key_of(number), body)

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    done = scene.controller.passes
    while done() - passes < count:
        assert time.monotonic() - began < LONGEST, "not every object is looked at"
        await asyncio.sleep(0.2)
    seconds = time.monotonic() - began
    await still(scene)
    return seconds


async def creation(scene: Scene, count: int) -> Figures:
    """Create half of the databases at once, while others are edited."""
    half = count // 2
    log(f"memory at the start {scene.controller.memory():.1f} MiB")
    seconds = await create(scene, range(half))
    log(f"memory {scene.controller.memory():.1f} MiB")
    log(f"the first half: {1e3 * seconds / half:.1f} ms a database")
    before = await asyncio.to_thread(bare, scene.pg, 0, half // 2)
    stop, cpu = asyncio.Event(), scene.controller.cpu()
    editing = asyncio.create_task(edits(scene, half, stop))
    seconds = await create(scene, range(half, count))
    stop.set()
    took = await editing
    cpu = scene.controller.cpu() - cpu
    after = await asyncio.to_thread(bare, scene.pg, half, half - half // 2)
    floor = before + after
    log(
        f"the other half: {1e3 * seconds / half:.1f} ms a database, bare {1e3 * floor / half:.1f}, "
        f"ratio {seconds / floor:.2f}, of the controller's processor {1e3 * cpu / half:.1f} ms; "
        f"{len(took)} edits, p50 {percentile(took, 0.5):.3f} s, p99 {percentile(took, 0.99):.3f}, "
        f"at most {max(took):.1f} s"
    )
    return {
        "db.create.ratio": seconds / half * 1e3,
        "db.create.ratio@floor": floor / half * 1e3,
        "db.edit.p99": percentile(took, 0.99),
    }


async def crowd(scene: Scene, count: int) -> Figures:
    """Add what waits for a server, and return the memory that all of it takes."""
    names = {ObjectKey(f"team-{n % TEAMS}", f"waits-{n}") for n in range(WAITING * count)}
    await write_all(scene.client, DATABASES, [database(key, "later") for key in names])
    await scene.view.until("not all are seen", lambda: scene.view.shown >= names)
    await still(scene)
    memory = scene.controller.memory()
    log(f"{(1 + WAITING) * count} objects: {memory:.1f} MiB")
    return {"rss.10k": memory}


async def sample(count: int) -> Figures:
    """All figures of one scene with so many databases."""
    # half as many more are the bare ones
    async with scene(count + count // 2) as made:
        figures = await creation(made, count)
        figures |= await steady(made, count)
        return figures | await crowd(made, count)
