"""Finalizers: patches that touch nothing else and fail where somebody was faster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, failure, kube, obj, unfit

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import Conflict, Forbidden, NotFound, TransportError
from hybridpg.controller.finalizer import ensure, remove
from hybridpg.controller.protocols import Response

pytestmark = pytest.mark.virtual_time

OURS = "example.org/finalizer"
DELETING = "2026-01-01T00:00:00Z"
UID_TEST = {"op": "test", "path": "/metadata/uid", "value": "uid-a"}

AsObject = pytest.mark.parametrize(
    "form", [pytest.param(kube, id="cached"), pytest.param(obj, id="decoded")]
)


def stored(**changes: Any) -> Response:
    return Response(200, {}, json.dumps(obj("a", 9, **changes)).encode())


@AsObject
async def test_a_missing_finalizer_is_added_and_ends_the_pass(form):
    """H18."""
    transport = ScriptedTransport()
    assert await ensure(Client(transport), WIDGETS, form("a"), OURS)
    (call,) = transport.calls
    assert (call.verb, call.path) == (
        "PATCH",
        "/apis/example.org/v1/namespaces/ns/widgets/a",
    )
    assert call.body == [
        UID_TEST,
        {"op": "test", "path": "/metadata/finalizers", "value": None},
        {"op": "add", "path": "/metadata/finalizers", "value": [OURS]},
    ]


@AsObject
async def test_the_finalizers_of_others_stay_and_must_be_as_they_were_seen(form):
    transport = ScriptedTransport()
    assert await ensure(Client(transport), WIDGETS, form("a", finalizers=["other"]), OURS)
    assert transport.calls[0].body == [
        UID_TEST,
        {"op": "test", "path": "/metadata/finalizers", "value": ["other"]},
        {"op": "add", "path": "/metadata/finalizers/-", "value": OURS},
    ]


@AsObject
async def test_a_finalizer_that_is_there_costs_no_request_and_lets_the_pass_go_on(form):
    transport = ScriptedTransport()
    assert not await ensure(Client(transport), WIDGETS, form("a", finalizers=["x", OURS]), OURS)
    assert transport.calls == []


@AsObject
async def test_an_object_on_its_way_out_gets_none_and_the_pass_ends(form):
    transport = ScriptedTransport()
    leaving = form("a", deletionTimestamp=DELETING, finalizers=["other"])
    assert await ensure(Client(transport), WIDGETS, leaving, OURS)
    assert transport.calls == []


async def test_an_object_in_deletion_that_has_it_goes_on_to_its_clean_up():
    leaving = kube("a", deletionTimestamp=DELETING, finalizers=[OURS])
    assert not await ensure(Client(ScriptedTransport()), WIDGETS, leaving, OURS)


async def test_a_change_by_somebody_else_is_a_conflict_that_names_the_object():
    transport = ScriptedTransport(writes=[unfit()])
    with pytest.raises(Conflict, match=r"widgets\.example\.org ns/a changed"):
        await ensure(Client(transport), WIDGETS, kube("a"), OURS)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (failure(404, "NotFound"), NotFound),
        (failure(403, "Forbidden"), Forbidden),
        (TransportError("reset"), TransportError),
    ],
)
async def test_other_failures_of_adding_are_raised_as_they_are(answer, error):
    with pytest.raises(error):
        await ensure(Client(ScriptedTransport(writes=[answer])), WIDGETS, kube("a"), OURS)


@AsObject
async def test_removing_tests_the_place_it_removes_from(form):
    transport = ScriptedTransport()
    leaving = form("a", finalizers=["x", OURS, "y"], deletionTimestamp=DELETING)
    await remove(Client(transport), WIDGETS, leaving, OURS)
    assert transport.calls[0].body == [
        UID_TEST,
        {"op": "test", "path": "/metadata/finalizers/1", "value": OURS},
        {"op": "remove", "path": "/metadata/finalizers/1"},
    ]


async def test_removing_one_that_is_not_there_costs_no_request():
    transport = ScriptedTransport()
    await remove(Client(transport), WIDGETS, kube("a", finalizers=["x"]), OURS)
    assert transport.calls == []


async def test_removing_from_an_object_that_is_gone_is_fine():
    transport = ScriptedTransport(writes=[failure(404, "NotFound")])
    await remove(Client(transport), WIDGETS, kube("a", finalizers=[OURS]), OURS)
    assert transport.verbs() == ["PATCH"]


async def test_a_place_that_moved_is_looked_up_again():
    transport = ScriptedTransport(writes=[unfit(), stored(finalizers=[OURS]), stored()])
    await remove(Client(transport), WIDGETS, kube("a", finalizers=["x", OURS]), OURS)
    assert transport.verbs() == ["PATCH", "GET", "PATCH"]
    assert transport.calls[2].body[1]["path"] == "/metadata/finalizers/0"


@pytest.mark.parametrize(
    "fresh",
    [
        pytest.param(stored(), id="somebody removed it"),
        pytest.param(stored(finalizers=["x"]), id="others are left"),
        pytest.param(stored(uid="second", finalizers=[OURS]), id="another object of that name"),
        pytest.param(failure(404, "NotFound"), id="gone"),
    ],
)
async def test_nothing_more_is_done_where_nothing_is_left_to_do(fresh):
    transport = ScriptedTransport(writes=[unfit(), fresh])
    await remove(Client(transport), WIDGETS, kube("a", finalizers=[OURS]), OURS)
    assert transport.verbs() == ["PATCH", "GET"]


async def test_an_object_that_keeps_changing_is_a_conflict():
    moved = [unfit(), stored(finalizers=[OURS])] * 3
    transport = ScriptedTransport(writes=moved)
    with pytest.raises(Conflict, match="finalizer"):
        await remove(Client(transport), WIDGETS, kube("a", finalizers=[OURS]), OURS)
    assert transport.verbs().count("PATCH") == 3


async def test_a_removal_that_was_not_answered_is_raised():
    transport = ScriptedTransport(writes=[TransportError("reset")])
    with pytest.raises(TransportError):
        await remove(Client(transport), WIDGETS, kube("a", finalizers=[OURS]), OURS)
