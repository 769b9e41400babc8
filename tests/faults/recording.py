"""What an undisturbed run of a workload is: its calls, and the world that it leaves behind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults import fields, interference, snapshot, stale, standing
from tests.faults.actions import DATABASE, LOCAL, UNTOUCHED
from tests.faults.kube import is_poll
from tests.faults.lane import Lane
from tests.faults.pasts import shows_deletion
from tests.faults.programs import FAILED
from tests.faults.programs import LETTER as PROGRAMS
from tests.faults.seam import Call, Fault, Point, Seen
from tests.faults.workloads import WORKLOADS, Workload

POLLS = 2
"""Of what the clock does as often as there is time for, so many are points."""
EVENTS = "/events.k8s.io/"
CHECK = ("RUN", "postgres")
"""A configuration is shown to the program before it is written."""
CREATES = ("CREATE DATABASE", "CREATE ROLE", "DROP DATABASE", "DROP ROLE")


@dataclass
class Recording:
    """The reference that every point of a workload is held against."""

    workload: str
    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    """Each call with the faults that can happen at it."""
    kubernetes: dict[str, Any] = field(default_factory=dict)
    postgres: dict[str, Any] = field(default_factory=dict)
    published: int = 0
    """How many passwords the Secret of the database published."""
    verifiers: int = 0
    """How many passwords its role had."""
    oids: int = 0
    """How many databases of that name there were."""
    statements: dict[str, int] = field(default_factory=dict)
    """How often something was made or dropped."""
    sometimes: list[str] = field(default_factory=list)
    """Calls of one clean run alone."""

    def differs_from(self, other: Recording) -> list[str]:
        """Return the calls of one of two clean runs alone, of those that come in each."""
        one, two = ({call for call, _ in each.calls} for each in (self, other))
        return sorted(call for call in one ^ two if is_counted(call, self.workload))

    def merge(self, other: Recording) -> None:
        """Keep as points what both runs called: only that can be relied on."""
        theirs = dict(other.calls)
        self.sometimes += dict(self.calls).keys() ^ theirs.keys()
        self.calls = [(call, faults) for call, faults in self.calls if call in theirs]

    def points(self) -> list[Point]:
        """Return everything that can go wrong, in order."""
        return [
            Point.parse(f"{self.workload} | {call} | {Fault.parse(fault)}")
            for call, faults in self.calls
            for fault in faults
        ]


def is_counted(call: str, workload: str) -> bool:
    """Return whether a call comes as often in each clean run.

    Reads do not: two wakes of an object can be one pass or two, and a young enough view of a server
    is not read again. Nor does what tells of work that goes on behind a pass: how often it is
    looked at depends on how long it takes.
    """
    verb, target = Call.parse(call).verb, Call.parse(call).target
    if WORKLOADS[workload].backend == LOCAL and (
        verb in ("EVENT", "LIST") or target.endswith("/status") or EVENTS in target
    ):
        return False
    return verb not in ("GET", "SELECT", "SHOW", "LOGIN") and (verb, target) != CHECK


def comparable(call: str, workload: str) -> str:
    """Return a call as it stands in the list: of one that is not counted its occurrence is open."""
    return call if is_counted(call, workload) else call.rpartition(" #")[0]


def take(lane: Lane, workload: Workload) -> Recording:
    """Describe the run that has just ended, from the action to its settlement."""
    return Recording(
        workload.name,
        calls_of(lane, workload, lane.trace.seen) if workload.name != UNTOUCHED else fields.calls(),
        snapshot.of_kubernetes(lane.view.current.items(), lane.names),
        lane.world(),
        len(lane.view.published_by(workload.login)),
        len(lane.sampler.verifiers(workload.role)),
        len(lane.sampler.oids(DATABASE)),
        statements(lane.trace.seen),
    )


def calls_of(lane: Lane, workload: Workload, seen: list[Seen]) -> list[tuple[str, list[str]]]:
    """Return the identities of calls, sorted: what runs side by side has no order."""
    seams = {seam.letter: seam for seam in lane.seams}
    last = stale.last_write(seen)
    deletes = any(map(shows_deletion, lane.view.moments))
    found = {
        str(each.call): [
            str(fault)
            for fault in (
                *seams[each.call.seam].faults(each),
                *standing.faults(each),
                *stale.faults(each, last, deletes=deletes),
                *interference.faults(each),
            )
            if fault.group in workload.groups
        ]
        for each in seen
        if not (lane.kube.polls and is_poll(each) and each.call.occurrence > POLLS)
    }
    return sorted(found.items())


def statements(seen: list[Seen]) -> dict[str, int]:
    """Count what makes and drops things on the server."""
    counted: Counter[str] = Counter()
    for each in seen:
        for what in CREATES:
            if each.call.seam == "S" and what in each.call.target and each.answer != "42P04":
                counted[what] += 1
        if each.call.seam == PROGRAMS and each.writes and each.answer != FAILED:
            counted[each.call.target] += 1
    return dict(counted)
