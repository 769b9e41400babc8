"""The seam to the API server: a perturbing proxy whose calls, and events, have identities.

Every event that a watch delivers is a call of its own (``EVENT``), so that it can be struck like
one: lost, doubled, late, cut in the middle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web
from tests.faults.kube_faults import ANSWERS, EVENT, EVENTS, UNSEEN, Unseen, faults_at
from tests.faults.pasts import Former
from tests.faults.seam import (
    CRASH_BEFORE,
    CRASH_COMMITTED,
    Call,
    Fault,
    Point,
    Process,
    Seen,
    Strike,
    Trace,
)
from tests.proxy.rules import GENERATED, Do, Rule, What
from tests.proxy.server import Proxy, Recorded
from tests.proxy.streams import Lines, StreamFault

from hybridpg.controller.client import Config

LETTER = "K"
LISTED = "WATCHLIST"
"""The watch that begins with a list: all that a controller knows when it starts."""
SEEN = "seen"
"""Where a request keeps its entry of the trace."""


class KubeSeam(Proxy):
    """The API server as one controller sees it; two controllers have one each."""

    letter = LETTER

    def __init__(self, upstream: Config, trace: Trace, aliases: Mapping[str, str]) -> None:
        super().__init__(upstream, aliases=aliases)
        self.trace = trace
        self._names = dict(aliases)
        self.waited_for = 0
        """How many requests, without watches, have no answer yet."""
        self.polls = False
        """Whether Secrets are read by the clock: then such a read says nothing."""
        self._strikes: dict[Call, tuple[StreamFault | Unseen, Strike]] = {}
        self.formers: dict[str, Former] = {}
        """What the next watch that begins with a list is told, by the plural of its kind."""

    def begin(self) -> None:
        """Count anew, with the trace."""
        self.forget()
        self.clear()

    def faults(self, seen: Seen) -> Sequence[Fault]:
        """Return what can go wrong at a call or event."""
        return tuple(faults_at(seen))

    def arm(self, point: Point, process: Process) -> Strike:
        """Let the fault happen at its call."""
        strike = Strike(point)
        call, fault = point.call, point.fault
        if call.verb == EVENT:
            what = Unseen() if fault.kind == UNSEEN else EVENTS[fault.kind]
            self._strikes[call] = (what, strike)
            return strike
        if fault == CRASH_BEFORE:
            return self.strike(strike, Do(process.kill))
        if fault == CRASH_COMMITTED:
            return self.strike(strike, Do(process.kill, committed=True))
        return self.strike(strike, ANSWERS[fault.kind])

    def strike(self, strike: Strike, what: What) -> Strike:
        """Let anything happen at the call of a strike."""
        call = strike.point.call
        rule = _Told(
            what,
            verbs=(call.verb,),
            target=_exactly(call.target),
            skip=call.occurrence - 1,
        )
        rule.tell = strike.hit
        self.add_rule(rule)
        return strike

    def clear(self) -> None:
        """Let all go well."""
        super().clear()
        self._strikes.clear()
        self.formers.clear()

    async def note(self, request: web.Request) -> Recorded:
        """Tell the trace, too."""
        recorded, last = await super().note(request), self.trace.last
        if request.method == "POST":
            recorded.call = replace(recorded.call, target=await self._named(recorded, request))
        call = recorded.call
        seen = self.trace.note(
            LETTER, call.verb, call.target, writes=call.writes, destroys=call.verb == "DELETE"
        )
        if call.writes:
            seen.detail = _outline(await request.read())
        if self.polls and is_poll(seen):
            self.trace.last = last
        request[SEEN] = seen
        return recorded

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        waits = request.query.get("watch") is None
        self.waited_for += waits
        try:
            answer = await super()._handle(request)
            request[SEEN].answer = str(answer.status)
        finally:
            self.waited_for -= waits
        return answer

    async def _named(self, recorded: Recorded, request: web.Request) -> str:
        """Return the target of a creation: that of what is created."""
        name = str(json.loads(await request.read())["metadata"].get("name", ""))
        return f"{recorded.call.target}/{GENERATED.sub('.*', name)}"

    async def lines_of(self, recorded: Recorded, lines: Lines) -> Lines:
        """Tell the trace of each event, and strike at the one that is meant."""
        kind = recorded.call.target.rpartition("/")[2]
        if recorded.call.verb == LISTED and (former := self.formers.pop(kind, None)):
            async for line in former.perturb(lines):
                yield line
        async for line in lines:
            struck = self._struck(kind, line)
            if struck is None:
                yield line
                continue
            what, strike = struck
            strike.hit()
            async for made in what.perturb(_behind(line, lines)):
                yield made
            return

    def _struck(self, kind: str, line: bytes) -> tuple[StreamFault | Unseen, Strike] | None:
        event = json.loads(line)
        if event["type"] in ("BOOKMARK", "ERROR"):
            return None
        name = event["object"]["metadata"]["name"]
        target = f"{kind}/{self._names.get(name, name)}/{event['type']}"
        last = self.trace.last
        seen = self.trace.note(LETTER, EVENT, target, writes=False)
        self.trace.last = last  # it is not the controller that speaks
        return self._strikes.pop(seen.call, None)


def is_poll(seen: Seen) -> bool:
    """Return whether a call may be one of those that the clock makes."""
    return seen.call.verb == "GET" and "/secrets/" in seen.call.target


class _Told(Rule):
    """A rule that tells a strike of each hit."""

    tell: Callable[[], None]

    def strike(self) -> None:
        super().strike()
        self.tell()


def _exactly(target: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in target)


async def _behind(line: bytes, lines: Lines) -> Lines:
    yield line
    async for each in lines:
        yield each


def _outline(body: bytes) -> str:
    """Return what oracles need of a write: its fields down to the third level, and no values."""
    try:
        document: Any = json.loads(body or b"null")
    except ValueError:
        return "not JSON"
    if isinstance(document, list):
        return " ".join(f"{step.get('op')} {step.get('path')}" for step in document)
    return " ".join(_fields(document, 3))


def _fields(document: Any, depth: int, prefix: str = "") -> Iterator[str]:
    if not isinstance(document, dict) or not depth or not document:
        if prefix:
            yield prefix
        return
    for key, value in document.items():
        yield from _fields(value, depth - 1, f"{prefix}.{key}" if prefix else key)


__all__ = ["EVENT", "LETTER", "KubeSeam"]
