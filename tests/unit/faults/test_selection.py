"""Which points the gate takes, and that a point is what it is called."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.faults.__main__ import is_of_time
from tests.faults.experiment import Result
from tests.faults.mutants import KILLED_BY, MUTANTS
from tests.faults.recording import Recording, comparable, is_counted
from tests.faults.seam import CRASH, LEADERS, STALE, USER, Call, Fault, Point, Trace
from tests.faults.selection import SAMPLED, gate, spread

PATCH = Call("K", "PATCH", "/api/v1/namespaces/tenant/secrets/app-login", 2)
KINDS = ("crash/before", "crash/committed", "error/500", "error/503", "error/409")


def points(calls: int = 40) -> list[Point]:
    return [
        Point("database-rotate", Call("K", "PATCH", f"/secrets/s{number}", 1), Fault.parse(kind))
        for number in range(calls)
        for kind in KINDS
    ]


def test_a_point_is_read_as_it_was_written():
    point = Point("database-rotate", PATCH, Fault("error", "reset-committed"))
    assert Point.parse(str(point)) == point


def test_occurrences_are_counted_from_the_action_on():
    trace = Trace(lambda: 0.0)
    first, second = (trace.note("K", "GET", "/a", writes=False).call for _ in range(2))
    assert (first.occurrence, second.occurrence) == (1, 2)
    trace.begin()
    assert trace.note("K", "GET", "/a", writes=False).call == first
    assert len(trace.seen) == 1


def test_the_gate_has_all_crashes_and_another_fault_at_each_second_call():
    chosen = gate(points(80))
    groups = Counter(point.fault.group for point in chosen)
    assert groups[CRASH] == 160
    assert 30 <= groups["error"] <= 50
    others = Counter(point.call for point in chosen if point.fault.group != CRASH)
    assert set(others.values()) == {1}
    assert {point.fault.kind for point in chosen} == {k.partition("/")[2] for k in KINDS}


def test_the_gate_is_the_same_in_each_run():
    assert gate(points()) == gate(points())


def test_the_gate_waits_for_no_statement_and_samples_points_of_two_leaders():
    hang = Point("create", Call("S", "SELECT", "app SELECT", 1), Fault("error", "hang-before"))
    leaders = [
        Point("create", Call("K", "PATCH", f"/{number}", 1), Fault(LEADERS, "late"))
        for number in range(50)
    ]
    assert gate([hang]) == []
    assert 0 < len(gate(leaders)) < 50


@pytest.mark.parametrize(("verb", "counted"), [("PATCH", True), ("GET", False), ("SELECT", False)])
def test_reads_may_come_more_or_less_often(verb: str, counted: bool):
    call = str(Call("K", verb, "/x", 3))
    assert is_counted(call, "create") is counted
    assert comparable(call, "create") == (call if counted else f"K {verb} /x")


@pytest.mark.parametrize(
    ("call", "counted"),
    [
        (Call("K", "PATCH", "/postgresqlservers/pg/status", 2), False),
        (Call("K", "EVENT", "postgresqlservers/pg/MODIFIED", 2), False),
        (Call("K", "PATCH", "/secrets/pg-login", 1), True),
        (Call("P", "RUN", "initdb", 1), True),
        (Call("P", "RUN", "postgres", 2), False),
    ],
)
def test_what_tells_of_work_in_the_background_may_come_more_or_less_often(
    call: Call, counted: bool
):
    assert is_counted(str(call), "local-create") is counted


def test_two_clean_runs_must_write_the_same():
    calls: list[tuple[str, list[str]]] = [("K PATCH /x #1", []), ("K GET /y #1", [])]
    one, other = Recording("create", calls), Recording("w", [*calls, ("K PATCH /x #2", [])])
    assert one.differs_from(other) == ["K PATCH /x #2"]
    assert one.differs_from(Recording("create", calls[:1])) == []
    one.merge(Recording("create", calls[:1]))
    assert (one.calls, one.sometimes) == (calls[:1], ["K GET /y #1"])


@pytest.mark.parametrize(
    ("violations", "again"),
    [
        ([], False),
        (["liveness: create is not over after 20 s"], True),
        (["the point was not reached: the controller took another way"], True),
        (["liveness: create is not over after 20 s", "O2 database app was made 2 times"], False),
        (["O11 no published password logs in as app at 1.000"], False),
    ],
)
def test_only_what_came_too_late_is_tried_once_more(violations: list[str], again: bool):
    assert is_of_time(Result("point", 1.0, violations)) is again


def test_each_planted_defect_has_points_that_must_find_it():
    assert KILLED_BY.keys() == MUTANTS.keys()


def test_of_users_and_of_the_spec_the_gate_has_a_fair_sample():
    """Every kind in every workload comes before any comes twice."""
    everything = [
        Point(workload, Call("K", "PATCH", f"/{number}", 1), Fault(USER, kind))
        for workload in ("create", "database-rotate")
        for number in range(50)
        for kind in ("secret-deleted", "server-deleted", "role-nologin")
    ]
    chosen = gate(everything)
    assert len(chosen) == SAMPLED[USER]
    counts = Counter((point.workload, point.fault.kind) for point in chosen)
    assert len(counts) == 6
    assert max(counts.values()) - min(counts.values()) <= 1
    assert spread(list(reversed(everything)), 9) == spread(everything, 9)


def test_the_gate_has_every_point_of_an_old_view():
    old = [Point("create", PATCH, Fault(STALE, kind)) for kind in ("get-1", "recreated")]
    assert gate(old) == old
