"""Which points the gate runs: all crashes, and a sample of what else can happen."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from tests.faults import standing
from tests.faults.actions import LOCAL
from tests.faults.programs import LETTER as PROGRAMS
from tests.faults.seam import CRASH, LEADERS, SPEC, STALE, USER, Point
from tests.faults.workloads import WORKLOADS

SAMPLED = {STALE: 60, USER: 50, SPEC: 30}
"""Groups of which so many points run: a point takes several seconds, and there are hundreds."""
LOCALS = 20
"""Points of servers that are made, besides those around their programs."""
EACH = 2
"""At one in so many calls something else than a crash happens: there is a quarter of an hour."""


def gate(points: Sequence[Point]) -> list[Point]:
    """Return all crashes, at every :data:`EACH`-th call one other fault, and samples of the rest.

    It is always the same: which call and which kind comes from the name of the call, so that all
    kinds come about equally often. Points with two leaders take several times as long.
    """
    chosen = _of_local([p for p in points if WORKLOADS[p.workload].backend == LOCAL])
    points = [p for p in points if WORKLOADS[p.workload].backend != LOCAL]
    for _, group in groupby(points, key=lambda point: (point.workload, point.call)):
        here = list(group)
        chosen += [point for point in here if point.fault.group == CRASH]
        others = [
            point
            for point in here
            if point.fault.group not in (CRASH, *SAMPLED, LEADERS) and not _is_slow(point)
        ]
        number, rest = divmod(zlib.crc32(str(here[0].call).encode()), EACH)
        if others and not rest:
            chosen.append(others[number % len(others)])
    chosen += standing.sampled([p for p in points if p.fault.group == LEADERS])
    for name, count in SAMPLED.items():
        chosen += spread([p for p in points if p.fault.group == name], count)
    return chosen


def _of_local(points: Sequence[Point]) -> list[Point]:
    """Return the crashes around each program, and a sample of the rest: each makes a server."""
    first = [p for p in points if p.call.seam == PROGRAMS and p.fault.group == CRASH]
    rest = [p for p in points if p not in first and not _is_slow(p)]
    return first + spread(rest, LOCALS)


def spread(points: Sequence[Point], count: int) -> list[Point]:
    """Return so many points, evenly from all workloads and kinds, and always the same.

    The first of every kind in every workload come before the second of any.
    """
    seen: Counter[tuple[str, str]] = Counter()
    ranked: list[tuple[int, int, Point]] = []
    for point in sorted(points, key=lambda point: zlib.crc32(str(point).encode())):
        what = (point.workload, point.fault.kind)
        ranked.append((seen[what], len(ranked), point))
        seen[what] += 1
    return [point for *_, point in sorted(ranked)[:count]]


def _is_slow(point: Point) -> bool:
    """Return whether a point waits for the limit of a statement, which is half a minute."""
    return point.call.seam == "S" and point.fault.kind.startswith("hang")
