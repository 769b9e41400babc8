"""The status is written where it differs, on the object that it was made from."""

from __future__ import annotations

import pytest
from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, failure, kube, obj

from hybridpg.controller import JsonObject
from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import Conflict
from hybridpg.controller.status import write_status

pytestmark = pytest.mark.virtual_time


def widget(status: JsonObject | None) -> JsonObject:
    return obj("a", 7) if status is None else {**obj("a", 7), "status": status}


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        pytest.param({"size": 1}, {"size": 1}, id="equal"),
        pytest.param(None, {}, id="none and empty"),
        pytest.param({"a": {"b": [1]}}, {"a": {"b": [1]}}, id="deep"),
        pytest.param({"size": 1}, {"size": 1, "note": None}, id="None is missing"),
    ],
)
async def test_a_status_that_does_not_differ_costs_no_request(stored, wanted):
    transport = ScriptedTransport()
    assert await write_status(Client(transport), WIDGETS, widget(stored), wanted) is None
    assert transport.calls == []


async def test_the_difference_alone_is_written_to_the_subresource_with_the_version():
    transport = ScriptedTransport()
    stored = {"size": 1, "old": "x", "kept": [1]}
    written = await write_status(
        Client(transport), WIDGETS, widget(stored), {"size": 2, "kept": [1]}
    )
    (call,) = transport.calls
    assert (call.verb, call.path) == (
        "PATCH",
        "/apis/example.org/v1/namespaces/ns/widgets/a/status",
    )
    assert call.body == {
        "metadata": {"resourceVersion": "7"},
        "status": {"size": 2, "old": None},
    }
    assert written == {}


async def test_an_object_of_the_cache_will_do():
    transport = ScriptedTransport()
    await write_status(Client(transport), WIDGETS, kube("a", 7), {"size": 2})
    assert transport.calls[0].body["metadata"] == {"resourceVersion": "7"}


async def test_a_status_made_from_an_old_object_is_a_conflict():
    transport = ScriptedTransport(writes=[failure(409, "Conflict")])
    with pytest.raises(Conflict):
        await write_status(Client(transport), WIDGETS, kube("a", 7), {"size": 2})
    assert len(transport.calls) == 1


async def test_what_was_read_without_its_status_cannot_be_compared():
    transport = ScriptedTransport()
    partial = {**widget({"size": 1}), "kind": "PartialObjectMetadata"}
    with pytest.raises(ValueError, match=r"status of widgets\.example\.org a was not read"):
        await write_status(Client(transport), WIDGETS, partial, {"size": 2})
    assert transport.calls == []
