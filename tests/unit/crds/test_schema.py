"""From a model to the small part of OpenAPI that a CRD may say."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hybridpg.crds.errors import NotStructural
from hybridpg.crds.markers import RULES, Format, list_map, list_set, open_object, rule, rules
from hybridpg.crds.schema import structural

A_DAY = Annotated[str, Format("[A-Z][a-z]{2}", "must be a day", 3)]


class Leaf(BaseModel):
    """A leaf."""

    size: int = Field(ge=1, le=9, description="Its size.")


class Tree(BaseModel):
    """A tree."""

    first: Leaf
    second: Leaf | None = Field(default=None, description="Another one.")


def field(annotation: Any, **options: Any) -> dict[str, Any]:
    """The schema of one field of this type."""
    model = type(
        "Model", (BaseModel,), {"__annotations__": {"x": annotation}, "x": Field(**options)}
    )
    made: dict[str, Any] = structural(model)["properties"]["x"]
    return made


def test_a_nested_model_is_inlined_with_its_description():
    assert structural(Tree)["properties"]["first"] == {
        "description": "A leaf.",
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"description": "Its size.", "type": "integer", "minimum": 1, "maximum": 9}
        },
    }


def test_the_description_at_the_use_wins():
    assert structural(Tree)["properties"]["second"]["description"] == "Another one."


def test_only_what_has_no_default_is_required():
    assert structural(Tree)["required"] == ["first"]


@pytest.mark.parametrize(
    ("annotation", "options", "expected"),
    [
        pytest.param(str, {}, {"type": "string"}, id="text"),
        pytest.param(int | None, {"default": None}, {"type": "integer"}, id="optional"),
        pytest.param(bool, {"default": True}, {"type": "boolean"}, id="defaults are left out"),
        pytest.param(Literal["a", "b"], {}, {"type": "string", "enum": ["a", "b"]}, id="choice"),
        pytest.param(Literal["a"], {}, {"type": "string", "enum": ["a"]}, id="constant"),
        pytest.param(
            Literal["a", "b"] | None,
            {"default": None},
            {"type": "string", "enum": ["a", "b"]},
            id="optional choice",
        ),
        pytest.param(
            list[str],
            {"max_length": 3},
            {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            id="list",
        ),
        pytest.param(
            dict[str, int],
            {"max_length": 3},
            {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3},
            id="map",
        ),
        pytest.param(
            Annotated[dict[str, Any], open_object()],
            {},
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            id="open object",
        ),
        pytest.param(
            Annotated[tuple[str, ...], list_set()],
            {},
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            id="set",
        ),
    ],
)
def test_types_become_structural(annotation, options, expected):
    assert field(annotation, **options) == expected


def test_entries_of_a_list_map_are_told_apart_by_their_key():
    made = field(Annotated[tuple[Leaf, ...], list_map("size")])

    assert made["x-kubernetes-list-type"] == "map"
    assert made["x-kubernetes-list-map-keys"] == ["size"]


def test_a_format_is_a_rule_with_a_message_and_a_length():
    assert field(A_DAY) == {
        "type": "string",
        "maxLength": 3,
        RULES: [{"rule": "self.matches('^([A-Z][a-z]{2})$')", "message": "must be a day"}],
    }


def test_rules_of_a_type_and_of_its_use_add_up():
    made = field(A_DAY | None, default=None, json_schema_extra=rules(rule("true", "b")))

    assert [each["message"] for each in made[RULES]] == ["must be a day", "b"]


def test_rules_of_a_class_stand_at_its_object():
    class Ruled(BaseModel):
        """Ruled."""

        model_config = ConfigDict(json_schema_extra=rules(rule("self.a == oldSelf.a", "no")))
        a: int = 0

    assert structural(Ruled)[RULES] == [{"rule": "self.a == oldSelf.a", "message": "no"}]


def test_a_rule_can_know_that_the_object_is_new():
    assert rule("oldSelf.hasValue()", "no", also_on_create=True)["optionalOldSelf"] is True


class Node(BaseModel):
    """Holds itself."""

    children: list["Node"] = []


class Holder(BaseModel):
    """Holds what holds itself."""

    node: Node


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: field(int | str), "Model.x: a CRD has no unions", id="union"),
        pytest.param(lambda: field(int, gt=0), "cannot say exclusiveMinimum", id="greater than"),
        pytest.param(lambda: field(Any), "Model.x: a type is missing", id="anything"),
        pytest.param(lambda: field(tuple[int, str]), "cannot say prefixItems", id="pair"),
        pytest.param(lambda: field(str, pattern="a"), "cannot say pattern", id="pattern"),
        pytest.param(
            lambda: structural(Holder), "Holder.node.children[]: Node holds itself", id="recursion"
        ),
    ],
)
def test_what_a_crd_cannot_say_is_refused_with_its_path(make, message):
    with pytest.raises(NotStructural) as caught:
        make()

    assert message in str(caught.value)
