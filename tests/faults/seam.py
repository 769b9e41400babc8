"""What a seam is: a place where the controller talks to the world, watched and perturbed.

A seam stands between the controller and one far end (API server ``K``, PostgreSQL ``S``, a cloud
``C``). It tells every call to the lane's :class:`Trace`, which gives the call its identity: seam,
verb, normalised target, and how many of these came before since the action of the workload began.
No clock is part of it, so a call that was recorded in one run can be struck in the next::

    strike = seam.arm(Point("database-rotate", call, CRASH_COMMITTED), process)
    ...
    assert strike.hits == 1

A new far end joins by one class with the methods of :class:`Seam`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """The identity of one call; ``occurrence`` counts from 1 since the action began.

    ``target`` holds no name that differs from run to run: aliases stand for namespaces and ports.
    """

    seam: str
    verb: str
    target: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.seam} {self.verb} {self.target} #{self.occurrence}"

    @classmethod
    def parse(cls, text: str) -> Call:
        """Read what ``str`` wrote."""
        head, _, occurrence = text.rpartition(" #")
        seam, verb, target = head.split(" ", 2)
        return cls(seam, verb, target, int(occurrence))


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that can go wrong at a call: ``crash/committed``, ``error/503``."""

    group: str
    kind: str

    def __str__(self) -> str:
        return f"{self.group}/{self.kind}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read what ``str`` wrote."""
        group, _, kind = text.partition("/")
        return cls(group, kind)


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """One experiment: in this workload, at this call, this goes wrong."""

    workload: str
    call: Call
    fault: Fault

    def __str__(self) -> str:
        return f"{self.workload} | {self.call} | {self.fault}"

    @classmethod
    def parse(cls, text: str) -> Point:
        """Read what ``str`` wrote."""
        workload, call, fault = text.split(" | ")
        return cls(workload, Call.parse(call), Fault.parse(fault))


@dataclass(slots=True)
class Seen:
    """One call as it happened; a seam fills in the last fields once the answer is known."""

    call: Call
    writes: bool
    """Whether it changes anything at the far end."""
    destroys: bool
    """Whether what it changes cannot be had back: it must follow a live read."""
    child: int
    """The process that made it."""
    at: float
    answer: str = ""
    """The status, SQLSTATE or the like; empty while, or if, there was none."""
    detail: str = ""
    """What oracles may need of the request, without secrets."""


class Trace:
    """The calls of all seams of a lane in the order in which they arrived."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self.child = 0
        """The process that runs now; whoever starts one says so."""
        self.seen: list[Seen] = []
        self.last = now()

    def begin(self) -> None:
        """Count anew: the action begins, what was before belongs to its setting."""
        self._counts.clear()
        self.seen.clear()

    def note(
        self, seam: str, verb: str, target: str, *, writes: bool, destroys: bool = False
    ) -> Seen:
        """Record a call that just arrived, and return it with its identity."""
        self._counts[seam, verb, target] += 1
        call = Call(seam, verb, target, self._counts[seam, verb, target])
        self.last = self._now()
        self.seen.append(Seen(call, writes, destroys, self.child, self.last))
        return self.seen[-1]

    def quiet_for(self) -> float:
        """Return for how many seconds nobody called anybody."""
        return self._now() - self.last

    def stir(self) -> None:
        """Say that something still goes on, though no call says so."""
        self.last = self._now()

    def writes(self) -> list[Seen]:
        """Return the calls that change something."""
        return [seen for seen in self.seen if seen.writes]


class Process(Protocol):
    """The controller as a seam can strike it; each returns when it has taken effect."""

    def kill(self) -> None:
        """End it as the kernel does; it has made its last step when this returns."""
        ...

    def freeze(self) -> None:
        """Stop all its threads (SIGSTOP)."""
        ...

    def thaw(self) -> None:
        """Let it go on."""
        ...


@dataclass(slots=True)
class Strike:
    """A fault that waits for its call, or has struck."""

    point: Point
    hits: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)

    def hit(self) -> None:
        """Say that it happens now."""
        self.hits += 1
        self.struck.set()


class Seam(Protocol):
    """One place where the controller talks to the world.

    A seam is started and stopped with its lane (``async with``), and is led past by the
    configuration of the controller alone.
    """

    letter: str
    """What it is called in identities."""

    @property
    def waited_for(self) -> int:
        """How many calls have no answer yet."""
        ...

    def faults(self, seen: Seen) -> Sequence[Fault]:
        """Return what can go wrong at a call of a clean run: its points in the full matrix."""
        ...

    def arm(self, point: Point, process: Process) -> Strike:
        """Let the point's fault happen once, when its call comes; counted from ``begin`` on."""
        ...

    def clear(self) -> None:
        """Let all go well from now on, and end what hangs."""
        ...


CRASH = "crash"
ERROR = "error"
WATCH = "watch"
STALE = "stale"
LEADERS = "leaders"
USER = "user"
SPEC = "spec"
GROUPS = (CRASH, ERROR, WATCH, STALE, LEADERS, USER, SPEC)

CRASH_BEFORE = Fault(CRASH, "before")
"""The controller dies when the call has left it and reached nobody."""
CRASH_COMMITTED = Fault(CRASH, "committed")
"""The controller dies when the call was carried out and nobody was told."""
