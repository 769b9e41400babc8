"""What must hold after every point, whatever went wrong; each oracle returns its violations.

The numbers are those of the table in ``docs/reliability.md``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
from tests.faults import snapshot
from tests.faults.actions import DATABASE, PAIR
from tests.faults.lane import Lane
from tests.faults.recording import Recording, statements
from tests.faults.sampler import locked_out
from tests.faults.seam import Seen
from tests.faults.workloads import Workload
from tests.fix_operator import DATABASES, SERVERS, decoded

from hybridpg.controller import SECRETS

BAD_LOG = re.compile(
    r"never retrieved|never awaited|was destroyed|Unclosed|Fatal Python|^Traceback \(most recent"
)
EXPECTED = ("hybridpg.", "psycopg.", "aiohttp.")
"""Where the errors are from that a pass may end with: they are logged, and it is tried again."""
LOG_LINES = 3


def o1_same_objects(lane: Lane, wanted: Recording) -> Iterator[str]:
    """O1: what Kubernetes holds is what an undisturbed run leaves."""
    found = snapshot.of_kubernetes(lane.view.current.items(), lane.names)
    yield from (f"O1 {line}" for line in snapshot.differences(wanted.kubernetes, found))


def o2_same_databases(lane: Lane, wanted: Recording) -> Iterator[str]:
    """O2: databases, roles and rights are the same, and no database was made again."""
    found = lane.world()
    yield from (f"O2 {line}" for line in snapshot.differences(wanted.postgres, found))
    oids = lane.sampler.oids(DATABASE)
    if len(oids) > wanted.oids:
        yield f"O2 database {DATABASE} was made {len(oids)} times, not {wanted.oids}"


def o3_logins(lane: Lane) -> Iterator[str]:
    """O3: the Secret of whatever is Ready logs in, verified, and can make a table."""
    for obj in lane.view.objects():
        conditions = (obj.get("status") or {}).get("conditions") or []
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        if obj["kind"] != DATABASES.kind or not ready:
            continue
        name = obj["spec"]["credentialsSecret"]
        secret = lane.view.get(SECRETS, name)
        if secret is None:
            yield f"O3 {obj['metadata']['name']} is Ready without secret {name}"
        else:
            yield from _login(lane, name, decoded(secret))


def _login(lane: Lane, name: str, values: dict[str, str]) -> Iterator[str]:
    authority = lane.folder / "authority.crt"
    authority.write_text(values.get("ca.crt", ""))
    try:
        with psycopg.connect(
            host=values["host"],
            port=values["port"],
            dbname=values["dbname"],
            user=values["username"],
            password=values["password"],
            sslmode="verify-full",
            sslrootcert=str(authority),
            connect_timeout=5,
            autocommit=True,
        ) as connection:
            connection.execute("CREATE TABLE public.trial (value int)")
            connection.execute("DROP TABLE public.trial")
    except (psycopg.Error, KeyError) as error:
        yield f"O3 secret {name} does not work: {type(error).__name__}: {error}"


def o4_verifiers(lane: Lane, workload: Workload, wanted: Recording) -> Iterator[str]:
    """O4: the password changed exactly as often as it was asked for."""
    verifiers = len(lane.sampler.verifiers(workload.role))
    if verifiers != wanted.verifiers:
        yield f"O4 the role had {verifiers} passwords, not {wanted.verifiers}"
    published = len(lane.view.published_by(workload.login))
    if published != wanted.published:
        yield f"O4 the secret published {published} passwords, not {wanted.published}"


def o6_counts(lane: Lane, wanted: Recording) -> Iterator[str]:
    """O6: nothing is made or dropped more often, but for one repetition that failed or lost."""
    for what, count in statements(lane.trace.seen).items():
        allowed = wanted.statements.get(what, 0)
        if count > allowed + 1 or (not allowed and count):
            yield f"O6 {what} came {count} times, not {allowed}"


def o7_live_reads(lane: Lane) -> Iterator[str]:
    """O7: what destroys data follows a live read of its object by the same process."""
    read: set[int] = set()
    for seen in lane.trace.seen:
        if seen.call.verb == "GET" and seen.call.target.rpartition("/")[0].endswith(
            (DATABASES.plural, SERVERS.plural)
        ):
            read.add(seen.child)
        if seen.destroys and seen.call.seam == "S" and seen.child not in read:
            yield f"O7 {seen.call} follows no live read of its object"
        if seen.destroys and seen.call.seam == "K":
            wanted = ("preconditions.uid", "preconditions.resourceVersion")
            if not all(each in seen.detail.split() for each in wanted):
                yield f"O7 {seen.call} has no preconditions: {seen.detail}"


def o8_steady(lane: Lane, calls: list[Seen]) -> Iterator[str]:
    """O8: a controller that looks at everything again writes nothing anywhere."""
    yield from (f"O8 a resync wrote {seen.call} {seen.detail}" for seen in calls if seen.writes)


def o9_no_leaks(lane: Lane, said: str) -> Iterator[str]:
    """O9: no password is in a log, an event, a status or the arguments of a process."""
    passwords = {*lane.view.published(), *lane.secrets}
    status = [str((obj.get("status"), obj["metadata"])) for obj in lane.view.objects()]
    places = {"log of the controller": said, "status": " ".join(status)}
    if lane.child is not None:
        places["arguments"] = lane.child.command_line().decode(errors="replace")
    for place, text in places.items():
        if any(password in text for password in passwords):
            yield f"O9 a password is in the {place}"


def o10_clean_log(lane: Lane, said: str) -> Iterator[str]:
    """O10: nothing happened that nobody was prepared for."""
    if lane.deaths:
        yield f"O10 the controller ended by itself: {said[-500:]}"
    lines = said.splitlines()
    for number, line in enumerate(lines):
        if BAD_LOG.search(line) or _unexpected(line):
            yield f"O10 the log says: {' / '.join(lines[number : number + LOG_LINES])[:1500]}"
            return


def _unexpected(line: str) -> bool:
    """Return whether a line of the log tells of an error that is no error of ours."""
    try:
        exception = str(json.loads(line).get("exception", ""))
    except ValueError:
        return False
    last = exception.strip().splitlines()[-1:] or [EXPECTED[0]]
    return not last[0].startswith(EXPECTED)


def o11_some_password_works(lane: Lane, workload: Workload) -> Iterator[str]:
    """O11: at every moment some published password logs in."""
    if workload.loses_secret:
        return  # the user made it so; that it is mended is O3
    versions = [v for v in lane.view.history if v.name in workload.logins]
    yield from (
        f"O11 {line}" for line in locked_out(lane.sampler.samples, workload.role, versions)[:1]
    )


def sentinel(lane: Lane, workload: Workload, wanted: Recording) -> Iterator[str]:
    """O2: the row that was there before is there after, where the database is the same."""
    databases: list[Any] = [row[0] for row in wanted.postgres["databases"]]
    if workload.setting == PAIR and DATABASE in databases and wanted.oids == 1:
        try:
            rows = lane.sql.run("SELECT value FROM kept", DATABASE)
        except psycopg.Error as error:
            yield f"O2 the row is lost: {error}"
            return
        if rows != [(42,)]:
            yield f"O2 the row is lost: {rows}"
