"""Which points the gate runs: all crashes, and of what else can happen at a call one kind."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from tests.faults import standing
from tests.faults.seam import CRASH, LEADERS, SPEC, STALE, USER, Point

WHOLE = (CRASH, STALE)
"""Groups whose points all run."""
SAMPLED = {USER: 60, SPEC: 40}
"""Groups of which so many points run: a point takes several seconds, and there are hundreds."""


def gate(points: Sequence[Point]) -> list[Point]:
    """Return all points of some groups, and of the others one for each call, always the same.

    Which kind it is comes from the name of the call, so that all kinds come about equally often.
    Points with two leaders take several times as long and are a sample.
    """
    chosen = []
    for _, group in groupby(points, key=lambda point: (point.workload, point.call)):
        here = list(group)
        chosen += [point for point in here if point.fault.group in WHOLE]
        others = [
            point
            for point in here
            if point.fault.group not in (*WHOLE, *SAMPLED, LEADERS) and not _is_slow(point)
        ]
        if others:
            chosen.append(others[zlib.crc32(str(here[0].call).encode()) % len(others)])
    chosen += standing.sampled([p for p in points if p.fault.group == LEADERS])
    for name, count in SAMPLED.items():
        chosen += spread([p for p in points if p.fault.group == name], count)
    return chosen


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
