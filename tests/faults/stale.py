"""What can be old at a call: the points of the group ``stale``, and how they are armed.

T1: the controller dies at a write that destroys, and what it is told at its next start is a world
that was. T2: a live read is answered with what the object was. T4 (``recreated``) is a user's doing
and is run with those, by ``tests/faults/disturbed.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tests.faults.external import wire_of
from tests.faults.pasts import DELETING, FIRST, Former, earlier, world
from tests.faults.seam import STALE, Fault, Point, Seen, Strike
from tests.faults.wire import LETTER as SQL
from tests.faults.wire import Turn
from tests.fix_operator import DATABASES, SERVERS
from tests.proxy.rules import Answer, Do, Made

from hybridpg.controller import SECRETS

if TYPE_CHECKING:
    from tests.faults.lane import Lane

BEFORE: Final = "travel-before-"
COMMITTED: Final = "travel-committed-"
GET: Final = "get-"
TRAVELS: Final = (
    *(Fault(STALE, f"{COMMITTED}{back}") for back in ("1", "2", FIRST)),
    *(Fault(STALE, f"{BEFORE}{back}") for back in ("1", FIRST)),
)
TO_DELETION: Final = Fault(STALE, f"{COMMITTED}{DELETING}")
READS: Final = (Fault(STALE, f"{GET}1"), Fault(STALE, f"{GET}{FIRST}"))
RECREATED: Final = Fault(STALE, "recreated")
"""The object is gone and made anew, under a new UID, while the call is under way."""
RECREATED_READ: Final = Fault(STALE, "recreated-read")
"""The same, once a live read was answered and before its answer arrives."""
RECREATIONS: Final = (RECREATED, RECREATED_READ)
READ: Final = tuple(f"/{kind.plural}/" for kind in (DATABASES, SERVERS, SECRETS))
PLATFORM: Final = "/platform/"
"""The administrator's Secret has one version only."""


def destructive(seen: Seen) -> bool:
    """Return whether a call takes away what only a right view of the world may take away.

    That is data, a password, a Secret, a finalizer, or a mark by which a thing is known.
    """
    target = seen.call.target
    if seen.call.seam == SQL:
        return seen.destroys or " ALTER ROLE " in f" {target} " or " COMMENT ON ROLE " in target
    if seen.call.verb == "DELETE":
        return True
    return seen.call.verb == "PATCH" and (
        "remove /metadata/finalizers" in seen.detail or "metadata.ownerReferences" in seen.detail
    )


def faults(seen: Seen, last: Seen | None, *, deletes: bool) -> Sequence[Fault]:
    """Return what can be old at a call of a clean run.

    ``last`` is its last write; ``deletes`` is whether a database was being deleted in it.
    """
    target = seen.call.target
    if seen.call.verb == "GET" and any(kind in target for kind in READ) and PLATFORM not in target:
        return READS if SECRETS.plural in target else (*READS, RECREATED_READ)
    if not seen.writes or "/events" in target:
        return ()
    after = (TO_DELETION,) if seen is last and deletes else ()
    if destructive(seen):
        return (*TRAVELS, RECREATED, *after)
    return (*TRAVELS[:3], *after) if seen is last else ()


def last_write(seen: Sequence[Seen]) -> Seen | None:
    """Return the last call of a run that changed an object of ours."""
    found = [each for each in seen if each.writes and "/events" not in each.call.target]
    return found[-1] if found else None


def arm(lane: Lane, point: Point) -> Strike:
    """Let the point's fault happen when its call comes."""
    strike = Strike(point)
    kind, call = point.fault.kind, point.call
    if kind.startswith(GET):
        return lane.kube.strike(strike, Made(lambda: _former(lane, point)))
    committed = kind.startswith(COMMITTED)
    back = kind.removeprefix(COMMITTED if committed else BEFORE)

    def travel() -> None:
        lane.kill()
        for resource in (SERVERS, DATABASES):
            lane.kube.formers[resource.plural] = Former(
                lane.trace, resource, lambda: world(lane.view.worlds(), back)
            )

    async def rule(turn: Turn) -> None:
        strike.hit()
        if committed:
            await turn.commit()
        travel()
        turn.reset()

    if call.seam != SQL:
        return lane.kube.strike(strike, Do(travel, committed=committed))
    wire_of(lane).at(call, rule)
    return strike


def _former(lane: Lane, point: Point) -> Answer:
    """Return the answer that a read would have had earlier."""
    *_, plural, name = point.call.target.split("/")
    versions = lane.view.versions(plural, name)
    if not versions:
        return Answer(404, b'{"kind":"Status","status":"Failure","reason":"NotFound","code":404}')
    obj = earlier(versions, point.fault.kind.removeprefix(GET))
    return Answer(200, json.dumps(obj).encode())
