"""``python -m tests.faults``: every point, or those of the gate, and what they found.

::

    python -m tests.faults --gate            at most a quarter of an hour
    python -m tests.faults                   the whole matrix
    python -m tests.faults --only 'rotate.*crash' --verbose
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.crew import Crew, Job, Record, Strike, crew
from tests.faults.experiment import Result
from tests.faults.mutants import KILLED_BY
from tests.faults.recording import Recording, comparable
from tests.faults.seam import GROUPS, Point
from tests.faults.selection import gate
from tests.faults.workloads import WORKLOADS
from tests.fix_crds import install_crds, kubectl_of, wait_for_collector
from tests.fix_testenv import _cluster, _start

CALLS = Path(__file__).with_name("calls.json")
REPORT = Path(__file__).parents[2] / "build" / "faults.json"
OF_TIME = ("liveness: ", "the point was not reached")
PER_MUTANT = 2
"""Points at which a defect is looked for."""
LANES = 6
"""On two processors: most of a point is waiting."""


def main() -> int:
    """Run and return the exit status: 1 where a violation was found."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="hybridpg-faults-env-") as folder:
        state = Path(os.environ.get("TESTENV_STATE") or f"{folder}/env")
        ours = "TESTENV_STATE" not in os.environ
        try:
            env = _start(state, until=os.getpid() if ours else None)
            kubectl = kubectl_of(env)
            install_crds(kubectl)
            wait_for_collector(kubectl)
            with crew(arguments.lanes, env.kubeconfig, first=arguments.first) as lanes:
                return (survivors if arguments.mutants else run)(lanes, arguments)
        finally:
            if ours:
                _cluster(state, "down", "--wipe")


def run(lanes: Crew, arguments: argparse.Namespace) -> int:
    """Record, choose, strike, report."""
    began = time.monotonic()
    recordings, problems = _record(lanes, arguments)
    points = [point for each in recordings.values() for point in each.points()]
    if arguments.gate:
        points = gate(points)
    points = [point for point in points if re.search(arguments.only, str(point))]
    points = points[: arguments.limit or None]
    print(f"{len(points)} points of {len(recordings)} workloads", flush=True)
    results = []
    jobs = [Strike(point, recordings[point.workload]) for point in points]
    again: list[Job] = []
    for number, (job, (_, result)) in enumerate(lanes.work(jobs), 1):
        if is_of_time(result):
            again.append(job)
            print(f"once more, later: {result.point}: {'; '.join(result.violations)}", flush=True)
            continue
        results.append(result)
        _tell(result, verbose=arguments.verbose)
        if number % 50 == 0:
            print(f"{number} points in {time.monotonic() - began:.0f} s", flush=True)
    for _, (_, result) in lanes.work(again):
        results.append(result)
        _tell(result, verbose=arguments.verbose)
    print(f"{len(again)} points were run a second time")
    return _report(arguments.report, points, results, problems, time.monotonic() - began)


def is_of_time(result: Result) -> bool:
    """Return whether all that is wrong is that something did not come in time, or not at all.

    That can be the machine, so it is tried once more; what was done wrong never is.
    """
    return bool(result.violations) and all(v.startswith(OF_TIME) for v in result.violations)


def survivors(lanes: Crew, arguments: argparse.Namespace) -> int:
    """Plant each defect and see that its points find it; return 1 where one is not found."""
    recordings, _ = _record(lanes, arguments)
    points = [point for each in recordings.values() for point in each.points()]
    chosen = {
        name: [point for point in points if re.search(where, str(point))][:PER_MUTANT]
        for name, where in KILLED_BY.items()
        if re.search(arguments.only, name)
    }
    jobs = [
        Strike(point, recordings[point.workload], name)
        for name, found in chosen.items()
        for point in found
    ]
    found: dict[str, list[str]] = {name: [] for name in chosen}
    for job, (_, result) in lanes.work(jobs):
        assert isinstance(job, Strike)
        found[job.mutant] += result.violations[:1]
        _tell(result, verbose=arguments.verbose)
    for name, violations in found.items():
        print(f"{name:24} {'killed: ' + violations[0][:120] if violations else 'SURVIVED'}")
    return 0 if all(found.values()) else 1


def _record(
    lanes: Crew, arguments: argparse.Namespace
) -> tuple[dict[str, Recording], list[Result]]:
    """Run each workload twice; both runs must make the same calls, and those that are listed."""
    names = [name for name in WORKLOADS if re.search(arguments.workload, name)]
    recordings, problems = _twice(lanes, names)
    if problems:
        # two wakes of an object can be one pass or two where the machine is slow
        repeated, problems = _twice(lanes, sorted({_workload_of(each) for each in problems}))
        recordings |= repeated
    problems += _against_list(recordings, write=arguments.write_calls)
    return recordings, problems


def _workload_of(result: Result) -> str:
    return result.point.partition(" | ")[0]


def _twice(lanes: Crew, names: list[str]) -> tuple[dict[str, Recording], list[Result]]:
    recordings: dict[str, Recording] = {}
    problems: list[Result] = []
    for _, (recording, result) in lanes.work([Record(name) for name in [*names, *names]]):
        assert recording is not None
        before = recordings.setdefault(recording.workload, recording)
        changed = before.differs_from(recording)
        result.violations += [f"two clean runs differ in {call}" for call in changed]
        before.merge(recording)
        if result.violations:
            problems.append(result)
            _tell(result, verbose=True)
    return recordings, problems


def _against_list(recordings: dict[str, Recording], *, write: bool) -> list[Result]:
    """Hold the calls against the committed list: a new one needs somebody to look at it.

    A read that another workload has may come in any: which ones do depends on how long it takes.
    """
    found = {
        name: sorted({comparable(call, name) for call in [*dict(each.calls), *each.sometimes]})
        for name, each in recordings.items()
    }
    listed = json.loads(CALLS.read_text())
    if write:
        listed |= {name: sorted({*calls, *listed.get(name, ())}) for name, calls in found.items()}
        CALLS.write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n")
    problems = []
    known_reads = {call for calls in listed.values() for call in calls if " #" not in call}
    for name, calls in found.items():
        new = sorted({*calls} - {*listed.get(name, ())} - known_reads)
        if new:
            result = Result(f"{name} | calls", 0.0, [f"unlisted call: {call}" for call in new])
            problems.append(result)
            _tell(result, verbose=True)
    return problems


def _tell(result: Result, *, verbose: bool) -> None:
    if not result.violations:
        if verbose:
            print(f"fine {result.point} ({result.seconds:.1f} s)", flush=True)
        return
    print(f"VIOLATION {result.point} ({result.seconds:.1f} s)")
    for line in result.violations:
        print(f"    {line}")
    if verbose:
        for line in result.told:
            print(f"        {line}")
    sys.stdout.flush()


def _report(
    path: Path,
    points: list[Point],
    results: list[Result],
    problems: list[Result],
    seconds: float,
) -> int:
    classes = {
        group: {"points": 0, "violations": 0, "seconds": 0.0}
        for group in GROUPS
        if any(point.fault.group == group for point in points)
    }
    for result in results:
        row = classes[Point.parse(result.point).fault.group]
        row["points"] += 1
        row["violations"] += bool(result.violations)
        row["seconds"] = round(row["seconds"] + result.seconds, 1)
    bad = Counter(bool(result.violations) for result in [*results, *problems])[True]
    report = {
        "points": len(results),
        "violations": bad,
        "missed": sum(result.missed for result in results),
        "seconds": round(seconds, 1),
        "classes": classes,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    for group, row in classes.items():
        print(f"{group:8} {row['points']:5.0f} points {row['violations']:4.0f} violations")
    print(f"{report['missed']} points were not reached: a read more or less is no defect")
    print(f"{len(results)} points, {bad} violations, {seconds:.0f} s")
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--gate", action="store_true", help="the points of every change")
    parser.add_argument("--only", default="", metavar="REGEX", help="points that match")
    parser.add_argument("--workload", default="", metavar="REGEX", help="workloads that match")
    parser.add_argument("--limit", type=int, default=0, help="so many points at most")
    parser.add_argument("--lanes", type=int, default=LANES)
    parser.add_argument("--first", type=int, default=0, help="number of the first lane")
    parser.add_argument("--mutants", action="store_true", help="plant defects, to see them found")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the figures go")
    parser.add_argument("--write-calls", action="store_true", help="take the calls into the list")
    parser.add_argument("--verbose", action="store_true", help="tell how it came to violations")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
