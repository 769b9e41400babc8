"""What can go wrong at each call of the API server, and at each event that a watch delivers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping

from tests.faults.seam import CRASH, CRASH_BEFORE, CRASH_COMMITTED, ERROR, WATCH, Fault, Seen
from tests.proxy.rules import WATCHES, WRITES, Answer, CutBody, Hang, Lose, What
from tests.proxy.streams import (
    CutFrame,
    CutLine,
    End,
    Ended,
    Late,
    Lines,
    NoBookmarks,
    Repeat,
    Say,
    Silence,
    StreamFault,
    error_event,
)

EVENT = "EVENT"
LATE_SECONDS = 0.6
"""Later than the controller's own next write, which takes a few milliseconds."""
UNSEEN_SECONDS = 0.3
"""For as long events are lost until the watch says that it lost some."""


def _refusal(status: int, reason: str, **headers: str) -> Answer:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "scripted by the fault harness",
        "reason": reason,
        "code": status,
    }
    return Answer(
        status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )


ANSWERS: Mapping[str, What] = {
    "reset-before": Lose(),
    "reset-committed": Lose(committed=True),
    "hang-before": Hang(),
    "hang-committed": Hang(committed=True),
    "cut": CutBody(),
    "500": _refusal(500, "InternalError"),
    "503": _refusal(503, "ServiceUnavailable"),
    "429": _refusal(429, "TooManyRequests", **{"Retry-After": "1"}),
    "401": _refusal(401, "Unauthorized"),
    "403": _refusal(403, "Forbidden"),
    "409": _refusal(409, "Conflict"),
    "410": _refusal(410, "Expired"),
}
ON_WRITES = ("reset-before", "reset-committed", "cut", "500", "503", "429", "401", "403", "409")
HANGS_ON_WRITES = ("hang-before", "hang-committed")
ON_READS = ("reset-before", "cut", "500", "503", "429", "401", "403", "hang-before")
ON_WATCHES = ("reset-before", "500", "503", "429", "401", "403", "410")
EVENTS: Mapping[str, StreamFault] = {
    "end": End(),
    "cut-frame": CutFrame(),
    "cut-line": CutLine(),
    "410": Say(error_event(410, "Expired"), last=True),
    "repeat": Repeat(),
    "late": Late(LATE_SECONDS),
    "no-bookmarks": NoBookmarks(),
    "garbage": Say(b'{"type":"MODIFIED","object":{"metadata"\n'),
    "unknown": Say(b'{"type":"PERHAPS","object":{"kind":"Status"}}\n'),
    "silence": Silence(),
}
UNSEEN = "unseen"
"""Events are lost, and then the watch says so: what was between is never seen."""


class Unseen:
    """Loses what comes for a while and ends the watch as one that missed events."""

    async def perturb(self, lines: Lines) -> Lines:
        await asyncio.sleep(UNSEEN_SECONDS)
        yield error_event(410, "Expired")
        raise Ended


def faults_at(seen: Seen) -> Iterator[Fault]:
    """Yield what can go wrong at a call or event."""
    verb = seen.call.verb
    if verb == EVENT:
        yield from (Fault(WATCH, kind) for kind in (*EVENTS, UNSEEN))
    elif verb in WATCHES:
        yield from (Fault(ERROR, kind) for kind in ON_WATCHES)
    elif verb in WRITES:
        yield CRASH_BEFORE
        yield CRASH_COMMITTED
        yield from (Fault(ERROR, kind) for kind in (*ON_WRITES, *HANGS_ON_WRITES))
    else:
        yield Fault(CRASH, "committed")
        yield from (Fault(ERROR, kind) for kind in ON_READS)
