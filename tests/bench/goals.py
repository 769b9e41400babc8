"""What the runtime has to reach: each goal is a comparison inside one row of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
GO = "client-go"


@dataclass(frozen=True)
class Goal:
    """A figure of a row and its limit: at most, or at least.

    ``figure`` returns None where the row cannot say, for example without the peer.
    """

    row: str
    text: str
    figure: Callable[[Row], float | None]
    limit: float
    at_least: bool = False

    def met(self, figure: float, slack: float) -> bool:
        """Whether a figure reaches the limit, or misses it by no more than a part of it."""
        if self.at_least:
            return figure >= self.limit * (1 - slack)
        return figure <= self.limit * (1 + slack)


def of_floor(row: Row) -> float | None:
    """Ours by the floor."""
    floor: float | None = row["floor"]
    return row["ours"] / floor if floor else None


def over_floor(row: Row) -> float | None:
    """Ours minus the floor."""
    return None if row["floor"] is None else row["ours"] - row["floor"]


def ours(row: Row) -> float | None:
    """Ours as it is."""
    figure: float = row["ours"]
    return figure


def best(*, python: bool = False) -> Callable[[Row], float | None]:
    """How many times more the best peer takes; ``python`` leaves client-go out."""

    def figure(row: Row) -> float | None:
        others = [each for name, each in row["peers"].items() if not (python and name == GO)]
        return min(others) / row["ours"] if others else None

    return figure


def peer(name: str) -> Callable[[Row], float | None]:
    """How many times more a peer takes."""
    return lambda row: row["peers"][name] / row["ours"] if name in row["peers"] else None


def _least(row: str, text: str, figure: Callable[[Row], float | None], limit: float) -> Goal:
    return Goal(row, text, figure, limit, at_least=True)


GOALS = (
    Goal("watch.decode", "times the floor", of_floor, 1.5),
    _least("watch.decode", "times less than the best Python peer", best(python=True), 5),
    _least("watch.decode.tls", "times less than the best Python peer", best(python=True), 4),
    _least("watch.e2e.noop", "times less than kopf", peer("kopf"), 35),
    _least("watch.e2e.noop", "times less than client-go", peer(GO), 30),
    _least("watch.e2e.decode", "times less than kopf", peer("kopf"), 15),
    _least("watch.e2e.decode", "times less than client-go", peer(GO), 12),
    _least("list.10k", "times less than the best peer", best(), 9),
    _least("list.50k", "times less than the best peer", best(), 11),
    Goal("memory.object", "KB for an object of 3 KB", ours, 4.2),
    Goal("pause.50k", "ms at the longest", ours, 40),
    Goal("event.20mb", "ms for an event of 20 MB", ours, 1_000),
    Goal("sync.real.10k", "times the floor", of_floor, 1.5),
    _least("sync.real.10k", "times less than the best Python peer", best(python=True), 5),
    _least("sync.real.10k", "times less than client-go", peer(GO), 10),
    Goal("sync.real.10k.wall", "times a raw read", of_floor, 1.15),
    Goal("latency.lone", "ms more than the floor for a lone event", over_floor, 1),
    Goal("latency.1000", "ms at the 99th percentile, at 1,000 events a second", ours, 2),
    Goal("latency.1000.cpu", "µs an event at 1,000 a second, decoded", ours, 45),
    _least("queue.cycle", "times less than a bare asyncio.Queue", peer("asyncio.Queue"), 1),
    Goal("watch.idle50", "ms of CPU a second for 50 idle watches", ours, 5),
    Goal("db.create.ratio", "times CREATE DATABASE alone on one connection", of_floor, 1.5),
    Goal("db.edit.p99", "s for an edit meanwhile, at the 99th percentile", ours, 1),
    Goal("db.steady.writes", "writes when nothing changes", ours, 0),
    Goal("db.check.roundtrips", "round trips of SQL to check 2,000 databases", ours, 50),
    Goal("rss.10k", "MiB for 10,000 objects", ours, 120),
    Goal("churn.10m", "times the memory after a tenth of it", of_floor, 1.05),
)


def judge(rows: list[Row], slack: float = 0.0) -> Iterator[tuple[Goal, float | None, bool]]:
    """Yield each goal with its figure, None where nothing was measured, and whether it is met."""
    named = {row["name"]: row for row in rows}
    for goal in GOALS:
        figure = goal.figure(named[goal.row]) if goal.row in named else None
        yield goal, figure, figure is not None and goal.met(figure, slack)


def report(rows: list[Row], slack: float = 0.0) -> int:
    """Print a line for each goal; returns 1 where one is missed or was not measured, else 0."""
    missed = 0
    for goal, figure, met in judge(rows, slack):
        sign, shown = "≥" if goal.at_least else "≤", "none"
        if figure is not None:
            shown = f"{figure:.2f}"
        verdict = "ok" if met else "not measured" if figure is None else "not ok"
        print(f"{verdict:<12} {goal.row:<20} {shown:>9} {sign} {goal.limit:g} {goal.text}")
        missed += not met
    print(f"{len(GOALS) - missed} of {len(GOALS)} goals met")
    return 1 if missed else 0
