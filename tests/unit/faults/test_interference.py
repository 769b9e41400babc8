"""What a user may do between two writes, and which ends are defined for it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.faults import expectation, interference
from tests.faults.interference import CONFLICTS, INTERFERENCES, KINDS, RECREATION
from tests.faults.lane import Lane
from tests.faults.seam import USER, Call, Fault, Seen
from tests.faults.stale import RECREATED
from tests.faults.workloads import WORKLOADS


class Namespace:
    """A lane of which only the objects matter."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self._objects = objects
        self.view = self

    def objects(self) -> tuple[dict[str, Any], ...]:
        """Return all of them."""
        return self._objects


def obj(kind: str, ready: str, reason: str, *, deleting: bool = False) -> dict[str, Any]:
    """Return an object with a condition Ready of its present generation."""
    metadata: dict[str, Any] = {"name": "app", "generation": 1}
    if deleting:
        metadata["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    condition = {"type": "Ready", "status": ready, "reason": reason}
    status = {"observedGeneration": 1, "conditions": [condition]}
    return {"kind": kind, "metadata": metadata, "status": status}


READY = obj("PostgreSQLDatabase", "True", "Available")
SERVER = obj("PostgreSQLServer", "True", "Available")


def ended(what: str, *objects: dict[str, Any], workload: str = "create") -> bool:
    """Return whether these objects are where they may stay after an interference."""
    lane = cast(Lane, Namespace(*objects))
    return expectation.ended(lane, WORKLOADS[workload], INTERFERENCES[what])


def test_behind_every_write_somebody_can_do_anything_and_behind_reads_and_events_nothing():
    write = Call("K", "PATCH", "/api/v1/namespaces/tenant/secrets/app-login", 1)
    event = Call("K", "POST", "/apis/events.k8s.io/v1/namespaces/tenant/events/app.*", 1)
    assert interference.faults(Seen(write, True, False, 1, 0.0)) == KINDS
    assert interference.faults(Seen(write, False, False, 1, 0.0)) == ()
    assert interference.faults(Seen(event, True, False, 1, 0.0)) == ()


def test_each_fault_is_found_again_by_its_name():
    for kind in KINDS:
        assert interference.of(kind) is INTERFERENCES[kind.kind]
    assert interference.of(RECREATED) is RECREATION
    with pytest.raises(KeyError):
        interference.of(Fault(USER, "nobody-does-this"))


@pytest.mark.parametrize("what", ["secret-deleted", "role-nologin", "database-dropped"])
def test_what_a_user_spoiled_must_be_mended(what):
    failed = obj("PostgreSQLDatabase", "False", "AuthenticationFailed")
    assert ended(what, SERVER, READY)
    assert not ended(what, SERVER, failed)


def test_with_the_namespace_everything_goes():
    assert ended("namespace-deleted")
    assert not ended("namespace-deleted", SERVER, READY)


def test_a_server_to_be_deleted_waits_for_its_database_and_says_so():
    waits = obj("PostgreSQLServer", "False", "DeletionBlocked", deleting=True)
    silent = obj("PostgreSQLServer", "False", "Deleting", deleting=True)
    assert ended("server-deleted", waits, READY)
    assert not ended("server-deleted", silent, READY)
    without = obj("PostgreSQLDatabase", "False", "ServerNotFound")
    assert ended("server-deleted", without)
    assert not ended("secret-deleted", without)


def test_a_database_that_is_being_deleted_is_not_at_its_end():
    going = obj("PostgreSQLDatabase", "True", "Available", deleting=True)
    assert not ended("database-deleted", SERVER, going)
    assert ended("database-deleted", SERVER)


def test_a_conflict_is_an_end_where_the_old_things_were_left_behind_or_are_a_strangers():
    conflict = obj("PostgreSQLDatabase", "False", "Conflict")
    assert ended("finalizer-removed", SERVER, conflict)
    assert not ended("database-deleted", SERVER, conflict)
    assert ended("database-deleted", SERVER, conflict, workload="beside-stranger")
    assert "Conflict" in CONFLICTS
