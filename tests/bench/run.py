"""Takes samples and makes rows of them.

Samples are interleaved: each round takes one of every client, so that a slow minute of the machine
hits all of them. Each is taken in a fresh process. Figures are medians.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from .figures import Figures
from .scenarios import FLOOR, OURS, PEERS, SCENARIOS, Scenario, missing

Row = dict[str, Any]
Samples = dict[str, dict[str, list[float]]]
"""Row -> client -> figures."""


class Failed(Exception):
    """A client could not do what was measured."""


def measure(name: str, *, rounds: int, quick: bool, only: Iterable[str] = ()) -> list[Row]:
    """Take all samples of a scenario and return its rows."""
    scenario = SCENARIOS[name]
    count = scenario.quick if quick else scenario.count
    rounds = min(rounds, scenario.rounds or rounds)
    samples: Samples = {row: {} for row in scenario.units}
    failed: dict[str, str] = {}
    clients = _present(name, scenario, only)
    with scenario.server(count) as target:
        for number in range(rounds):
            for client in clients:
                if client in failed:
                    continue
                print(f"{name} {number + 1}/{rounds} {client}", file=sys.stderr)
                try:
                    taken = take(
                        name,
                        client,
                        target.text(),
                        scenario.part(client, count),
                        scenario.seconds,
                    )
                except Failed as error:
                    if client.startswith((OURS, FLOOR)):
                        raise
                    failed[client] = str(error)
                    print(f"{name}: {client} failed: {error}", file=sys.stderr)
                else:
                    collect(samples, client, taken)
    return [make_row(row, unit, samples[row], failed) for row, unit in scenario.units.items()]


def _present(name: str, scenario: Scenario, only: Iterable[str]) -> list[str]:
    chosen = set(only)
    clients = []
    for client in scenario.clients:
        if chosen and client in PEERS and client not in chosen:
            continue
        if reason := missing(client):
            print(f"{name}: {client} is left out: {reason}", file=sys.stderr)
        else:
            clients.append(client)
    return clients


def take(name: str, client: str, target: str, count: int, seconds: float = 300) -> Figures:
    """Take one sample in a fresh process, which gets so many seconds."""
    command = [sys.executable, "-m", "tests.bench", "--sample", name, client, target, str(count)]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=None if client.startswith(OURS) else subprocess.PIPE,
            timeout=seconds,
            check=False,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"no answer within {seconds:g} s") from error
    if done.returncode:
        lines = (done.stderr or "").strip().splitlines()
        raise Failed(lines[-1] if lines else f"exit status {done.returncode}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def collect(samples: Samples, client: str, taken: Figures) -> None:
    """Add the figures of one sample to the rows that the scenario has.

    A client ``floor+raw`` is the floor of the rows that it has figures for. A figure ``row@floor``
    is one of the floor.
    """
    for name, figure in taken.items():
        row, _, other = name.partition("@")
        if row in samples:
            of = other or client.partition("+")[0]
            samples[row].setdefault(of, []).append(figure)


def make_row(
    name: str, unit: str, samples: dict[str, list[float]], failed: dict[str, str] | None = None
) -> Row:
    """Return one row of the result; ``ratio`` is ours by the floor, or by the best peer."""
    medians = {client: round(statistics.median(each), 3) for client, each in samples.items()}
    ours, floor = medians.pop(OURS), medians.pop(FLOOR, None)
    base = floor or min(medians.values(), default=0)
    row: Row = {
        "name": name,
        "unit": unit,
        "ours": ours,
        "floor": floor,
        "peers": medians,
        "ratio": round(ours / base, 2) if base else None,
    }
    if failed:
        row["failed"] = failed
    return row


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """Replace the rows that were measured again, and keep the others where they were."""
    fresh = {row["name"]: row for row in new}
    kept = [fresh.pop(row["name"], row) for row in old]
    return kept + list(fresh.values())
