"""Points at which a user interferes: groups ``user`` and, for a recreation, ``stale``.

Behind a write, before its answer arrives, somebody does what :mod:`tests.faults.interference` says.
The controller goes on, and looks at all again; where a server was deleted before its database, that
follows. Then the written expectation is held against the world, and the oracles of every point.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

from tests.faults import expectation, oracles
from tests.faults.actions import DATABASE
from tests.faults.experiment import Result, steady, story
from tests.faults.external import wire_of
from tests.faults.interference import Interference, of
from tests.faults.lane import CAP_SECONDS, Lane, Stuck
from tests.faults.recording import Recording, is_counted
from tests.faults.seam import Point, Strike
from tests.faults.stale import RECREATED
from tests.faults.wire import LETTER as SQL
from tests.faults.wire import Turn
from tests.faults.workloads import WORKLOADS, Workload
from tests.fix_operator import DATABASES
from tests.proxy.rules import Hold, Meanwhile

from hybridpg.controller import ApiError


async def disturbed(lane: Lane, point: Point, recording: Recording) -> Result:
    """Run one point; :func:`tests.faults.experiment.experiment` for points of users."""
    workload, what = WORKLOADS[point.workload], of(point.fault)
    began = time.monotonic()
    violations: list[str] = []
    missed = False
    try:
        strike = await _run(lane, workload, point, what)
        missed = not strike.hits
        if missed and is_counted(str(point.call), point.workload):
            violations.append("the point was not reached: the controller took another way")
        violations += [each async for each in _judged(lane, workload, recording, what)]
    except Stuck as stuck:
        violations.append(f"liveness: {stuck}; {_states(lane)}")
    told = story(lane) if violations else []
    lane.setting = ""  # what a user left behind is no setting
    lane.kill()
    return Result(str(point), time.monotonic() - began, violations, told, missed)


async def _run(lane: Lane, workload: Workload, point: Point, what: Interference) -> Strike:
    lane.cap = CAP_SECONDS
    lane.configure(workload)
    await lane.set_up(workload)
    lane.log.write_text("")
    lane.begin()
    strike = _arm(lane, point, what)
    with contextlib.suppress(ApiError):  # what the user meant is not there any more
        await workload.act(lane)
    await lane.until(
        lambda: expectation.ended(lane, workload, what) and lane.quiet(), workload.name
    )
    return strike


def _arm(lane: Lane, point: Point, what: Interference) -> Strike:
    """Let it happen while the call is under way."""
    strike = Strike(point)

    async def happen() -> None:
        lane.trace.stir()
        await what.act(lane)
        lane.trace.stir()

    async def rule(turn: Turn) -> None:
        strike.hit()
        if point.fault == RECREATED:
            await happen()
            turn.forward()
            return
        await turn.commit()
        await happen()
        turn.release()

    if point.call.seam == SQL:
        wire_of(lane).at(point.call, rule)
        return strike
    before = point.fault == RECREATED
    return lane.kube.strike(strike, Hold(_First(happen)) if before else Meanwhile(happen))


class _First(asyncio.Event):
    """What a call waits for: that something else was done."""

    def __init__(self, happen: object) -> None:
        super().__init__()
        self._happen = happen

    async def wait(self) -> bool:  # type: ignore[override]  # typeshed: Literal[True]
        """Do it."""
        assert callable(self._happen)
        await self._happen()
        return True


async def _judged(
    lane: Lane, workload: Workload, wanted: Recording, what: Interference
) -> AsyncIterator[str]:
    for seam in lane.seams:
        seam.clear()

    def over() -> bool:
        return expectation.ended(lane, workload, what) and lane.quiet()

    await lane.resync()
    await lane.until(over, "the look at what was done")
    if expectation.orphaned(lane):
        yield "E the server went before its database"
    server_gone = expectation.server_waits(lane)
    if server_gone:
        await lane.view.delete(DATABASES, DATABASE)
        await lane.until(
            lambda: expectation.nobody_left(lane) and lane.quiet(), "the deletion of all"
        )
    for violation in _of_the_run(lane, workload, wanted, what):
        yield violation
    async for violation in steady(lane):
        yield violation
    said = lane.log.read_text(errors="replace")
    server_gone = server_gone or expectation.nobody_left(lane)

    def at_rest() -> list[str]:
        found = expectation.judge(lane, workload, wanted, what, server_gone=server_gone)
        rest = (oracles.o3_logins(lane), oracles.o9_no_leaks(lane, said))
        return [
            *found,
            *(each for part in rest for each in part),
            *oracles.o10_clean_log(lane, said),
        ]

    for violation in await asyncio.to_thread(at_rest):
        yield violation


def _of_the_run(
    lane: Lane, workload: Workload, wanted: Recording, what: Interference
) -> Iterator[str]:
    yield from oracles.o7_live_reads(lane)
    if what.spoils_login or what.drops_rows:
        return
    yield from oracles.o11_some_password_works(lane, workload)
    verifiers = len(lane.sampler.verifiers(DATABASE))
    if verifiers > wanted.verifiers:
        yield f"O4 the role had {verifiers} passwords, not {wanted.verifiers}"


def _states(lane: Lane) -> str:
    return ", ".join(f"{obj['kind']} {expectation.reason(obj)}" for obj in lane.view.objects())
