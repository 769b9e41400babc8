"""What goes wrong, as data: which request, which occurrence of it, and what happens to it.

::

    proxy.add(Answer(429, headers={"Retry-After": "2"}), verbs=("LIST",), times=3)
    proxy.add(Silence(), verbs=WATCHES, target="*/configmaps", behind=b'"name":"last"')
    proxy.add(Do(child.kill, committed=True), verbs=WRITES, skip=4)

A call has an identity that no clock is part of: its verb, its target, and how many of these came
before. So a point that was recorded in one run can be struck in the next.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeAlias, TypedDict

from tests.proxy.streams import StreamFault

WRITES = ("POST", "PUT", "PATCH", "DELETE")
WATCHES = ("WATCH", "WATCHLIST")
"""The second one begins with the list, as a stream."""
FOR_EVER = sys.maxsize
GENERATED = re.compile(r"\.[0-9a-f]{12,}$")
"""The tail of an event's name, which comes from a clock."""


@dataclass(frozen=True, slots=True)
class Call:
    """The identity of one request; ``occurrence`` counts from 1."""

    verb: str
    target: str
    occurrence: int

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.verb in WRITES

    @property
    def of_event(self) -> bool:
        """Whether it is about an event: those are lost without harm."""
        return "events" in self.target.split("/")

    def __str__(self) -> str:
        return f"{self.verb} {self.target} #{self.occurrence}"


class Identities:
    """Gives each request its identity.

    ``aliases`` replaces segments of the path that differ from run to run, such as the name of the
    namespace that a test works in.
    """

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = dict(aliases)
        self._seen: Counter[tuple[str, str]] = Counter()

    def of(self, method: str, path: str, query: Mapping[str, str]) -> Call:
        """Return the identity of the next request of that method and path."""
        segments = [segment for segment in path.split("/") if segment]
        verb = verb_of(method, segments, query)
        named = [self._aliases.get(each, GENERATED.sub(".*", each)) for each in segments]
        target = "/" + "/".join(named)
        self._seen[verb, target] += 1
        return Call(verb, target, self._seen[verb, target])


def verb_of(method: str, segments: list[str], query: Mapping[str, str]) -> str:
    """Return the method, or what a GET is: a ``LIST`` or one of the ``WATCHES``."""
    if method != "GET":
        return method
    if query.get("watch", "").lower() in ("1", "true"):
        return "WATCHLIST" if query.get("sendInitialEvents") == "true" else "WATCH"
    names = segments[2:] if segments[:1] == ["api"] else segments[3:]
    if names[:1] == ["namespaces"] and len(names) > 2:
        names = names[2:]
    return "LIST" if len(names) == 1 else "GET"


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer by itself; the request goes no further."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": JSON})


@dataclass(frozen=True, slots=True)
class Instead:
    """Ask the same path with another query, and answer with what that says."""

    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lose:
    """Reset the connection; ``committed``: once the request was carried out."""

    committed: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer and never close; ``committed``: the request was carried out."""

    committed: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Let it through late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Let it through when the test says so."""

    until: asyncio.Event


@dataclass(frozen=True, slots=True)
class CutBody:
    """Carry it out and break the connection in the middle of the answer."""


@dataclass(frozen=True, slots=True)
class Do:
    """Do something, such as killing who asked; nobody reads the answer then.

    ``committed``: once the request was carried out, otherwise it goes no further.
    """

    action: Callable[[], object]
    committed: bool = False


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """Carry it out, and keep the answer back until something else was done."""

    action: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Made:
    """Answer with what a function returns when the request comes; it goes no further."""

    make: Callable[[], Answer]


What: TypeAlias = (
    Answer | Instead | Lose | Hang | Delay | Hold | CutBody | Do | Meanwhile | Made | StreamFault
)
JSON = "application/json"


class Where(TypedDict, total=False):
    """Which calls a rule strikes; the fields of the same names in :class:`Rule`."""

    verbs: Iterable[str]
    target: str
    unless: str
    skip: int
    times: int
    query: Mapping[str, str]
    behind: bytes
    after: int


@dataclass(slots=True)
class Rule:
    """One fault, and the calls that it strikes.

    Of the calls of these verbs (none: of any) whose targets match the glob and whose queries hold
    these parameters, ``skip`` pass, then ``times`` are struck. The stream of a watch is struck
    behind the first line that holds these bytes, and after so many events more.
    """

    what: What
    verbs: Iterable[str] = ()
    target: str = "*"
    unless: str = ""
    skip: int = 0
    times: int = 1
    query: Mapping[str, str] = field(default_factory=dict)
    behind: bytes = b""
    after: int = 0
    hits: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, call: Call, query: Mapping[str, str]) -> bool:
        """Count a call and return whether the rule is for it."""
        if self.times <= 0 or not self._matches(call, query):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True

    def strike(self) -> None:
        """Say that it happens now: for a stream later than for the call that opened it."""
        self.hits += 1
        self.struck.set()

    def _matches(self, call: Call, query: Mapping[str, str]) -> bool:
        if self.verbs and call.verb not in self.verbs:
            return False
        if any(query.get(name) != value for name, value in self.query.items()):
            return False
        if self.unless and fnmatchcase(call.target, self.unless):
            return False
        return fnmatchcase(call.target, self.target)
