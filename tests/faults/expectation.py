"""What must be after somebody interfered: the written expectation, where no clean run is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import psycopg
from tests.faults import oracles
from tests.faults.actions import DATABASE, DATABASE_LOGIN, PAIR, SERVER, login_is_back
from tests.faults.interference import CONFLICTS, Interference
from tests.faults.lane import Lane
from tests.faults.recording import Recording
from tests.faults.workloads import Workload
from tests.fix_operator import DATABASES, SERVERS, is_settled

from hybridpg.controller import SECRETS, JsonObject

READY: Final = "Ready"
BLOCKED: Final = "DeletionBlocked"
OBJECT: Final = f"{DATABASES.plural}/{DATABASE}"
SECRET: Final = f"{SECRETS.plural}/{DATABASE_LOGIN}"
_CAN_LOGIN: Final = re.compile(r"O2 /roles/\d+/4: ")
"""A difference in ``rolcanlogin``, the fifth column of :mod:`tests.faults.snapshot`."""
_GONE: Final = re.compile(r"O2 /(databases|inside): .* became \[\]$")
"""The database is gone, and with it what was in it."""


def reason(obj: JsonObject) -> str:
    """Return the reason of the condition Ready, empty where the object was not looked at."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((str(c["reason"]) for c in conditions if c["type"] == READY), "")


def ended(lane: Lane, workload: Workload, what: Interference) -> bool:
    """Return whether every object is in a state that needs somebody, or nobody, to act."""
    if what.empties:
        return nobody_left(lane)
    allowed = what.ends | (frozenset() if workload.logins else CONFLICTS)
    for obj in lane.view.objects():
        deleting = "deletionTimestamp" in obj["metadata"]
        if obj["kind"] == SERVERS.kind:
            waits = deleting and reason(obj) == BLOCKED
            if not waits and (deleting or not is_settled(obj)):
                return False
        elif deleting or not (is_settled(obj) or reason(obj) in allowed):
            return False
        elif workload.loses_secret and is_settled(obj) and not login_is_back(lane):
            return False  # nobody has looked since it was spoilt
    return True


def nobody_left(lane: Lane) -> bool:
    """Return whether no object of our two kinds is left."""
    return not [*lane.view.objects()]


def judge(
    lane: Lane, workload: Workload, wanted: Recording, what: Interference, *, server_gone: bool
) -> Iterator[str]:
    """Yield what is not as it should be, at rest."""
    obj = lane.view.get(DATABASES, DATABASE)
    yield from _kept(lane, workload, wanted, what, obj)
    if obj is None and (server_gone or OBJECT in wanted.kubernetes):
        if not what.deletes and OBJECT in wanted.kubernetes:
            yield "E the object is gone, and nobody deleted it"
        if not what.abandons:
            yield from _cleaned(lane, workload)
        return
    if obj is not None and not is_settled(obj):
        return  # in a defined end state, or it would not be over
    if what.abandons and OBJECT not in wanted.kubernetes:
        return
    yield from _same(lane, wanted, what, retained=obj is None)


def _kept(
    lane: Lane, workload: Workload, wanted: Recording, what: Interference, obj: JsonObject | None
) -> Iterator[str]:
    """Nothing is lost that policy does not allow: the rows of a database that is still there."""
    if workload.setting != PAIR or what.drops_rows or wanted.oids != 1:
        return
    databases = {str(name) for name, *_ in lane.sql.run("SELECT datname FROM pg_database")}
    if DATABASE not in databases:
        must_stay = obj is not None and not what.abandons and OBJECT in wanted.kubernetes
        if must_stay or workload.policy == "Retain":
            yield "E the database is lost"
        return
    if what.abandons and lane.sampler.oids(DATABASE)[1:]:
        return  # the one that the deletion took is followed by the one of the new object
    try:
        rows = lane.sql.run("SELECT value FROM kept", DATABASE)
    except psycopg.Error as error:
        yield f"E the row is lost: {error}"
        return
    if rows != [(42,)]:
        yield f"E the row is lost: {rows}"


def _cleaned(lane: Lane, workload: Workload) -> Iterator[str]:
    """A deletion leaves what its policy says, and nothing else."""
    left = lane.sql.run(
        "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database"
        " WHERE datname = 'app' UNION ALL "
        "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_authid WHERE rolname = 'app'"
    )
    secret = lane.view.get(SECRETS, DATABASE_LOGIN)
    if workload.policy == "Retain":
        if len(left) != 2 or not any("retained" in str(mark) for _, mark in left):
            yield f"E policy Retain left {left}"
        if secret is not None and secret["metadata"].get("ownerReferences"):
            yield "E the secret of a retained database goes with its object"
        return
    if left and workload.logins:
        yield f"E policy Delete left {left}"
    if secret is not None:
        yield "E policy Delete left the secret"


def _same(lane: Lane, wanted: Recording, what: Interference, *, retained: bool) -> Iterator[str]:
    """Where everything can be as in a clean run it is; how often a password changed is open."""
    for line in oracles.o1_same_objects(lane, wanted):
        if retained and what.spoils_login and f"/{SECRET}" in line:
            continue
        if what.spoils_login and ("lastRotation" in line or "/rotation" in line):
            continue
        yield line
    for line in oracles.o2_same_databases(lane, wanted):
        if retained and what.forbids_login and _CAN_LOGIN.match(line):
            continue
        if retained and what.drops_rows and _GONE.match(line):
            continue  # nobody makes again what no object asks for
        if not (what.drops_rows and ("table kept" in line or "was made" in line)):
            yield line


def server_waits(lane: Lane) -> bool:
    """Return whether the server is there, and to be deleted."""
    obj = lane.view.get(SERVERS, SERVER)
    return obj is not None and "deletionTimestamp" in obj["metadata"]


def orphaned(lane: Lane) -> bool:
    """Return whether a database that was bound to its server is there without it."""
    obj = lane.view.get(DATABASES, DATABASE)
    bound = obj is not None and bool((obj.get("status") or {}).get("externalName"))
    return bound and lane.view.get(SERVERS, SERVER) is None
