"""Server-side apply: what is sent, and a conflict that says whose the fields are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.controller.client.wire import Recorder
from tests.unit.controller.scripted import WIDGETS, kube, obj, status

from hybridpg.controller.apply import apply, controller_reference
from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ApplyConflict, Conflict, Invalid
from hybridpg.controller.protocols import Response

WIDGET = {"metadata": {"namespace": "ns", "name": "a"}, "spec": {"size": 1}}


@pytest.fixture
def client(recorder: Recorder) -> Client:
    return Client(recorder, field_manager="tests")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def refusal(code: int, reason: str, causes: Any) -> Response:
    return Response(code, {}, json.dumps(status(code, reason, causes=causes)).encode())


def owned(field: str, manager: str, suffix: str = "") -> dict[str, str]:
    message = f'conflict with "{manager}"{suffix}'
    return {"reason": "FieldManagerConflict", "message": message, "field": field}


async def test_an_apply_completes_the_object_and_forces_nothing(client, recorder):
    await apply(client, WIDGETS, WIDGET)
    [sent] = recorder.sent
    assert (sent.method, sent.path) == ("PATCH", "/apis/example.org/v1/namespaces/ns/widgets/a")
    assert sent.headers["content-type"] == "application/apply-patch+yaml"
    assert sent.query == {"fieldManager": "tests", "fieldValidation": "Strict"}
    assert json.loads(sent.body) == {"apiVersion": "example.org/v1", "kind": "Widget", **WIDGET}
    assert "kind" not in WIDGET


async def test_force_manager_subresource_and_dry_run_are_said_each_by_its_name(client, recorder):
    await apply(
        client,
        WIDGETS,
        WIDGET,
        force=True,
        field_manager="other",
        subresource="status",
        dry_run=True,
    )
    [sent] = recorder.sent
    assert sent.path.endswith("/widgets/a/status")
    assert sent.query == {
        "fieldManager": "other",
        "fieldValidation": "Strict",
        "force": "true",
        "dryRun": "All",
    }


@pytest.mark.parametrize("meta", [{}, {"namespace": "ns"}, {"name": "a"}])
async def test_an_object_without_a_full_name_is_not_sent(client, recorder, meta):
    with pytest.raises(ValueError, match=r"path of an object|needs a namespace"):
        await apply(client, WIDGETS, {"metadata": meta})
    assert recorder.sent == []


async def test_a_conflict_names_the_object_and_who_owns_which_field(client, recorder):
    causes = [
        owned(".spec.size", "kubectl", " using example.org/v1"),
        owned(".spec.size", "helm"),
        owned(".spec.colour", "argocd"),
    ]
    recorder.answers = [refusal(409, "Conflict", causes)]
    with pytest.raises(ApplyConflict) as caught:
        await apply(client, WIDGETS, WIDGET)
    assert caught.value.owners == {".spec.size": ("kubectl", "helm"), ".spec.colour": ("argocd",)}
    assert str(caught.value) == (
        "409 Conflict: widgets.example.org ns/a was not applied, fields belong to others: "
        ".spec.size to kubectl and helm, .spec.colour to argocd; leave them out, or force to take "
        "them over"
    )


async def test_a_manager_that_is_described_in_other_words_is_quoted(client, recorder):
    cause = {"reason": "FieldManagerConflict", "message": "somebody has it", "field": ".spec"}
    recorder.answers = [refusal(409, "Conflict", [cause])]
    with pytest.raises(ApplyConflict) as caught:
        await apply(client, WIDGETS, WIDGET)
    assert caught.value.owners == {".spec": ("somebody has it",)}


@pytest.mark.parametrize("causes", [None, [], ["rubbish"], [{"reason": "Other"}]])
async def test_a_conflict_of_another_sort_stays_what_it_is(client, recorder, causes):
    recorder.answers = [refusal(409, "Conflict", causes)]
    with pytest.raises(Conflict) as caught:
        await apply(client, WIDGETS, WIDGET)
    assert not isinstance(caught.value, ApplyConflict)


async def test_what_is_not_valid_is_not_a_conflict(client, recorder):
    recorder.answers = [refusal(422, "Invalid", [owned(".spec", "kubectl")])]
    with pytest.raises(Invalid):
        await apply(client, WIDGETS, WIDGET)


@pytest.mark.parametrize("form", [pytest.param(kube, id="cached"), pytest.param(obj, id="decoded")])
def test_a_controller_reference_names_the_owner_and_holds_it_back(form):
    assert controller_reference(WIDGETS, form("a")) == {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "name": "a",
        "uid": "uid-a",
        "controller": True,
        "blockOwnerDeletion": True,
    }
