"""What is measured: each scenario knows its clients, its rows and how one sample is taken.

A sample runs in a process of its own, which prints one JSON object of figures by row name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from . import queues, real, samples
from .corpus import KEYS
from .golang import unavailable
from .replay import Served, replay
from .target import Target

PYTHON = ("kopf", "kr8s", "kubernetes", "kubernetes-asyncio", "lightkube")
GO = "client-go"
PEERS = (*PYTHON, GO)
OURS, FLOOR = "hybridpg", "floor"


@dataclass(frozen=True)
class Scenario:
    """One thing to measure.

    ``units`` has its rows, ``count`` how many events or objects a sample takes, and ``quick`` how
    many where only the benchmark itself is tested. ``shares`` are parts of the count for clients
    that would take minutes for all: what they cost per event does not depend on it. A sample that
    takes longer than ``seconds`` has failed.
    """

    sample: samples.Sample
    clients: tuple[str, ...]
    units: Mapping[str, str]
    count: int = 0
    quick: int = 0
    served: Callable[[int], AbstractContextManager[Target]] | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    rounds: int | None = None
    seconds: float = 300
    by_default: bool = True

    @contextmanager
    def server(self, count: int) -> Iterator[Target]:
        """Run what the clients talk to; yields where it is."""
        if self.served is None:
            yield Target()
            return
        with self.served(count) as target:
            yield target

    def part(self, client: str, count: int) -> int:
        """How many a client takes."""
        return max(1, int(count * self.shares.get(client, 1)))


SLOW = {"kr8s": 0.1, GO: 0.25}


def _firehose(*, tls: bool = False) -> Callable[[int], AbstractContextManager[Target]]:
    return lambda count: replay(Served(events=count, keys=min(KEYS, count), tls=tls))


def _watches(name: str, *, tls: bool = False) -> Scenario:
    return Scenario(
        samples.watch(name),
        (OURS, FLOOR, *PEERS),
        {name: "µs", f"{name}.wall": "µs"},
        100_000,
        1_000,
        _firehose(tls=tls),
        SLOW,
    )


SCENARIOS = {
    "watch": _watches("watch.decode"),
    "watch.tls": _watches("watch.decode.tls", tls=True),
    "framing": Scenario(
        samples.framing,
        (OURS, FLOOR),
        {"watch.framing": "µs"},
        100_000,
        1_000,
        _firehose(),
    ),
    "e2e": Scenario(
        samples.work,
        (OURS, f"{OURS}+decode", FLOOR, "kopf", GO),
        {"watch.e2e.noop": "µs", "watch.e2e.decode": "µs"},
        100_000,
        1_000,
        _firehose(),
    ),
    "list.10k": Scenario(
        samples.listing("10k"),
        (OURS, FLOOR, *PEERS),
        {"list.10k": "µs", "list.10k.wall": "µs"},
        10_000,
        600,
        lambda count: replay(Served(listed=count, streaming=False)),
    ),
    "list.50k": Scenario(
        samples.listing("50k"),
        (OURS, FLOOR, *PEERS),
        {
            "list.50k": "µs",
            "list.50k.wall": "µs",
            "memory.object": "KB",
            "pause.50k": "ms",
            "pause.50k.gc": "ms",
        },
        50_000,
        600,
        lambda count: replay(Served(listed=count, streaming=False)),
    ),
    "stream.50k": Scenario(
        samples.streaming,
        (OURS, FLOOR),
        {"list.stream.50k": "µs", "pause.stream.50k": "ms"},
        50_000,
        600,
        lambda count: replay(Served(listed=count)),
    ),
    "long": Scenario(
        samples.long,
        (OURS, FLOOR, *PEERS),
        {"event.20mb": "ms"},
        5,
        2,
        lambda count: replay(Served(events=count, long=20 * 2**20)),
    ),
    "queue": Scenario(
        queues.cycle,
        (OURS, FLOOR, "asyncio.Queue"),
        {"queue.cycle": "µs"},
        200_000,
        2_000,
    ),
    "idle": Scenario(
        samples.idle,
        (OURS, "kopf", "kubernetes-asyncio", "lightkube", GO),
        {"watch.idle50": "ms", "watch.idle50.memory": "MiB"},
        20,
        1,
        lambda count: replay(Served(bookmarks=10.0, tls=True)),
        rounds=3,
    ),
    "lone": Scenario(
        samples.paced("lone", 0.5),
        (OURS, FLOOR, "kopf", GO),
        {"latency.lone": "ms"},
        100,
        20,
        lambda count: replay(Served(events=count, keys=count, pace=20.0, tls=True)),
        rounds=3,
    ),
    "paced": Scenario(
        samples.paced("1000", 0.99),
        (OURS, FLOOR, "kopf", GO),
        {"latency.1000": "ms", "latency.1000.cpu": "µs"},
        5_000,
        200,
        lambda count: replay(Served(events=count, keys=count, pace=1000.0, tls=True)),
        rounds=3,
    ),
    "real": Scenario(
        samples.real,
        (OURS, FLOOR, "floor+raw", *PEERS),
        {"sync.real.10k": "µs", "sync.real.10k.wall": "ms"},
        10_000,
        300,
        real.cluster,
    ),
    "ready": Scenario(samples.ready, (OURS, FLOOR), {"apply.ready": "s"}),
    "scale": Scenario(
        samples.scale,
        (OURS,),
        {
            "db.create.ratio": "ms",
            "db.edit.p99": "s",
            "db.steady.writes": "count",
            "db.check.roundtrips": "count",
            "rss.10k": "MiB",
        },
        2_000,
        8,
        rounds=1,
        seconds=3_600,
        by_default=False,  # half an hour, and 20 GB of disk
    ),
    "churn": Scenario(
        samples.churn,
        (OURS,),
        {"churn.10m": "MiB"},
        10_000_000,
        20_000,
        lambda count: replay(
            Served(events=min(count, 100_000), keys=1_000, churn=True, repeats=1_000_000)
        ),
        rounds=1,
        seconds=3_600,
        by_default=False,
    ),
}
"""By name, in the order in which they run."""


def missing(client: str) -> str:
    """Say why a client cannot be measured here, or nothing."""
    return unavailable() if client == GO else ""
