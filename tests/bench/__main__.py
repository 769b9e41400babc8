"""Usage: python -m tests.bench [--rounds N] [--quick] [--only CLIENT,…] [SCENARIO...]
       python -m tests.bench --check [--slack 0.1] | --table [--into docs/benchmarks.md]

Runs the benchmarks, prints a table and writes build/bench.json; scenarios that are named replace
their rows in it and leave the others. --check compares that file with the goals and fails where
one is missed; --table prints it or puts it into a document. Figures are medians of interleaved
rounds. Compare ratios: the absolute ones say as much about the machine as about the code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from . import goals, table
from .real import Unavailable
from .run import Row, measure, merged
from .scenarios import SCENARIOS
from .target import Target

OUTPUT = Path("build/bench.json")
ROUNDS = 5


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="small counts and one round")
    parser.add_argument("--only", default="", help="peers to measure, with commas between")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--check", action="store_true", help="compare the results with the goals")
    parser.add_argument("--slack", type=float, default=0.0, help="how far a goal may be missed")
    parser.add_argument("--table", action="store_true", help="print the results as a table")
    parser.add_argument("--into", type=Path, help="the document that --table is written to")
    parser.add_argument("--sample", nargs=4, metavar=("SCENARIO", "CLIENT", "TARGET", "COUNT"))
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if chosen.sample:
        name, client, target, count = chosen.sample
        asyncio.run(_sample(name, client, Target.parse(target), int(count)))
    if not chosen.check and not chosen.table:
        _run(chosen)
        return 0
    rows = read(chosen.output)
    if chosen.check:
        return goals.report(rows, chosen.slack)
    if chosen.into:
        table.insert(chosen.into, rows)
    else:
        print(table.render(rows))
    return 0


async def _sample(name: str, client: str, target: Target, count: int) -> NoReturn:
    print(json.dumps(await SCENARIOS[name].sample(client, target, count)), flush=True)
    # at once: some peers take their time to stop, or never do while a watch is open
    os._exit(0)


def _run(chosen: argparse.Namespace) -> None:
    names = chosen.scenarios or [name for name, each in SCENARIOS.items() if each.by_default]
    rounds = 1 if chosen.quick else chosen.rounds
    only = [name for name in chosen.only.split(",") if name]
    chosen.output.parent.mkdir(exist_ok=True)
    for name in names:
        try:
            rows = measure(name, rounds=rounds, quick=chosen.quick, only=only)
        except Unavailable as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        print(table.render(rows), flush=True)
        # after each scenario, so that a run that is cut can be taken up where it was
        rows = merged(read(chosen.output), rows)
        chosen.output.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


def read(path: Path) -> list[Row]:
    """Return the rows of an earlier run."""
    rows: list[Row] = json.loads(path.read_text()) if path.exists() else []
    return rows


if __name__ == "__main__":
    sys.exit(main())
