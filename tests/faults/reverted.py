"""Points of the group ``spec``: a field is changed, and changed back.

What the schema refuses changes nothing anywhere. What it lets through is carried out, or status
says why not. Once the spec is what it was so is the world: the same database with its rows, the
same password, and nothing left to write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from http import HTTPStatus

from tests.faults import oracles
from tests.faults.actions import DATABASE, SERVER, pair_is_ready
from tests.faults.expectation import reason
from tests.faults.experiment import Result, at_rest, steady, story
from tests.faults.fields import TO_GOOD, TO_UNFIT, TO_WRONG, Leaf, leaf_of
from tests.faults.lane import CAP_SECONDS, Lane, Stuck, keeps_setting
from tests.faults.recording import Recording
from tests.faults.seam import Fault, Point
from tests.faults.workloads import WORKLOADS, Workload
from tests.fix_operator import SERVERS

from hybridpg.controller import ApiError, JsonObject, JsonPatch

REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
EXTENSIONS = "postgresqldatabases/database.extensions"
REMARKED = ("unsupportedFields", "effective")
"""Where status says that a good value means nothing here."""


async def reverted(lane: Lane, point: Point, recording: Recording) -> Result:
    """Run one point; :func:`tests.faults.experiment.experiment` for points of the spec."""
    workload, leaf = WORKLOADS[point.workload], leaf_of(point.call)
    began = time.monotonic()
    violations: list[str] = []
    try:
        lane.cap = CAP_SECONDS
        lane.configure(workload)
        await lane.set_up(workload)
        lane.log.write_text("")
        lane.begin()
        taken = await _change(lane, leaf, point.fault, violations)
        violations += [each async for each in _judged(lane, workload, recording, again=taken)]
    except Stuck as stuck:
        violations.append(f"liveness: {stuck}")
    told = story(lane) if violations else []
    if violations:
        lane.kill()
    lane.setting = "" if violations else keeps_setting(workload)
    return Result(str(point), time.monotonic() - began, violations, told)


async def _change(lane: Lane, leaf: Leaf, fault: Fault, violations: list[str]) -> bool:
    """Change the field and change it back; return whether the API server took it."""
    name = SERVER if leaf.kind is SERVERS else DATABASE
    before = _object(lane, leaf, name)
    try:
        await lane.view.patch(leaf.kind, name, leaf.patch(fault))
    except ApiError as error:
        if error.status not in REFUSED:
            violations.append(f"spec: refused otherwise than by the schema: {error}")
        if fault == TO_GOOD and "immutable" not in str(error):
            violations.append(f"spec: a good value is refused: {error}")
        return False
    if fault == TO_WRONG:
        violations.append(f"spec: the schema lets {leaf.value(fault)!r} through")

    def looked_at() -> bool:
        obj = _object(lane, leaf, name)
        seen = (obj.get("status") or {}).get("observedGeneration")
        return seen == obj["metadata"]["generation"] and lane.quiet()

    await lane.until(looked_at, "the look at the change")
    changed = _object(lane, leaf, name)
    if fault == TO_UNFIT and not _explained(before, changed):
        violations.append(f"spec: nothing says that {leaf.value(fault)!r} cannot be had")
    restored = JsonPatch(({"op": "replace", "path": "/spec", "value": before["spec"]},))
    await lane.client.patch(leaf.kind, lane.view.key(name), restored)
    await lane.view.up_to_date()
    await lane.until(lambda: pair_is_ready(lane) and lane.quiet(), "the way back")
    if (str(leaf), fault) == (EXTENSIONS, TO_GOOD):
        violations += _removed(lane, leaf.value(fault))
    return True


def _removed(lane: Lane, extensions: Sequence[str]) -> Iterator[str]:
    """Remove extensions by hand: nobody else may, as what they hold goes with them."""
    there = {str(name) for name, *_ in lane.sql.run("SELECT extname FROM pg_extension", DATABASE)}
    yield from (f"spec: extension {each} is gone" for each in extensions if each not in there)
    lane.sql.run(f"DROP EXTENSION IF EXISTS {', '.join(extensions)}", DATABASE)


def _object(lane: Lane, leaf: Leaf, name: str) -> JsonObject:
    obj = lane.view.get(leaf.kind, name)
    if obj is None:
        raise Stuck(f"{name} is gone")
    return obj


def _explained(before: JsonObject, after: JsonObject) -> bool:
    """Return whether an object says what it did not before: that its spec cannot be carried out."""
    news = any(before["status"].get(key) != after["status"].get(key) for key in REMARKED)
    return reason(after) != "Available" or news


async def _judged(
    lane: Lane, workload: Workload, wanted: Recording, *, again: bool
) -> AsyncIterator[str]:
    await lane.view.up_to_date()
    await lane.until(lambda: bool(lane.sampler.samples), "a look at the server")
    if not again:
        for seen in lane.trace.writes():
            yield f"spec: what was refused led to {seen.call}"
    for violation in oracles.o4_verifiers(lane, workload, wanted):
        yield violation
    for violation in oracles.o6_counts(lane, wanted):
        yield violation
    for violation in oracles.o11_some_password_works(lane, workload):
        yield violation
    if again:
        async for violation in steady(lane):
            yield violation
    said = lane.log.read_text(errors="replace")
    for violation in await asyncio.to_thread(lambda: [*at_rest(lane, workload, wanted, said)]):
        yield violation
