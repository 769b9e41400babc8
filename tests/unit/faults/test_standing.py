"""Which points leaders have, and which of them the gate runs."""

from __future__ import annotations

import itertools
import os
import socket

import pytest
from tests.faults import selection, standing
from tests.faults.replicas import inode_of, sockets
from tests.faults.seam import CRASH_BEFORE, LEADERS, Call, Point, Seen

NAMES = [f"secrets/s{number}" for number in range(60)]


def seen(verb: str, target: str, *, writes: bool) -> Seen:
    """Return a call of an undisturbed run."""
    return Seen(Call("K", verb, target, 1), writes, False, 1, 0.0)


def points(workload: str) -> list[Point]:
    """Return the points of leaders of a workload with many calls."""
    calls = [seen("PATCH", name, writes=True) for name in NAMES]
    calls += [seen("GET", name, writes=False) for name in NAMES]
    return [Point(workload, each.call, fault) for each in calls for fault in standing.faults(each)]


def test_at_a_write_the_leader_is_struck_before_and_behind_it_and_in_its_lease_and_clock():
    found = standing.faults(seen("POST", "secrets/a", writes=True))
    assert found[:2] == (standing.ANSWERED, standing.LATE)
    assert found[2] in standing.LEASE_FAULTS
    assert found[3] in standing.CLOCKS
    assert standing.faults(seen("POST", "secrets/a", writes=True)) == found


@pytest.mark.parametrize("verb", ["GET", "SELECT"])
def test_behind_a_read_it_stands_still_before_the_write_that_follows(verb):
    assert standing.faults(seen(verb, "secrets/a", writes=False)) == (standing.ANSWERED,)


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("POST", "/apis/events.k8s.io/v1/namespaces/tenant/events/a.*"),
        ("WATCH", "x"),
        ("LIST", "x"),
    ],
)
def test_events_and_watches_are_nothing_of_leaders(verb, target):
    assert standing.faults(seen(verb, target, writes=verb == "POST")) == ()


def test_all_calls_together_have_every_trouble():
    assert {point.fault for point in points("create")} == {
        standing.ANSWERED,
        standing.LATE,
        *standing.LEASE_FAULTS,
        *standing.CLOCKS,
    }


def test_the_gate_has_a_sample_of_writes_that_is_always_the_same():
    everything = [*points("create"), *points("delete"), *points("rotate")]
    sample = standing.sampled(everything)
    assert len(sample) == standing.SAMPLE
    assert len({(point.workload, point.fault) for point in sample}) == standing.SAMPLE
    assert all(point.call.verb == "PATCH" for point in sample)
    assert {point.workload for point in sample} == {"create", "delete", "rotate"}
    assert standing.sampled(list(reversed(everything))) == sample


def test_the_gate_runs_the_sample_beside_the_points_of_other_groups():
    crashes = [Point("create", Call("K", "PATCH", name, 1), CRASH_BEFORE) for name in NAMES]
    mixed = sorted([*points("create"), *crashes], key=lambda point: str(point.call))
    chosen = selection.gate(mixed)
    leaders = [point for point in chosen if point.fault.group == LEADERS]
    assert sorted(leaders) == sorted(standing.sampled(points("create")))
    assert len(chosen) - len(leaders) == len(NAMES)


def test_a_connection_is_told_by_the_ports_of_both_its_ends():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, (_, theirs) = server.accept()
            inode = inode_of(theirs, port)
            assert inode == str(os.fstat(client.fileno()).st_ino)
            assert inode != inode_of(port, theirs) == str(os.fstat(accepted.fileno()).st_ino)
            assert inode in sockets(os.getpid())
            assert inode_of(theirs, 1) == ""
            accepted.close()
    assert inode not in sockets(os.getpid())


def test_a_process_that_has_gone_has_no_sockets():
    gone = next(pid for pid in itertools.count(2**22 + 1) if not os.path.exists(f"/proc/{pid}"))
    assert sockets(gone) == set()
