"""Which calls are struck by an old view, and what an API server that is behind says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.faults import stale
from tests.faults.pasts import DELETING, FIRST, Former, Moment, earlier, world
from tests.faults.seam import Call, Seen, Trace
from tests.fix_operator import DATABASES, SERVERS
from tests.proxy.streams import Broken, Lines

DATABASE = "/apis/group/v1/namespaces/tenant/postgresqldatabases/app"
SECRET = "/api/v1/namespaces/tenant/secrets/app-login"


def seen(seam: str, verb: str, target: str, detail: str = "", *, writes: bool = True) -> Seen:
    """Return a call of a clean run."""
    destroys = verb in ("DROP", "DELETE")
    return Seen(Call(seam, verb, target, 1), writes, destroys, 1, 0.0, detail=detail)


@pytest.mark.parametrize(
    "call",
    [
        seen("S", "DROP", "postgres DROP DATABASE IF EXISTS _ WITH (FORCE)"),
        seen("S", "DROP", "postgres DROP ROLE IF EXISTS _"),
        seen("S", "ALTER", "postgres ALTER ROLE _ PASSWORD _"),
        seen("S", "COMMENT", "postgres COMMENT ON ROLE _ IS _"),
        seen("K", "DELETE", SECRET),
        seen("K", "PATCH", DATABASE, "test /metadata/uid remove /metadata/finalizers/0"),
        seen("K", "PATCH", SECRET, "metadata.ownerReferences metadata.resourceVersion"),
    ],
    ids=lambda call: f"{call.call.verb} {call.detail[:20]}",
)
def test_at_what_cannot_be_undone_the_controller_travels_in_time(call):
    assert stale.faults(call, None, deletes=False) == (*stale.TRAVELS, stale.RECREATED)


@pytest.mark.parametrize(
    "call",
    [
        seen("S", "CREATE", "postgres CREATE DATABASE _ OWNER _"),
        seen("K", "PATCH", DATABASE, "test /metadata/uid add /metadata/finalizers"),
        seen("K", "POST", "/apis/events.k8s.io/v1/namespaces/tenant/events/app.*"),
    ],
    ids=lambda call: call.call.target[:20],
)
def test_other_writes_are_struck_by_an_old_view_only_as_the_last(call):
    assert stale.faults(call, None, deletes=False) == ()


def test_behind_the_last_write_everything_that_was_is_seen_once_more():
    write = seen("K", "PATCH", f"{DATABASE}/status", "status.conditions")
    event = seen("K", "POST", "/apis/events.k8s.io/v1/namespaces/tenant/events/app.*")
    assert stale.last_write([write, event]) is write
    assert stale.faults(write, write, deletes=False) == stale.TRAVELS[:3]
    assert stale.last_write([event]) is None


def test_what_was_deleted_and_made_again_is_once_more_seen_being_deleted():
    """T4: its successor has the same name, is Ready, and must not be taken for it."""
    write = seen("K", "PATCH", f"{DATABASE}/status", "status.conditions")
    assert stale.faults(write, write, deletes=True) == (*stale.TRAVELS[:3], stale.TO_DELETION)
    assert stale.faults(write, None, deletes=True) == ()


def moment(name: str, *, deleting: bool) -> Moment:
    """Return a moment with one database."""
    metadata = {"name": name} | ({"deletionTimestamp": "now"} if deleting else {})
    return Moment({}, {(DATABASES.plural, "app"): {"metadata": metadata}})


def test_the_last_deletion_is_found_and_else_the_beginning():
    moments = [moment(name, deleting=name in "bc") for name in "abcd"]
    assert world(moments, DELETING) is moments[2]
    assert world(moments[:1], DELETING) is moments[0]
    assert world(moments, "1") is moments[2]


def test_live_reads_are_answered_with_what_was_but_not_those_of_what_never_changes():
    read = seen("K", "GET", DATABASE, writes=False)
    assert stale.faults(read, None, deletes=False) == (*stale.READS, stale.RECREATED_READ)
    assert stale.faults(seen("K", "GET", SECRET, writes=False), None, deletes=False) == stale.READS
    admin = "/api/v1/namespaces/platform/secrets/admin"
    assert stale.faults(seen("K", "GET", admin, writes=False), None, deletes=False) == ()


@pytest.mark.parametrize(
    ("back", "found"), [("0", "c"), ("1", "b"), ("2", "a"), ("9", "a"), (FIRST, "a")]
)
def test_the_past_is_counted_back_from_now_and_ends_at_the_beginning(back, found):
    assert earlier(["a", "b", "c"], back) == found


async def test_an_api_server_that_is_behind_lists_what_was_and_then_breaks_the_watch():
    """Whoever opens it again at the version of that list is told of all that came after."""
    obj = {"kind": "PostgreSQLDatabase", "metadata": {"name": "app", "resourceVersion": "7"}}
    other = {"kind": "PostgreSQLServer", "metadata": {"name": "pg", "resourceVersion": "5"}}
    moment = Moment(
        {DATABASES.plural: "8", SERVERS.plural: "6"},
        {(DATABASES.plural, "app"): obj, (SERVERS.plural, "pg"): other},
    )
    said: list[dict[str, Any]] = []
    former = Former(Trace(), DATABASES, lambda: moment, seconds=0.0)
    with pytest.raises(Broken):
        await _read(former.perturb(_nothing()), said)
    assert [event["type"] for event in said] == ["ADDED", "BOOKMARK"]
    assert said[0]["object"] == obj
    metadata = said[1]["object"]["metadata"]
    assert metadata["resourceVersion"] == "8"
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}


async def _read(lines: Lines, said: list[dict[str, Any]]) -> None:
    """Keep what is said up to the break."""
    async for line in lines:
        said += [json.loads(line)]


async def _nothing() -> Lines:
    await asyncio.sleep(0)
    return
    yield b""
