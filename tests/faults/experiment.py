"""One run of a workload on a lane: undisturbed, to record it, or with one fault."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from tests.faults import oracles, stale
from tests.faults.actions import LOCAL, NOTHING
from tests.faults.lane import CAP_SECONDS, HANG_SECONDS, Lane, Stuck, keeps_setting
from tests.faults.programs import LETTER as PROGRAMS
from tests.faults.recording import Recording, is_counted, take
from tests.faults.seam import STALE, Point, Seen, Strike
from tests.faults.workloads import WORKLOADS, Workload

RESYNCS = 2
FORBIDDEN = ("403", "42501")
"""What nobody but an administrator can mend is tried again after a minute, or once it is touched:
no point has a minute."""
NUDGE_SECONDS = 0.5
SILENT = ("silence", "no-bookmarks")
"""Faults of a watch that nothing but its silence gives away, which by default takes 90 s."""


@dataclass
class Result:
    """How a point went; ``violations`` empty is what is wanted."""

    point: str
    seconds: float
    violations: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """What happened, for whoever looks for the reason."""
    missed: bool = False
    """Whether the call did not come, so that nothing went wrong."""


async def record(lane: Lane, name: str) -> tuple[Recording, Result]:
    """Run a workload with nothing going wrong and describe it."""
    workload = WORKLOADS[name]
    began = time.monotonic()
    try:
        await _run(lane, workload, None)
    except Stuck as stuck:
        raise Stuck(f"{stuck}\n" + "\n".join(story(lane))) from stuck
    recording = take(lane, workload)
    violations = [v async for v in judged(lane, workload, recording)]
    if recording.verifiers != workload.passwords:
        violations.append(f"O4 the role has {recording.verifiers} passwords undisturbed")
    if workload.backend == LOCAL and workload.setting == NOTHING and PROGRAMS not in _seams(lane):
        violations.append("the programs were not run through their seam")
    lane.setting = "" if violations else keeps_setting(workload)
    seconds = time.monotonic() - began
    return recording, Result(f"{name} | undisturbed", seconds, violations, story(lane))


def _seams(lane: Lane) -> set[str]:
    return {seen.call.seam for seen in lane.trace.seen}


async def experiment(lane: Lane, point: Point, recording: Recording) -> Result:
    """Let one thing go wrong in a workload and see what that leads to."""
    workload = WORKLOADS[point.workload]
    began = time.monotonic()
    violations: list[str] = []
    missed = False
    try:
        strike = await _run(lane, workload, point)
        missed = strike is not None and not strike.hits
        if missed and is_counted(str(point.call), point.workload):
            violations.append("the point was not reached: the controller took another way")
        violations += [v async for v in judged(lane, workload, recording)]
    except Stuck as stuck:
        violations.append(f"liveness: {stuck}")
    told = story(lane) if violations else []
    if violations or point.workload != recording.workload:
        lane.kill()
    lane.setting = "" if violations else keeps_setting(workload)
    return Result(str(point), time.monotonic() - began, violations, told, missed)


async def _run(lane: Lane, workload: Workload, point: Point | None) -> Strike | None:
    hangs = point is not None and point.call.seam == "S" and point.fault.kind.startswith("hang")
    lane.cap = HANG_SECONDS if hangs else CAP_SECONDS
    lane.configure(workload, silence=1.0 if point and point.fault.kind in SILENT else 90.0)
    await lane.set_up(workload)
    lane.log.write_text("")
    lane.begin()
    strike = None
    if point is not None:
        strike = _arm(lane, point)
    async with _granting(lane, strike) as granted:
        await workload.act(lane)
        await lane.settled(workload)
        if strike is not None and strike.hits and granted is not None:
            await granted
            await lane.settled(workload)
    return strike


def _arm(lane: Lane, point: Point) -> Strike:
    if point.fault.group == STALE:
        return stale.arm(lane, point)
    seam = next(each for each in lane.seams if each.letter == point.call.seam)
    return seam.arm(point, lane)


@contextlib.asynccontextmanager
async def _granting(lane: Lane, strike: Strike | None) -> AsyncIterator[asyncio.Task[None] | None]:
    """Grant what a strike forbids, once it did; yields nothing where that is not its kind."""
    if strike is None or strike.point.fault.kind not in FORBIDDEN:
        yield None
        return
    granting = asyncio.create_task(_grant(lane, strike), name="grant")
    try:
        yield granting
    finally:
        granting.cancel()


async def _grant(lane: Lane, strike: Strike) -> None:
    """Touch all objects once the right was missing."""
    await strike.struck.wait()
    await asyncio.sleep(NUDGE_SECONDS)
    if "EXTENSION" in strike.point.call.target:
        lane.kill()  # that an extension was refused is known for some minutes, by this process
    await lane.nudge()


async def judged(lane: Lane, workload: Workload, wanted: Recording) -> AsyncIterator[str]:
    """Yield every violation, after two forced resyncs."""
    for seam in lane.seams:
        seam.clear()
    await lane.view.up_to_date()
    for violation in _of_the_run(lane, workload, wanted):
        yield violation
    async for violation in steady(lane):
        yield violation
    said = lane.log.read_text(errors="replace")
    # in a thread: the logins go through the seams, which live here
    for violation in await asyncio.to_thread(lambda: [*at_rest(lane, workload, wanted, said)]):
        yield violation


async def steady(lane: Lane) -> AsyncIterator[str]:
    """Have a controller look at everything again, twice, and yield what it writes."""
    for _ in range(RESYNCS):
        begin = await lane.resync()
        for violation in oracles.o8_steady(lane, lane.trace.seen[begin:]):
            yield violation
    await lane.view.up_to_date()


def _of_the_run(lane: Lane, workload: Workload, wanted: Recording) -> Iterator[str]:
    yield from oracles.o4_verifiers(lane, workload, wanted)
    yield from oracles.o6_counts(lane, wanted)
    yield from oracles.o7_live_reads(lane)
    yield from oracles.o11_some_password_works(lane, workload)


def at_rest(lane: Lane, workload: Workload, wanted: Recording, said: str) -> Iterator[str]:
    """Yield where the world is not that of a clean run; ``said`` is the controller's log."""
    yield from oracles.o1_same_objects(lane, wanted)
    yield from oracles.o2_same_databases(lane, wanted)
    yield from oracles.sentinel(lane, workload, wanted)
    yield from oracles.o3_logins(lane)
    yield from oracles.o9_no_leaks(lane, said)
    yield from oracles.o10_clean_log(lane, said)


def story(lane: Lane) -> list[str]:
    """Return the calls and what the controller said: how it came to the violation."""
    began = lane.trace.seen[0].at if lane.trace.seen else 0.0
    calls = [_line(seen, began) for seen in lane.trace.seen]
    return [*calls, *lane.log.read_text(errors="replace").splitlines()[-60:]]


def _line(seen: Seen, began: float) -> str:
    answer = f" -> {seen.answer}" if seen.answer else ""
    return f"{seen.at - began:8.3f} [{seen.child}] {seen.call}{answer} {seen.detail[:160]}"
