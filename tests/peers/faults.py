"""The faults that ordinary clusters have, in one list: what each client is put through.

Every run begins alike: the client is told of what there is and of one more object, ``before``.
Then its watch ends, falls silent or says something wrong, the world moves on, and the object
``after`` is made. A client survives that tells of ``after`` in time.

The list: an expired version in the stream and as HTTP status, refusals (429, 401, 403), a page of
HTML, a reset, errors in the stream, a truncated line, a large event, watches that close at once,
a server that is down, a delete that nobody can be told of any more, and a half-open connection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.proxy.rules import FOR_EVER, JSON, WATCHES, Answer, What, Where
from tests.proxy.streams import (
    Break,
    CutFrame,
    CutLine,
    End,
    Inflate,
    Say,
    Silence,
    StreamFault,
    error_event,
)

TARGET = "*/configmaps"
BEFORE, AFTER, DURING, GONE = "before", "after", "during", "gone"
MARK = f'"name":"{BEFORE}"'.encode()
"""The first watch is struck behind the event that holds it."""
PATIENCE = 30.0
"""Seconds for ``after``: a back-off that doubles from a second has come to its fourth retry."""
HALF_OPEN_PATIENCE = 125.0
"""Longer than what any of the clients waits for a sign of life, by its defaults: 90 s."""
WINDOW = 10.0
"""Seconds for which watches close at once, while requests are counted."""
OUTAGE = 2.0
REFUSALS = 3
HTML = b"<html>\n<head><title>502</title></head>\n<body><h1>Bad Gateway</h1></body>\n</html>\n"


def refusal(code: int, reason: str, **headers: str) -> Answer:
    """Return an answer with a Status."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body = json.dumps({**status, "code": code, "reason": reason, "message": "scripted"})
    return Answer(code, body.encode(), {"Content-Type": JSON, **headers})


@dataclass(frozen=True)
class Fault:
    """One fault.

    ``first`` is what happens to the watch that is open. ``then`` are rules for the calls that come
    after. ``deletes``: an object is deleted meanwhile, and the client has to tell of it.
    ``forgets``: the server's history is lost, so that the version of the client has expired;
    ``as_status``: and it says so by an HTTP status. ``window`` is for how long the rules hold
    before ``after`` is made, ``outage`` for how long nobody listens.
    """

    title: str
    first: StreamFault = field(default_factory=End)
    then: tuple[tuple[What, Where], ...] = ()
    during: bool = True
    deletes: bool = False
    forgets: bool = False
    as_status: bool = False
    window: float = 0.0
    outage: float = 0.0
    patience: float = PATIENCE


def refused(what: Answer) -> tuple[tuple[What, Where], ...]:
    """Return the rule that the next calls, of any verb, are answered so."""
    return ((what, Where(target=TARGET, times=REFUSALS)),)


FAULTS: Mapping[str, Fault] = {
    "410-event": Fault(
        "410 in the stream", Say(error_event(410, "Expired"), last=True), forgets=True
    ),
    "410-status": Fault("410 as HTTP status", forgets=True, as_status=True),
    "429": Fault("429", then=refused(refusal(429, "TooManyRequests", **{"Retry-After": "1"}))),
    "401": Fault("401", then=refused(refusal(401, "Unauthorized"))),
    "403": Fault("403", then=refused(refusal(403, "Forbidden"))),
    "502-html": Fault(
        "502 with a page of HTML",
        then=refused(Answer(502, HTML, {"Content-Type": "text/html"})),
    ),
    "reset": Fault("reset in the middle of an event", CutFrame()),
    "error-event": Fault(
        "500, then 429, in the stream",
        Say(error_event(500, "InternalError"), last=True),
        (
            (
                Say(error_event(429, "TooManyRequests"), last=True),
                Where(verbs=WATCHES, target=TARGET),
            ),
        ),
    ),
    "truncated-line": Fault("a line that ends in its middle", CutLine()),
    "5mib-event": Fault("an event of 5 MiB", Inflate(5 * 2**20)),
    "closes-at-once": Fault(
        "every watch closes at once",
        then=((End(), Where(verbs=WATCHES, target=TARGET, times=FOR_EVER)),),
        during=False,
        window=WINDOW,
    ),
    "down": Fault("nobody listens for 2 s", Break(), outage=OUTAGE),
    "missed-delete": Fault(
        "a delete in a gap",
        Say(error_event(410, "Expired"), last=True),
        forgets=True,
        deletes=True,
    ),
    "half-open": Fault("bytes stop, no FIN", Silence(), patience=HALF_OPEN_PATIENCE),
}
