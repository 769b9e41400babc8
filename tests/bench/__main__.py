"""Usage: python -m tests.bench [--rounds N] [SCENARIO...]

Runs the benchmarks and prints a table; writes build/bench.json. Samples are interleaved: each round
takes one of every client, so that a slow minute of the machine hits all of them. Figures are
medians. Compare ratios: the absolute ones say as much about the machine as about the code.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from .scenarios import SCENARIOS, Scenario

OUTPUT = Path("build/bench.json")
ROUNDS = 5
SAMPLE_SECONDS = 600
"""The slowest peer takes a minute for a sample on a small machine."""

Samples = dict[str, dict[str, list[float]]]
"""Row -> client -> figures."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sample", nargs=3, metavar=("SCENARIO", "CLIENT", "PORT"))
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if arguments.sample:
        name, client, port = arguments.sample
        print(json.dumps(asyncio.run(SCENARIOS[name].sample(client, int(port)))))
        return
    rows = [
        row
        for name in arguments.scenarios or SCENARIOS
        for row in measure(name, SCENARIOS[name], arguments.rounds)
    ]
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    print_table(rows)


def measure(name: str, scenario: Scenario, rounds: int) -> list[dict[str, Any]]:
    """Take all samples of a scenario and return its rows."""
    samples: Samples = {row: {} for row in scenario.units}
    with scenario.server() as port:
        for number in range(rounds):
            for client in scenario.clients:
                print(f"{name} {number + 1}/{rounds} {client}", file=sys.stderr)
                for row, figure in take(name, client, port).items():
                    samples[row].setdefault(client, []).append(figure)
    return [make_row(row, unit, samples[row]) for row, unit in scenario.units.items()]


def take(name: str, client: str, port: int) -> dict[str, float]:
    """Take one sample in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--sample", name, client, str(port)],
        stdout=subprocess.PIPE,
        timeout=SAMPLE_SECONDS,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def make_row(name: str, unit: str, samples: dict[str, list[float]]) -> dict[str, Any]:
    """Return one row of the result; ``ratio`` is ours by the floor, or by the best peer."""
    medians = {client: round(statistics.median(each), 3) for client, each in samples.items()}
    ours, floor = medians.pop("hybridpg"), medians.pop("floor", None)
    base = floor or min(medians.values(), default=0)
    ratio = round(ours / base, 2) if base else None
    return {
        "name": name,
        "unit": unit,
        "ours": ours,
        "floor": floor,
        "peers": medians,
        "ratio": ratio,
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows as the table that stands in docs/benchmarks.md."""
    print("| row | unit | hybridpg | floor | ratio | peers |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        peers = ", ".join(f"{peer} {figure:g}" for peer, figure in row["peers"].items())
        print(
            f"| {row['name']} | {row['unit']} | {row['ours']:g} | {row['floor'] or '-'} "
            f"| {row['ratio'] or '-'} | {peers or '-'} |"
        )


if __name__ == "__main__":
    main()
