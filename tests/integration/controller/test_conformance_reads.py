"""Streaming lists, metadata alone and versions of lists in every world.

Where a world differs, FakeCluster is wrong.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.controller.worlds import Answer, Json, World

STREAM = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
MARKED = {**STREAM, "allowWatchBookmarks": "true", "timeoutSeconds": "1"}
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
FUTURE = "999999999"


async def read(world: World, path: str, accept: str = "*/*", **query: str) -> Answer:
    headers = (("Accept", accept),)
    found = await world.transport.request("GET", path, query=tuple(query.items()), headers=headers)
    return Answer(found.status, found.headers, found.body)


async def events(world: World, path: str, accept: str = "", **query: str) -> list[Json]:
    headers = (("Accept", accept),) if accept else ()
    asked = (("watch", "true"), *query.items())
    stream = world.transport.stream(path, query=asked, headers=headers)
    return [json.loads(line) async for lines in stream for line in lines]


def described(event: Json) -> tuple[str, str]:
    return event["type"], event["object"].get("metadata", {}).get("name", "")


@pytest.mark.parametrize("version", ["", "0", "1"])
async def test_a_streaming_list_is_what_is_there_and_a_marked_bookmark(world: World, version: str):
    made = [await world.post(world.secrets, {"metadata": {"name": name}}) for name in "ab"]
    seen = await events(world, world.secrets, resourceVersion=version, **MARKED)
    assert sorted(map(described, seen[:2])) == [("ADDED", "a"), ("ADDED", "b")]
    # another bookmark may come before the end
    assert {event["type"] for event in seen[2:]} == {"BOOKMARK"}
    end = seen[2]["object"]
    assert (end["kind"], end["apiVersion"]) == ("Secret", "v1")
    assert set(end["metadata"]) == {"resourceVersion", "annotations"}
    assert end["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(end["metadata"]["resourceVersion"]) >= int(made[1].version)


async def test_a_streaming_list_honours_its_selector(world: World):
    for name in "ab":
        body = {"metadata": {"name": name, "labels": {"n": name}}}
        await world.post(world.secrets, body)
    seen = await events(world, world.secrets, labelSelector="n=b", **MARKED)
    assert [described(event) for event in seen[:2]] == [("ADDED", "b"), ("BOOKMARK", "")]


async def test_without_bookmarks_the_end_of_a_streaming_list_is_not_marked(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    seen = await events(world, world.secrets, timeoutSeconds="1", **STREAM)
    assert [described(event) for event in seen] == [("ADDED", "a")]


async def test_a_streaming_list_from_the_future_ends_in_an_error(world: World):
    query = {**MARKED, "timeoutSeconds": "10"}
    seen = await events(world, world.secrets, resourceVersion=FUTURE, **query)
    assert [event["type"] for event in seen] == ["ERROR"]
    status = seen[0]["object"]
    assert (status["code"], status["reason"]) == (504, "Timeout")
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    assert status["details"] == {"causes": [cause], "retryAfterSeconds": 1}


async def test_a_watch_that_declines_initial_events_sees_none(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    query = {**STREAM, "sendInitialEvents": "false", "timeoutSeconds": "1"}
    assert await events(world, world.secrets, **query) == []


NOT_OLDER = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
ALONE = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
WITH_TOKEN = "resourceVersionMatch is forbidden when continue is provided"


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        pytest.param({"sendInitialEvents": "true"}, {NOT_OLDER}, id="no-match"),
        pytest.param({"sendInitialEvents": "false"}, {NOT_OLDER}, id="declined-no-match"),
        pytest.param(
            {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
            {NOT_OLDER, 'Unsupported value: "Exact": supported values: "NotOlderThan"'},
            id="exact",
        ),
        pytest.param({"resourceVersionMatch": "NotOlderThan"}, {ALONE}, id="alone"),
        pytest.param({**STREAM, "continue": "abc"}, {WITH_TOKEN}, id="token"),
        pytest.param({"continue": "abc"}, {WITH_TOKEN}, id="token-alone"),
    ],
)
async def test_watches_that_make_no_sense(world: World, query: Json, problems: set[str]):
    refused = await read(world, world.secrets, watch="true", timeoutSeconds="1", **query)
    assert refused.status == 422
    found = {message.removeprefix("Forbidden: ") for _, message in refused.causes}
    assert found == problems


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        pytest.param({"sendInitialEvents": "true"}, ["sendInitialEvents"], id="initial"),
        pytest.param(STREAM, ["resourceVersionMatch", "sendInitialEvents"], id="stream"),
        pytest.param(
            {"resourceVersion": "1", "resourceVersionMatch": "Exact", "continue": "abc"},
            ["resourceVersionMatch"],
            id="token",
        ),
    ],
)
async def test_lists_that_make_no_sense(world: World, query: Json, fields: list[str]):
    refused = await read(world, world.secrets, **query)
    assert refused.status == 422
    assert sorted(field for field, _ in refused.causes) == fields


async def test_a_list_from_the_future_is_a_timeout(world: World):
    refused = await read(
        world, world.secrets, resourceVersion=FUTURE, resourceVersionMatch="NotOlderThan"
    )
    assert (refused.status, refused.json["reason"]) == (504, "Timeout")
    assert refused.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_an_object_of_any_version_is_the_one_that_is_there(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}})
    for version in ("0", made.version):
        found = await read(world, f"{world.secrets}/a", resourceVersion=version)
        assert (found.status, found.version) == (200, made.version)


async def test_an_object_from_the_future_is_a_timeout(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    refused = await read(world, f"{world.secrets}/a", resourceVersion=FUTURE)
    assert (refused.status, refused.json["reason"]) == (504, "Timeout")
    assert refused.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_an_object_shows_its_metadata_alone(world: World):
    made = await world.post(world.secrets, {"metadata": {"name": "a"}, "data": {"k": "YQ=="}})
    found = await read(world, f"{world.secrets}/a", PARTIAL)
    assert found.json == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made.meta,
    }


@pytest.mark.parametrize("collection", ["secrets", "widgets"])
async def test_a_list_shows_the_metadata_of_its_items(world: World, collection: str):
    path = getattr(world, collection)
    body: Any = {"metadata": {"name": "a"}} if collection == "secrets" else world.widget("a")
    made = await world.post(path, body)
    found = await read(world, path, PARTIAL_LIST)
    assert found.json["kind"] == "PartialObjectMetadataList"
    assert set(found.meta) == {"resourceVersion"}
    assert found.json["items"] == [
        {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": made.meta,
        }
    ]


@pytest.mark.parametrize("collection", ["secrets", "widgets"])
async def test_a_watch_shows_the_metadata_of_objects_and_of_bookmarks(
    world: World, collection: str
):
    path = getattr(world, collection)
    body: Any = {"metadata": {"name": "a"}} if collection == "secrets" else world.widget("a")
    await world.post(path, body)
    seen = await events(world, path, PARTIAL, **MARKED)
    assert [described(event) for event in seen[:2]] == [("ADDED", "a"), ("BOOKMARK", "")]
    for event in seen:
        assert set(event["object"]) == {"kind", "apiVersion", "metadata"}
        assert event["object"]["kind"] == "PartialObjectMetadata"


async def test_forms_that_do_not_fit_are_refused(world: World):
    await world.post(world.secrets, {"metadata": {"name": "a"}})
    listed = await read(world, world.secrets, PARTIAL)
    text = "you requested PartialObjectMetadata, but the requested object is a list "
    assert (listed.status, listed.json["message"]) == (406, f"{text}(*core.SecretList)")
    one = await read(world, f"{world.secrets}/a", PARTIAL_LIST)
    assert (one.status, one.json["reason"]) == (406, "NotAcceptable")
    assert await events(world, world.secrets, PARTIAL_LIST, **MARKED) == []


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/html", 406),
        ("application/json;as=Foo;g=meta.k8s.io;v=v1", 406),
        ("application/json;as=Foo;g=meta.k8s.io;v=v1,application/json", 200),
        ("application/json;as=Table;g=meta.k8s.io;v=v2,application/json", 200),
        ("application/json;as=PartialObjectMetadata;v=v1", 406),
    ],
)
async def test_the_first_form_that_is_served_is_given(world: World, accept: str, status: int):
    answer = await read(world, world.secrets, accept)
    assert answer.status == status
    if status == 200:
        assert answer.json["kind"] == "SecretList"


async def test_a_list_of_custom_objects_says_that_it_does_not_go_on(world: World):
    assert (await read(world, world.widgets)).meta["continue"] == ""
    assert "continue" not in (await read(world, world.secrets)).meta
