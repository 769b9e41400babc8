"""The plan of the backend ``local``: only what differs, and nothing that loses data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.backends.local.samples import OWNER, REF, Shelf, spec, state, wishes

from hybridpg.backends import Absent, Change, Conflict, Owner, Present, ServerRef
from hybridpg.backends.local.plan import (
    Certify,
    Configure,
    Create,
    Grow,
    MakeAdmin,
    Restart,
    Start,
    TakeOver,
    plan,
)
from hybridpg.backends.local.state import LocalState
from hybridpg.backends.values import (
    Refused,
)

SHELF = Shelf("15.7", "16.4", "17.0")


def _plan(
    observed: LocalState | None, ref: ServerRef = REF, shelf: Shelf = SHELF, **fields: Any
) -> tuple[Change, ...]:
    seen = Absent() if observed is None else Present(observed)
    return plan(ref, spec(**fields), seen, (wishes(shelf), shelf))


def _kinds(changes: tuple[Change, ...]) -> list[type[Change]]:
    return [type(change) for change in changes]


def test_an_absent_server_is_made_with_all_that_the_spec_asks_for() -> None:
    [create] = _plan(
        None, version="16", size={"storageGB": 5}, serverParameters={"work_mem": "8MB"}
    )
    assert isinstance(create, Create)
    assert (create.major, create.storage_gb, create.settings) == (16, 5, {"work_mem": "8MB"})


def test_a_server_as_it_should_be_needs_nothing() -> None:
    """D67: a second reconcile makes no writes."""
    seen = state(settings={"work_mem": "8MB"}, storage_gb=5)
    assert (
        _plan(seen, version="16", size={"storageGB": 5}, serverParameters={"work_mem": "8MB"}) == ()
    )


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"initialized": False, "running": False, "administered": False}, [Create]),
        ({"running": False, "ready": False}, [Start]),
        ({"running": False, "ready": False, "administered": False}, [Start, MakeAdmin]),
        ({"administered": False}, [MakeAdmin]),
        ({"certified": False}, [Certify]),
    ],
)
def test_whatever_a_crash_left_out_is_planned(
    changes: dict[str, Any], kinds: list[type[Change]]
) -> None:
    assert _kinds(_plan(state(**changes))) == kinds


def test_a_half_made_server_is_finished_in_the_version_it_was_begun_in() -> None:
    [create] = _plan(state(initialized=False, major=15), version="17")
    assert isinstance(create, Create)
    assert create.major == 15


@pytest.mark.parametrize(
    ("before", "asked", "field", "message"),
    [
        ({}, {"work_mem": "8MB"}, "serverParameters", "change work_mem"),
        ({"work_mem": "4MB"}, {"work_mem": "8MB"}, "serverParameters", "change work_mem"),
        ({"work_mem": "4MB"}, {}, "size", "change work_mem"),
    ],
)
def test_a_parameter_is_added_changed_or_given_its_default_again(
    before: dict[str, str], asked: dict[str, str], field: str, message: str
) -> None:
    """S9."""
    [change] = _plan(state(settings=before), serverParameters=asked)
    assert isinstance(change, Configure)
    assert (change.field, change.message, change.settings) == (field, message, asked)


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ("", []),
        ("latest", []),
        ("16", []),
        ("16.1", []),
        ("16.4", []),
        ("99", []),
        ("17", [Refused]),
        ("15", [Refused]),
    ],
)
def test_a_running_server_keeps_its_major(asked: str, kinds: list[type[Change]]) -> None:
    """D58, H15: never a silent upgrade, never a downgrade."""
    changes = _plan(state(), version=asked)
    assert _kinds(changes) == kinds
    assert all("pg_dump" in change.message for change in changes)


def test_a_refused_upgrade_does_not_hold_up_the_rest() -> None:
    changes = _plan(state(), version="17", serverParameters={"work_mem": "8MB"})
    assert _kinds(changes) == [Configure, Refused]


@pytest.mark.parametrize(
    ("running", "asked", "restarts"),
    [
        ("16.3", "16.4", True),
        ("16.4", "16.3", False),
        ("16.3", "16", False),
        ("16.3", "16.9", False),
    ],
)
def test_a_minor_is_a_floor_that_a_restart_reaches(
    running: str, asked: str, restarts: bool
) -> None:
    assert (_kinds(_plan(state(version=running), version=asked)) == [Restart]) is restarts


@pytest.mark.parametrize(
    ("present", "asked", "kind"),
    [(0, 5, Grow), (5, 9, Grow), (5, 5, None), (5, None, None), (5, 2, Refused)],
)
def test_storage_grows_and_never_shrinks(
    present: int, asked: int | None, kind: type[Change] | None
) -> None:
    """S3, D60."""
    changes = _plan(state(storage_gb=present), size={"storageGB": asked} if asked else {})
    assert _kinds(changes) == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("owner", "whose"),
    [
        (None, "nobody we know"),
        (Owner("cluster", "uid-2", "team", "orders"), "team/orders"),
        (Owner("other", "uid-1", "team", "orders"), "team/orders"),
        (replace(OWNER, retained=True), "the deleted object team/orders"),
    ],
)
def test_a_server_of_somebody_else_is_a_conflict_unless_it_is_adopted_by_name(
    owner: Owner | None, whose: str
) -> None:
    """M1, D53."""
    with pytest.raises(Conflict) as conflict:
        _plan(state(owner=owner))
    assert conflict.value.external_name == "team-orders"
    assert conflict.value.owner == owner
    assert whose in str(conflict.value)
    [change] = _plan(state(owner=owner), ref=replace(REF, adopt=True))
    assert isinstance(change, TakeOver)
    assert change.takes_over


def test_what_only_the_servers_own_major_refuses_is_said_by_the_plan() -> None:
    refused = [["work_mem", "odd", "16.4", "not here"]]
    sources = (wishes(SHELF), SHELF)
    for asked in ("", "latest", "16"):
        desired = spec(version=asked, serverParameters={"work_mem": "odd"})
        changes = plan(REF, desired, Present(state(refused=refused)), sources)
        assert sources[0].judge(desired) == ()
        assert [change.message for change in changes] == ["not here (postgresql 16)"]
    [create] = plan(REF, spec(serverParameters={"work_mem": "odd"}), Absent(), sources)
    assert isinstance(create, Create), "another server may take it"


TWO = [
    ["shared_buffers", "4000GB", "16.4", "does not start"],
    ["work_mem", "200MB", "16.4", "does not start"],
]


@pytest.mark.parametrize(
    ("parameters", "changed"),
    [
        ({"shared_buffers": "4000GB", "work_mem": "200MB"}, None),
        ({"shared_buffers": "1GB", "work_mem": "200MB"}, {"1GB", "200MB"}),
        ({"work_mem": "200MB"}, {"200MB"}),
        ({}, set()),
    ],
    ids=["as-it-was", "one-is-another", "one-is-not-asked-for", "none-is"],
)
def test_what_kept_the_server_from_starting_is_tried_again_once_any_of_it_is_another(
    parameters: dict[str, str], changed: set[str] | None
) -> None:
    """One start failed with both: nobody knows which of them was to blame."""
    sources = (wishes(SHELF), SHELF)
    desired = spec(version="16", serverParameters=parameters)
    changes = plan(REF, desired, Present(state(refused=TWO)), sources)
    configures = [change for change in changes if isinstance(change, Configure)]
    if changed is None:
        assert configures == []
        assert len(changes) == 2, "both are said to be refused"
        return
    [configure] = configures
    assert {*configure.settings.values()} == changed
    assert configure.retried == {("shared_buffers", "4000GB"), ("work_mem", "200MB")}
    assert len(changes) == 1


def test_a_refused_value_gives_way_to_that_of_the_size_for_good() -> None:
    """What a pass plans the next one must not undo, or the server is restarted for ever."""
    sources = (wishes(SHELF), SHELF)
    desired = spec(
        version="16", size={"memoryMB": 1024}, serverParameters={"shared_buffers": "4000GB"}
    )
    before = state(refused=TWO[:1])
    [configure] = [
        change
        for change in plan(REF, desired, Present(before), sources)
        if isinstance(change, Configure)
    ]
    assert configure.settings["shared_buffers"] == "256MB"
    assert configure.retried == frozenset()
    after = replace(before, settings=configure.settings)
    changes = plan(REF, desired, Present(after), sources)
    assert [type(change) for change in changes] == [Refused]


@pytest.mark.parametrize("retained", [False, True])
def test_nobody_adopts_a_server_of_another_namespace(retained: bool) -> None:
    """D53: ``a/b-c`` and ``a-b/c`` come to one name; the annotation is the tenant's own to set."""
    neighbour = Owner("cluster", "uid-2", "team-x", "orders", retained=retained)
    with pytest.raises(Conflict, match="team-x/orders and can only be adopted from that namespace"):
        _plan(state(owner=neighbour), ref=replace(REF, adopt=True))


def test_adopting_a_half_made_server_finishes_it() -> None:
    ref = replace(REF, adopt=True)
    assert _kinds(_plan(state(owner=None, initialized=False), ref=ref)) == [TakeOver, Create]


def test_a_major_that_was_uninstalled_leaves_a_running_server_alone() -> None:
    gone = Shelf("17.0")
    seen = state(settings={"work_mem": "4MB"})
    assert _plan(seen, shelf=gone, serverParameters={"work_mem": "8MB"}) == ()
