"""Selectors: which objects they choose, and the words for those that do not parse."""

from __future__ import annotations

import pytest
from tests.unit.controller.testing.conftest import SECRETS, Api, Json

from hybridpg.controller.testing._selectors import label_selector
from hybridpg.controller.testing._status import StatusError

pytestmark = pytest.mark.virtual_time
VALUE_PROBLEM = "a valid label must be an empty string or consist of alphanumeric characters"


def chosen(selector: str) -> list[str]:
    objects = {
        "none": {},
        "one": {"x": "1"},
        "two": {"x": "2", "y": ""},
        "word": {"x": "a", "example.com/z": "q"},
    }
    matches = label_selector(selector)
    return [name for name, labels in objects.items() if matches({"metadata": {"labels": labels}})]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("", ["none", "one", "two", "word"]),
        ("x", ["one", "two", "word"]),
        ("!x", ["none"]),
        (" ! x ", ["none"]),
        ("x=1", ["one"]),
        ("x == 1", ["one"]),
        ("x!=1", ["none", "two", "word"]),
        ("y=", ["two"]),
        ("y=,x", ["two"]),
        ("x in (1,a)", ["one", "word"]),
        ("x in (1, 1)", ["one"]),
        ("y in ()", ["two"]),
        ("y in (,)", ["two"]),
        ("y in (,1)", ["two"]),
        ("y in (1,)", ["two"]),
        ("x notin (1,2)", ["none", "word"]),
        ("x>1", ["two"]),
        ("x<2", ["one"]),
        ("x>0,x<9", ["one", "two"]),
        ("example.com/z=q", ["word"]),
        ("x=1,x=2", []),
        ("in in (in)", []),
        ("notin", []),
    ],
)
def test_labels_choose(selector: str, names: list[str]):
    assert chosen(selector) == names


def test_an_object_without_labels_lacks_them_all():
    assert label_selector("!x")({"metadata": {}})
    assert label_selector("x!=1")({})


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        (",x", "found ',', expected: !, identifier, or 'end of string'"),
        ("=", "found '=', expected: !, identifier, or 'end of string'"),
        ("(x)", "found '(', expected: !, identifier, or 'end of string'"),
        ("x,", "found '', expected: identifier after ','"),
        ("x,,y", "found ',', expected: identifier after ','"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!=1", "found '!=', expected: !, identifier, or 'end of string'"),
        ("!x=1", "found '=', expected: ',' or 'end of string'"),
        ("x=a b", "found 'b', expected: ',' or 'end of string'"),
        (
            "x y",
            "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt",
        ),
        (
            "x gt 1",
            "unable to parse requirement: found 'gt', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("x=(1)", "unable to parse requirement: found '(', expected: identifier"),
        ("x===1", "unable to parse requirement: found '=', expected: identifier"),
        ("x=!", "unable to parse requirement: found '!', expected: identifier"),
        ("x in 1", "unable to parse requirement: found '1' expected: '('"),
        ("x in (1", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("x in (a b)", "unable to parse requirement: found 'b', expected: ',' or ')'"),
        (
            "x>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' "
            "operators, the value must be an integer",
        ),
        ("x=-", f'unable to parse requirement: values[0][x]: Invalid value: "-": {VALUE_PROBLEM}'),
        (
            "x in (-)",
            f'unable to parse requirement: values[0][x]: Invalid value: "-": {VALUE_PROBLEM}',
        ),
        (
            f"x={'a' * 64}",
            f'unable to parse requirement: values[0][x]: Invalid value: "{"a" * 64}": must be no '
            "more than 63 characters",
        ),
        ("-x", 'unable to parse requirement: <nil>: Invalid value: "-x": name part must consist'),
        (
            "x/y/z",
            'unable to parse requirement: <nil>: Invalid value: "x/y/z": a qualified name must '
            "consist of",
        ),
        ("/x", 'unable to parse requirement: <nil>: Invalid value: "/x": prefix part must be non'),
    ],
)
def test_label_selectors_that_do_not_parse(selector: str, problem: str):
    with pytest.raises(StatusError) as caught:
        label_selector(selector)
    assert caught.value.status == 400
    assert caught.value.message.startswith(problem)


async def names(api: Api, path: str, selector: str) -> list[str]:
    status, answer = await api("GET", path, fieldSelector=selector)
    assert status == 200, answer
    return [item["metadata"]["name"] for item in answer["items"]]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("metadata.name=a", ["a"]),
        ("metadata.name==a", ["a"]),
        ("metadata.name!=a", ["b"]),
        ("metadata.name=a,metadata.namespace=default", ["a"]),
        ("metadata.name=a,metadata.namespace=other", []),
        (",", ["a", "b"]),
        ("type=Opaque", ["a"]),
        (r"type=x\,y", ["b"]),
    ],
)
async def test_fields_choose(api: Api, selector: str, found: list[str]):
    await api.secret("a")
    await api("POST", SECRETS, {"metadata": {"name": "b"}, "type": "x,y"})
    assert await names(api, SECRETS, selector) == found


@pytest.mark.parametrize(
    ("path", "selector", "problem"),
    [
        (SECRETS, "type", "invalid selector: 'type'; can't understand 'type'"),
        (SECRETS, "data=x", "field label not supported: data"),
        (
            "/api/v1/namespaces/default/configmaps",
            "data=x",
            '"data" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
    ],
)
async def test_field_selectors_that_are_refused(api: Api, path: str, selector: str, problem: str):
    status, answer = await api("GET", path, fieldSelector=selector)
    assert (status, answer["message"]) == (400, problem)


async def test_selectable_fields_of_a_definition_select_in_lists_and_watches(api: Api):
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}}
    path = await api.define(schema, selectableFields=[{"jsonPath": ".spec.colour"}])
    await api.thing({"colour": "red"}, "a")
    await api.thing({"colour": "blue"}, "b")
    await api.thing({}, "c")
    assert await names(api, path, "spec.colour=red") == ["a"]
    assert await names(api, path, "spec.colour!=red") == ["b", "c"]
    assert await names(api, path, "spec.colour=") == ["c"]
    status, answer = await api("GET", path, fieldSelector="spec.size=1")
    assert (status, answer["message"]) == (400, "field label not supported: spec.size")


async def test_an_update_moves_an_object_in_and_out_of_a_selective_watch(api: Api):
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}}
    path = await api.define(schema, selectableFields=[{"jsonPath": ".spec.colour"}])
    await api.thing({"colour": "blue"})
    start = api.cluster.resource_version
    versions: list[str] = []
    for colour in ("red", "red", "blue", "green"):
        body: Json = {"spec": {"colour": colour}, "metadata": {"labels": {"n": str(len(versions))}}}
        _, made = await api("PATCH", f"{path}/a", body, kind="application/merge-patch+json")
        versions.append(made["metadata"]["resourceVersion"])
    seen = await api.events(path, resourceVersion=start, fieldSelector="spec.colour=red")
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    # what leaves is shown as it was when it still matched, at the version at which it left
    assert seen[2]["object"]["spec"] == {"colour": "red"}
    assert seen[2]["object"]["metadata"]["resourceVersion"] == versions[2]
