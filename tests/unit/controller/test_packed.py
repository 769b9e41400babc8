"""Compressed objects: they read like any other, and take a part of the memory."""

from __future__ import annotations

import json
import uuid
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controller.scripted import line

from hybridpg.controller import Packing, decode_object
from hybridpg.controller.decode import decode_event
from hybridpg.controller.metadata import metadata_of
from hybridpg.controller.packed import PATIENCE
from hybridpg.controller.transforms import drop_managed_fields
from hybridpg.controller.types import KubeObject

CHANCE = Random(7)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def encoded(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def waiting(number: int) -> dict[str, Any]:
    """A database that waits for a server, as thousands of others do."""
    message = "waits for server main: there is no PostgreSQLServer of that name"
    return {
        "apiVersion": "example.com/v1",
        "kind": "Database",
        "metadata": {
            "name": f"db-{number}",
            "namespace": f"team-{number % 10}",
            "uid": str(uuid.UUID(int=CHANCE.getrandbits(128))),
            "resourceVersion": str(10_000 + number),
            "labels": {"team": f"team-{number % 10}"},
        },
        "spec": {"credentialsSecret": f"db-{number}-login", "serverRef": {"name": "main"}},
        "status": {
            "conditions": [
                {"type": each, "status": "False", "reason": "Waiting", "message": message}
                for each in ("Ready", "Synced", "ServerReady")
            ]
        },
    }


def noise(number: int) -> dict[str, Any]:
    """An object that is like no other."""
    data = CHANCE.randbytes(500).hex()
    return {"metadata": {"name": f"noise-{number}", "namespace": "n"}, "data": data}


def held(objects: list[KubeObject]) -> int:
    """Bytes that the objects keep, each dictionary once."""
    dictionaries = {getattr(each, "dictionary", b"") for each in objects}
    return sum(len(each.encoded) for each in objects) + sum(map(len, dictionaries))


def test_objects_of_one_kind_take_less_than_a_third():
    packing = Packing()
    bodies = [waiting(number) for number in range(1_000)]
    plain = [decode_object(encoded(body)) for body in bodies]
    packed = [packing(each) for each in plain]
    assert held(packed) < held(plain) / 3
    assert [each.decode() for each in packed] == bodies


def test_an_object_reads_as_it_did_before():
    packing = Packing()
    packing(decode_object(encoded(waiting(1))))
    plain = decode_event(line("MODIFIED", waiting(2))).object
    packed = packing(plain)
    assert len(packed.encoded) < len(plain.raw)
    assert packed.raw == plain.raw
    assert packed.view == plain.raw
    assert packed.key == plain.key
    assert (packed.uid, packed.resource_version) == (plain.uid, plain.resource_version)
    assert (packed.generation, packed.deleting) == (plain.generation, plain.deleting)
    assert metadata_of(packed).labels == {"team": "team-2"}


def test_it_goes_together_with_other_transforms_in_any_order():
    body = waiting(1)
    body["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    whole, packing = decode_object(encoded(body)), Packing()
    del body["metadata"]["managedFields"]
    assert packing(drop_managed_fields(whole)).decode() == body
    assert drop_managed_fields(packing(whole)).decode() == body


def test_the_same_whether_it_is_applied_once_or_twice():
    packing = Packing()
    packed = packing(decode_object(encoded(waiting(1))))
    assert packing(packed) is packed


def test_what_would_not_become_smaller_is_left_alone():
    tiny = decode_object(b'{"metadata":{"name":"a"}}')
    assert Packing()(tiny) is tiny


def test_other_objects_get_a_dictionary_of_their_own():
    packing = Packing()
    for number in range(2 * PATIENCE):
        packing(decode_object(encoded({"metadata": {"name": f"new-{number}"}, "spec": {}})))
    first = packing(decode_object(encoded(waiting(0))))
    later = [packing(decode_object(encoded(waiting(number)))) for number in range(10)]
    assert all(len(each.encoded) < len(first.encoded) for each in later)


def test_where_all_are_different_dictionaries_stay_rare():
    packing = Packing()
    packed = [packing(decode_object(encoded(noise(number)))) for number in range(10 * PATIENCE)]
    dictionaries = {getattr(each, "dictionary", b"") for each in packed}
    assert len(dictionaries) <= 11


@given(st.lists(st.dictionaries(st.text(), JSON), min_size=1, max_size=5))
def test_whatever_an_object_holds_comes_back_as_it_was(bodies):
    packing = Packing()
    for body in bodies:
        whole = {**body, "metadata": {"name": "a"}, "kind": "Widget"}
        assert packing(decode_object(encoded(whole))).decode() == json.loads(encoded(whole))
