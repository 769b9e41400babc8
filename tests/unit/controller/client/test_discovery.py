"""Which kinds are served: yes, proven no, or an error."""

from __future__ import annotations

import json

import pytest
from tests.unit.controller.client.wire import Recorder

from hybridpg.controller.client import find_resource, is_served
from hybridpg.controller.errors import DecodeError, Forbidden, ServerError
from hybridpg.controller.protocols import Response
from hybridpg.controller.types import LEASES, NAMESPACES, Resource

CORE = {
    "kind": "APIResourceList",
    "groupVersion": "v1",
    "resources": [
        {"name": "namespaces/status", "namespaced": False, "kind": "Namespace"},
        {"name": "namespaces", "namespaced": False, "kind": "Namespace"},
        {"name": "pods", "namespaced": True, "kind": "Pod"},
        {"name": "pods/eviction", "namespaced": True, "kind": "Eviction"},
    ],
}


@pytest.fixture
def core(recorder: Recorder) -> Recorder:
    recorder.answers = [Response(200, {}, json.dumps(CORE).encode())]
    return recorder


async def test_a_kind_is_found_with_its_plural_and_scope(core: Recorder):
    assert await find_resource(core, "v1", "Namespace") == NAMESPACES
    assert await find_resource(core, "v1", "Pod") == Resource("", "v1", "pods", "Pod")
    assert {sent.path for sent in core.sent} == {"/api/v1"}


async def test_a_kind_that_only_a_subresource_has_is_not_addressable(core: Recorder):
    assert await find_resource(core, "v1", "Eviction") is None


async def test_an_unknown_kind_is_not_served(core: Recorder):
    assert await find_resource(core, "v1", "Gateway") is None


async def test_an_unknown_group_is_not_served(recorder: Recorder):
    recorder.answers = [Response(404, {}, b"404 page not found\n")]

    assert await find_resource(recorder, "example.com/v1", "Thing") is None
    assert await is_served(recorder, LEASES) is False
    assert recorder.sent[1].path == "/apis/coordination.k8s.io/v1"


async def test_a_resource_is_served_if_name_and_scope_agree(core: Recorder):
    assert await is_served(core, NAMESPACES)
    assert not await is_served(core, Resource("", "v1", "namespaces", "Namespace"))
    assert not await is_served(core, Resource("", "v1", "podz", "Pod"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response(403, {}, b"{}"), Forbidden),
        (Response(503, {}, b""), ServerError),
        (Response(200, {}, b"<html>"), DecodeError),
    ],
)
async def test_what_is_not_a_clear_answer_is_not_taken_for_absence(recorder, answer, expected):
    recorder.answers = [answer]

    with pytest.raises(expected):
        await is_served(recorder, LEASES)


@pytest.mark.parametrize("resources", [None, [], ["x"], [{}], [{"kind": "Pod"}]])
async def test_entries_of_a_wrong_form_are_no_resources(recorder: Recorder, resources: object):
    recorder.answers = [Response(200, {}, json.dumps({"resources": resources}).encode())]

    assert await find_resource(recorder, "v1", "Pod") is None
