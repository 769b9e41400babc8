"""What can happen to a leader at a call: its points in the matrix."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from tests.faults.seam import LEADERS, Fault, Point, Seen

ANSWERED: Final = Fault(LEADERS, "answered")
"""The leader stands still when the call was carried out, and goes on with its answer when another
one has done all the work: right before whatever it does next."""
LATE: Final = Fault(LEADERS, "late")
"""The leader stands still when the call has left it, and it arrives when all was done already."""
LEASE_DELETED: Final = Fault(LEADERS, "lease-deleted")
LEASE_EDITED: Final = Fault(LEADERS, "lease-edited")
"""Somebody does that by hand while the call is under way."""
LEASE_ANSWERS: Final = tuple(
    Fault(LEADERS, f"lease-{kind}") for kind in ("hangs", "resets", "409", "503", "html")
)
"""The lease cannot be renewed from then on, while everything else still works."""
CLOCK_FORWARD: Final = Fault(LEADERS, "clock+1h")
CLOCK_BACK: Final = Fault(LEADERS, "clock-1h")
"""The wall clock of the leader is stepped, and nothing else happens."""
CLOCKS: Final = (CLOCK_FORWARD, CLOCK_BACK)
REPLACES_NOBODY: Final = (LEASE_DELETED, *CLOCKS)
"""After these the leader may go on."""
LEASE_FAULTS: Final = (*LEASE_ANSWERS, LEASE_DELETED, LEASE_EDITED)
READS: Final = ("GET", "SELECT")
SAMPLE: Final = 20
"""Points of the gate: each takes as long as a lease and a workload."""


def faults(seen: Seen) -> Sequence[Fault]:
    """Return what can happen at a call of a clean run.

    Of the troubles with the lease, and of the two steps of the clock, each call has one, which its
    name decides: all calls together have them all.
    """
    if "/events" in seen.call.target:
        return ()
    if seen.writes:
        number = zlib.crc32(str(seen.call).encode())
        lease, clock = LEASE_FAULTS[number % len(LEASE_FAULTS)], CLOCKS[number % len(CLOCKS)]
        return (ANSWERED, LATE, lease, clock)
    return (ANSWERED,) if seen.call.verb in READS else ()


def sampled(points: Sequence[Point]) -> list[Point]:
    """Return so many points as the gate has time for, evenly from all workloads and kinds."""
    ordered = sorted(points, key=lambda point: zlib.crc32(str(point).encode()))
    writes = [point for point in ordered if point.call.verb not in READS]
    chosen: list[Point] = []
    taken: set[tuple[str, Fault]] = set()
    for point in writes:
        what = (point.workload, point.fault)
        if what not in taken and len(chosen) < SAMPLE:
            chosen.append(point)
            taken.add(what)
    return chosen
