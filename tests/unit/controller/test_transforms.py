"""Transforms: what is cut out, and what is left alone."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controller.scripted import kube, line, obj

from hybridpg.controller.decode import decode_event, decode_object
from hybridpg.controller.transforms import drop_managed_fields, transformed
from hybridpg.controller.types import KubeObject

FIELDS = [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:size": {}}}}]
KEY = "managedFields"


def encoded(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def with_metadata(*fields: tuple[str, Any]) -> dict[str, Any]:
    """A widget whose metadata has its fields in the given order."""
    return {**obj(), "metadata": {"name": "a", **dict(fields)}}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(with_metadata((KEY, FIELDS), ("uid", "u")), id="in the middle"),
        pytest.param(with_metadata(("uid", "u"), (KEY, FIELDS)), id="at the end"),
        pytest.param({**obj(), "metadata": {KEY: FIELDS, "name": "a"}}, id="at the beginning"),
        pytest.param(with_metadata((KEY, []), ("uid", "u")), id="empty"),
        pytest.param(with_metadata((KEY, None), ("uid", "u")), id="null"),
        pytest.param(
            with_metadata(
                ("annotations", {"last": encoded({KEY: FIELDS}).decode()}), (KEY, FIELDS)
            ),
            id="its text is in an annotation, too",
        ),
    ],
)
def test_managed_fields_are_cut_out_and_nothing_else(body):
    whole = decode_object(encoded(body))
    cut = drop_managed_fields(whole)
    expected = json.loads(encoded(body))
    del expected["metadata"][KEY]
    assert cut.decode() == expected
    assert (cut.key, cut.uid) == (whole.key, whole.uid)
    assert len(cut.encoded) < len(whole.encoded)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(obj(), id="none"),
        pytest.param({**obj(), "spec": {"metadata": {KEY: FIELDS}}}, id="elsewhere only"),
        pytest.param(
            {"spec": {"metadata": {KEY: FIELDS}}, "metadata": {"name": "a", KEY: FIELDS}},
            id="the same twice",
        ),
        pytest.param(
            {"spec": {"metadata": {KEY: [{}]}}, "metadata": {"name": "a", KEY: FIELDS}},
            id="another one elsewhere",
        ),
    ],
)
def test_where_it_is_not_certain_what_to_cut_the_object_stays(body):
    whole = decode_object(encoded(body))
    assert drop_managed_fields(whole) is whole


def test_they_are_cut_out_of_an_event_and_its_frame_goes_with_them():
    body = obj("a", 7, managedFields=FIELDS)
    cut = drop_managed_fields(decode_event(line("MODIFIED", body)).object)
    assert cut.raw == cut.encoded
    assert cut.decode() == obj("a", 7)


def test_spaces_in_the_json_do_no_harm():
    body = obj("a", 7, managedFields=FIELDS)
    found = decode_object(json.dumps(body, indent=2).encode())
    assert drop_managed_fields(found).decode() == body


json_values = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=8) | st.just('"managedFields":[]'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([KEY, "metadata", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_values, json_values, st.lists(json_values, max_size=3))
def test_whatever_else_is_in_the_object_stays(spec, annotations, fields):
    body = {"spec": spec, "metadata": {"name": "a", "x": annotations, KEY: fields}}
    whole = decode_object(encoded(body))
    cut = drop_managed_fields(whole)
    if cut is not whole:
        del body["metadata"][KEY]
    assert cut.decode() == body


def test_a_transform_that_fails_leaves_the_object_as_it_was(caplog):
    def broken(_: KubeObject) -> KubeObject:
        raise RuntimeError("broken")

    found = kube("a")
    with caplog.at_level(logging.ERROR):
        assert transformed(broken, found) is found
    assert "transform failed on ns/a" in caplog.text
