"""Each field of both specs has a value to change it to, and one that must be refused."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import BaseModel
from tests.faults import fields
from tests.faults.fields import GOOD, TO_GOOD, TO_UNFIT, TO_WRONG, UNFIT, Leaf, leaves, wrong
from tests.faults.seam import Call

from hybridpg.controller import JsonObject
from hybridpg.crds import PostgreSQLDatabase, PostgreSQLServer

MODELS: dict[str, type[BaseModel]] = {
    "postgresqlservers": PostgreSQLServer,
    "postgresqldatabases": PostgreSQLDatabase,
}
NAMES = [str(leaf) for leaf in leaves()]


@pytest.fixture(params=leaves(), ids=str)
def leaf(request: pytest.FixtureRequest) -> Leaf:
    """Each leaf in turn."""
    found = request.param
    assert isinstance(found, Leaf)
    return found


def test_both_kinds_are_walked_down_to_the_last_field():
    assert {"postgresqlservers/size.cpu", "postgresqldatabases/database.extensions"} <= {*NAMES}
    assert "postgresqlservers/network.firewallRules.[].startIp" in NAMES
    assert len(NAMES) == len(set(NAMES))


def test_no_value_is_kept_for_a_field_that_is_no_more():
    assert {*GOOD, *UNFIT} <= {*NAMES}


def test_a_good_value_is_one_by_the_model_too(leaf: Leaf):
    base: JsonObject = {"credentialsSecret": "login"}
    base |= {"serverRef": {"name": "pg"}} if leaf.kind.plural == "postgresqldatabases" else {}
    document = {"spec": base | leaf.patch(TO_GOOD)["spec"]}
    MODELS[leaf.kind.plural].model_validate(document)


def test_a_wrong_value_breaks_a_rule_of_the_schema(leaf: Leaf):
    schema, value = leaf.schema, leaf.value(TO_WRONG)
    types = {"integer": int, "boolean": bool, "array": list, "object": dict, "string": str}
    rules = json.dumps(schema.get("x-kubernetes-validations", []))
    assert isinstance(rules, str)
    pattern = re.search(r"self\.matches\('\^\((.*?)\)\$'\)", rules)
    assert (
        not isinstance(value, types[schema["type"]])
        or value not in schema.get("enum", [value])
        or (isinstance(value, int) and value < schema["minimum"])
        or len(str(value)) > schema.get("maxLength", len(str(value)))
        or (pattern is not None and not re.fullmatch(json.loads(f'"{pattern[1]}"'), str(value)))
    )


def test_a_value_that_is_unfit_is_one_that_the_schema_cannot_know():
    unfit = [leaf for leaf in leaves() if str(leaf) in UNFIT]
    assert {str(leaf) for leaf in unfit} == UNFIT.keys()
    for leaf in unfit:
        assert fields.faults(leaf) == (TO_GOOD, TO_WRONG, TO_UNFIT)
        assert leaf.value(TO_UNFIT) != leaf.value(TO_GOOD)


def test_a_number_without_a_minimum_is_replaced_by_a_word():
    assert wrong({"type": "integer"}) == "many"
    assert wrong({"type": "integer", "minimum": 1}) == 0


def test_an_item_of_a_list_comes_with_what_it_needs():
    leaf = next(each for each in leaves() if str(each).endswith("topologySpread.[].maxSkew"))
    spread = {"topologyKey": "zone", "maxSkew": 0, "whenUnsatisfiable": "ScheduleAnyway"}
    assert leaf.patch(TO_WRONG) == {"spec": {"placement": {"topologySpread": [spread]}}}


def test_each_change_is_a_point_and_is_found_by_its_call():
    calls = [Call.parse(call) for call, _ in fields.calls()]
    assert [str(fields.leaf_of(call)) for call in calls] == NAMES
