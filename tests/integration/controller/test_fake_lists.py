"""Lists, selectors and watches show the same in FakeCluster and on a real kube-apiserver."""

from __future__ import annotations

import pytest
from tests.integration.controller.worlds import World


async def labelled(world: World) -> None:
    for name in ("a", "b", "c"):
        labels: dict[str, str] = {"n": name} if name == "b" else {"n": name, "odd": "y"}
        await world.post(world.secrets, {"metadata": {"name": name, "labels": labels}})


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("odd", ["a", "c"]),
        ("!odd", ["b"]),
        ("n=a", ["a"]),
        ("n==a", ["a"]),
        ("n!=a,odd", ["c"]),
        ("n in (a,b)", ["a", "b"]),
        ("n notin (a, b)", ["c"]),
        ("n in ()", []),
        ("n>1", []),
    ],
)
async def test_label_selectors(world: World, selector: str, names: list[str]):
    await labelled(world)
    assert (await world.get(world.secrets, labelSelector=selector)).names == names


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ("n=a=b", "found '=', expected: ',' or 'end of string'"),
        ("n in a", "unable to parse requirement: found 'a' expected: '('"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
    ],
)
async def test_label_selectors_that_do_not_parse(world: World, selector: str, problem: str):
    answer = await world.get(world.secrets, labelSelector=selector)
    assert (answer.status, answer.json["message"]) == (400, problem)


async def test_field_selectors(world: World):
    await labelled(world)
    assert (await world.get(world.secrets, fieldSelector="metadata.name=a")).names == ["a"]
    assert (await world.get(world.secrets, fieldSelector="metadata.name!=a")).names == ["b", "c"]
    assert (await world.get(world.secrets, fieldSelector="type=other")).names == []
    unknown = await world.get(world.widgets, fieldSelector="spec.size=3")
    assert unknown.json["message"] == "field label not supported: spec.size"
    rubbish = await world.get(world.widgets, fieldSelector="nope")
    assert rubbish.json["message"] == "invalid selector: 'nope'; can't understand 'nope'"


async def test_pages_show_one_moment(world: World):
    await labelled(world)
    first = await world.get(world.secrets, limit="2")
    assert first.names == ["a", "b"]
    assert first.meta["remainingItemCount"] == 1
    await world.delete(f"{world.secrets}/c")
    rest = await world.get(world.secrets, **{"limit": "2", "continue": first.meta["continue"]})
    assert rest.names == ["c"]
    assert rest.version == first.version
    assert not rest.meta.get("continue")


async def test_a_list_at_a_version_shows_that_version(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.post(world.secrets, {"metadata": {"name": "b"}})
    exact = {"resourceVersion": made.version, "resourceVersionMatch": "Exact"}
    assert (await world.get(world.secrets, **exact)).names == ["a"]
    newer = {"resourceVersion": made.version, "resourceVersionMatch": "NotOlderThan"}
    assert (await world.get(world.secrets, **newer)).names == ["a", "b"]


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ({"continue": "abc"}, 400, "invalid continue token: continue key is not valid"),
        ({"limit": "x"}, 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ({"resourceVersion": "abc"}, 400, "invalid resource version"),
        ({"resourceVersionMatch": "Exact"}, 422, "forbidden unless resourceVersion is provided"),
        ({"resourceVersion": "1", "resourceVersionMatch": "Foo"}, 422, 'Unsupported value: "Foo"'),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422, "is forbidden for"),
    ],
)
async def test_list_options_that_make_no_sense(
    world: World, query: dict[str, str], status: int, problem: str
):
    answer = await world.get(world.secrets, **query)
    assert answer.status == status
    assert problem in answer.json["message"]


async def test_a_watch_from_a_version_sees_every_change_after_it(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.merge(f"{world.secrets}/a", {"metadata": {"labels": {"x": "y"}}})
    await world.post(world.secrets, {"metadata": {"name": "b"}})
    await world.delete(f"{world.secrets}/a")
    seen = await world.watched(world.secrets, resourceVersion=made.version)
    assert seen == [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_a_watch_without_a_version_begins_with_what_is_there(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    assert await world.watched(world.secrets) == [("ADDED", "a")]


async def test_a_selective_watch_sees_objects_come_and_go(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.merge(f"{world.secrets}/a", {"metadata": {"labels": {"x": "y"}}})
    await world.merge(f"{world.secrets}/a", {"metadata": {"labels": {"x": None}}})
    seen = await world.watched(world.secrets, resourceVersion=made.version, labelSelector="x")
    assert seen == [("ADDED", "a"), ("DELETED", "a")]


async def test_a_deletion_carries_a_version_of_its_own(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    await world.delete(f"{world.secrets}/a")
    query = {"resourceVersion": made.version, "timeoutSeconds": "1"}
    events = [event async for event in world.watch(world.secrets, **query)]
    assert [event["type"] for event in events] == ["DELETED"]
    assert int(events[0]["object"]["metadata"]["resourceVersion"]) > int(made.version)


async def test_a_streaming_list_ends_with_a_marked_bookmark(world: World):
    await world.post(world.widgets, world.widget("a"))
    query = {
        "timeoutSeconds": "2",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    events = [event async for event in world.watch(world.widgets, **query)]
    assert [event["type"] for event in events[:2]] == ["ADDED", "BOOKMARK"]
    bookmark = events[1]["object"]
    assert bookmark["kind"] == "Widget"
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"sendInitialEvents": "true"}, "requires setting resourceVersionMatch to NotOlderThan"),
        ({"resourceVersionMatch": "NotOlderThan"}, "unless sendInitialEvents is provided"),
    ],
)
async def test_watch_options_that_make_no_sense(world: World, query: dict[str, str], problem: str):
    answer = await world.get(world.secrets, watch="true", timeoutSeconds="1", **query)
    assert answer.status == 422
    assert problem in answer.json["message"]


async def test_a_collection_is_deleted_by_selector(world: World):
    await labelled(world)
    answer = await world.delete(world.secrets, labelSelector="odd")
    assert answer.status == 200
    assert (await world.get(world.secrets)).names == ["b"]
