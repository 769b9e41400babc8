"""A leader that is replaced in the middle of its work and goes on too late.

At a call of a workload the leader stands still, or cannot renew its lease any more. The standby
takes over and finishes, and then the leader goes on where it was. What counts is the outcome: the
world of an undisturbed run, and no write of the old leader at any seam after the first one of the
new.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import Final

from tests.faults import standing
from tests.faults.actions import DATABASE
from tests.faults.experiment import Result, judged
from tests.faults.external import wire_of
from tests.faults.lane import Lane, Stuck, keeps_setting
from tests.faults.oracles import BAD_LOG
from tests.faults.recording import Recording
from tests.faults.replicas import NAME, Pair, Spurious, two_replicas
from tests.faults.sampler import accepts
from tests.faults.seam import Fault, Point, Strike
from tests.faults.standing import (
    ANSWERED,
    CLOCK_BACK,
    CLOCK_FORWARD,
    CLOCKS,
    LATE,
    LEASE_ANSWERS,
    LEASE_DELETED,
    LEASE_EDITED,
    REPLACES_NOBODY,
)
from tests.faults.wire import LETTER, Turn
from tests.faults.workloads import WORKLOADS, Workload
from tests.proxy.rules import FOR_EVER, Answer, Do, Hang, Hold, Lose, What

from hybridpg.controller import LEASES, Client, MergePatch, NotFound, ObjectKey

TRIES: Final = 3
"""A busy machine can cost a leader its lease of one second before the point has come."""
ARRIVAL_SECONDS: Final = 0.05
"""For what was held back to arrive before the leader goes on."""
REFUSED: Final = "409"
LOST: Final = "LeaseLost: leader election lost"
VERIFIERS: Final = "O4 the role had"
LEASE_PATH: Final = "*/leases*"
RENEWALS: Final = ("GET", "PUT", "POST")
STEPS: Final = {CLOCK_FORWARD: timedelta(hours=1), CLOCK_BACK: timedelta(hours=-1)}


def _status(code: int) -> Answer:
    body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d}' % code
    return Answer(code, body)


TROUBLES: Final[Mapping[Fault, What]] = dict(
    zip(
        LEASE_ANSWERS,
        (
            Hang(),
            Lose(),
            _status(409),
            _status(503),
            Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
        ),
        strict=True,
    )
)


async def replaced(lane: Lane, point: Point, recording: Recording) -> Result:
    """Run one point; :func:`tests.faults.experiment.experiment` for points of leaders."""
    began = time.monotonic()
    for left in reversed(range(TRIES)):
        try:
            violations, told = await _once(lane, point, recording)
        except Spurious as spurious:
            # what is read depends on the age of what is known already
            reads = point.call.verb in standing.READS
            violations, told = [] if reads else [f"liveness: {spurious}"], []
            lane.setting = ""
            if left:
                continue
        break
    lane.setting = "" if violations else keeps_setting(WORKLOADS[point.workload])
    return Result(str(point), time.monotonic() - began, violations, told)


async def _once(lane: Lane, point: Point, recording: Recording) -> tuple[list[str], list[str]]:
    workload = WORKLOADS[point.workload]
    violations: list[str] = []
    told: list[str] = []
    try:
        lane.configure(workload)
        lane.setting = ""  # what a point before left may lack what only a fresh one has
        await lane.set_up(workload)
        lane.kill()
        lane.log.write_text("")
        async with two_replicas(lane) as pair:
            try:
                await _run(pair, point, workload)
                violations += _overlap(pair, frozen=point.fault in (ANSWERED, LATE))
                violations += _ends(pair, point)
                wire_of(lane).child_of = None  # from here on there is one again
                same = point.fault == LATE and _same_passwords(lane, recording)
                violations += [
                    each
                    async for each in judged(lane, workload, recording)
                    if not (same and each.startswith(VERIFIERS))
                ]
            finally:
                told = _story(pair)
    except Stuck as stuck:
        violations.append(f"liveness: {stuck}")
    return violations, told if violations else []


async def _run(pair: Pair, point: Point, workload: Workload) -> None:
    """Run the workload to its end, with the leader replaced in the middle of it."""
    lane = pair.lane
    for each in (pair.leader, pair.standby):
        each.seam.begin()
    lane.begin()
    strike = _arm(pair, point)
    if point.fault not in REPLACES_NOBODY:
        pair.strike(pair.leader)
    acting = asyncio.ensure_future(workload.act(lane))

    def past() -> bool:
        return pair.standby.seam.leads or (acting.done() and pair.over(workload))

    try:
        await lane.until(lambda: strike.struck.is_set() or past(), "the point")
        if not strike.hits:
            raise Spurious("the leader lost its lease before the point, or took another way")
        if point.fault not in REPLACES_NOBODY:
            await lane.until(lambda: pair.standby.seam.leads, "the takeover")
        await lane.until(acting.done, "the action of the user")
        await acting
    finally:
        acting.cancel()
    await lane.until(lambda: pair.over(workload), workload.name)
    pair.let_go.set()
    await asyncio.sleep(ARRIVAL_SECONDS)
    pair.leader.thaw()
    if point.fault in CLOCKS and pair.standby.seam.leads:
        raise Spurious("the leader lost its lease where only its clock was stepped")
    if point.fault not in REPLACES_NOBODY:
        await lane.until(lambda: not pair.leader.child.alive, "the end of the old leader")
    pair.strike(None)
    await lane.until(lambda: pair.over(workload), workload.name)


def _arm(pair: Pair, point: Point) -> Strike:
    """Let it happen when the call comes."""
    strike = Strike(point)
    happen = _happening(pair, point.fault)
    if point.call.seam == LETTER:
        wire_of(pair.lane).at(point.call, _at_wire(pair, point.fault, strike, happen))
    elif point.fault == ANSWERED:
        pair.leader.seam.strike(strike, Do(pair.leader.freeze, committed=True))
    else:
        pair.leader.seam.strike(strike, Hold(_Gate(pair, point.fault, happen)))
    return strike


class _Gate(asyncio.Event):
    """Where a call waits until it may go on; what happens meanwhile begins with the wait."""

    def __init__(self, pair: Pair, fault: Fault, happen: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._pair = pair
        self._fault = fault
        self._happen = happen

    async def wait(self) -> bool:  # type: ignore[override]  # typeshed: Literal[True]
        """Let it happen, and wait."""
        await self._happen()
        if self._fault not in REPLACES_NOBODY:
            await self._pair.let_go.wait()
        return True


def _at_wire(
    pair: Pair, fault: Fault, strike: Strike, happen: Callable[[], Awaitable[None]]
) -> Callable[[Turn], Awaitable[None]]:
    async def rule(turn: Turn) -> None:
        strike.hit()
        if fault == ANSWERED:
            await turn.commit()
            pair.leader.freeze()
            turn.release()
            return
        await happen()
        if fault in REPLACES_NOBODY:
            turn.forward()
            return
        await pair.let_go.wait()
        if fault != LATE:
            turn.reset()  # who sent it has ended
        turn.forward()

    return rule


def _happening(pair: Pair, fault: Fault) -> Callable[[], Awaitable[None]]:
    """Return what happens to the leader, or to its lease, while the call is under way."""
    client, key = pair.lane.client, ObjectKey(pair.lane.platform, NAME)

    async def freeze() -> None:
        pair.leader.freeze()

    async def trouble() -> None:
        pair.leader.seam.add(TROUBLES[fault], verbs=RENEWALS, target=LEASE_PATH, times=FOR_EVER)

    async def delete() -> None:
        await _delete(client, key)

    async def edit() -> None:
        body = {"spec": {"holderIdentity": "somebody"}}
        await client.patch(LEASES, key, MergePatch(body))

    async def step() -> None:
        pair.clock.step(STEPS[fault])

    what = {LEASE_DELETED: delete, LEASE_EDITED: edit, LATE: freeze, ANSWERED: freeze}
    return what.get(fault, step if fault in CLOCKS else trouble)


async def _delete(client: Client, key: ObjectKey) -> None:
    try:
        await client.delete(LEASES, key)
    except NotFound:
        return


def _same_passwords(lane: Lane, wanted: Recording) -> bool:
    """Return whether the role had as many passwords as it should, and no other than published.

    What arrives late may set the new password once more, with another salt: another verifier of
    the same password locks nobody out.
    """
    published = lane.view.published()
    had = [
        next((password for password in published if accepts(verifier, password)), None)
        for verifier in lane.sampler.verifiers(DATABASE)
    ]
    return None not in had and len({*had}) == wanted.verifiers


def _overlap(pair: Pair, *, frozen: bool) -> Iterator[str]:
    """Invariant 10: nothing is begun by the old leader once the new one has written.

    One that is ``frozen`` can be so between its last look at the clock and the system call that
    sends: such a request, one at most, must be refused by its precondition.
    """
    writes = [each for each in pair.lane.trace.writes() if "/events" not in each.call.target]
    its = (each.at for each in writes if each.child == pair.standby.number)
    taken_over = next(its, math.inf)
    late = [each for each in writes if each.child == pair.leader.number and each.at > taken_over]
    if not (frozen and [each.answer for each in late] == [REFUSED]):
        for each in late:
            yield f"L the old leader wrote after the new one: {each.call} -> {each.answer}"
    for each in writes:
        if each.child not in (pair.leader.number, pair.standby.number):
            yield f"L nobody knows who wrote {each.call}"


def _ends(pair: Pair, point: Point) -> Iterator[str]:
    """A leader that was replaced says so and ends; neither says what nobody was prepared for."""
    if not pair.leader.child.alive and LOST not in pair.leader.said:
        yield f"L the old leader ended otherwise: {pair.leader.said[-500:]}"
    # behind the log of the old leader is how it ended
    logged = [line for line in pair.leader.said.splitlines() if line.startswith("{")]
    for line in (*pair.standby.said.splitlines(), *logged):
        if BAD_LOG.search(line):
            yield f"L the log says: {line[:500]}"


def _story(pair: Pair) -> list[str]:
    seen = pair.lane.trace.seen
    began = seen[0].at if seen else 0.0
    lines = [
        f"{s.at - began:8.3f} [{s.child}] {s.call} -> {s.answer} {s.detail[:120]}" for s in seen
    ]
    for each in (pair.leader, pair.standby):
        lines += [f"replica {each.number}", *each.said.splitlines()[-40:]]
    return lines
