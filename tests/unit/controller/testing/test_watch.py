"""Watches in virtual time: timeouts, bookmarks, compaction, ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.unit.controller.testing.conftest import SECRETS, Api

from hybridpg.controller.errors import TransportError
from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time


async def events(cluster: FakeCluster, path: str = SECRETS, **query: str) -> list[dict[str, Any]]:
    stream = cluster.stream(path, query=(("watch", "True"), *query.items()))
    return [json.loads(line) async for lines in stream for line in lines]


async def test_a_watch_ends_at_its_timeout(cluster: FakeCluster):
    began = asyncio.get_running_loop().time()
    assert await events(cluster, timeoutSeconds="300") == []
    assert asyncio.get_running_loop().time() - began == 300


async def test_a_watch_without_a_timeout_ends_all_the_same(cluster: FakeCluster):
    assert await events(cluster) == []
    assert asyncio.get_running_loop().time() == 1800


async def test_bookmarks_come_every_minute_where_they_are_asked_for(cluster: FakeCluster, api: Api):
    made = await api.secret("a")
    query = {"timeoutSeconds": "150", "allowWatchBookmarks": "true"}
    version = made["metadata"]["resourceVersion"]
    seen = await events(cluster, resourceVersion=version, **query)
    assert [event["type"] for event in seen] == ["BOOKMARK"] * 3
    assert seen[0]["object"] == {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": cluster.resource_version},
    }


async def test_an_open_watch_outlives_compaction(cluster: FakeCluster, api: Api):
    watching = asyncio.create_task(events(cluster, resourceVersion="0", timeoutSeconds="9"))
    await asyncio.sleep(1)
    await api.secret("a")
    cluster.compact()
    await api.secret("b")
    assert [event["object"]["metadata"]["name"] for event in await watching] == ["a", "b"]


async def test_a_watch_from_before_compaction_expires_by_an_event(cluster: FakeCluster, api: Api):
    made = await api.secret("a")
    await api.secret("b")
    cluster.compact()
    seen = await events(cluster, resourceVersion=made["metadata"]["resourceVersion"])
    assert [event["type"] for event in seen] == ["ERROR"]
    assert (seen[0]["object"]["code"], seen[0]["object"]["reason"]) == (410, "Expired")


async def test_a_watch_from_the_compacted_version_itself_goes_on(cluster: FakeCluster, api: Api):
    await api.secret("a")
    version = cluster.resource_version
    cluster.compact()
    assert await events(cluster, resourceVersion=version, timeoutSeconds="1") == []


async def test_continue_tokens_and_exact_lists_expire_by_status(cluster: FakeCluster, api: Api):
    for name in "abc":
        await api.secret(name)
    _, page = await api("GET", SECRETS, limit="1")
    version, token = page["metadata"]["resourceVersion"], page["metadata"]["continue"]
    await api.secret("d")
    cluster.compact()
    status, answer = await api("GET", SECRETS, **{"continue": token})
    assert (status, answer["reason"]) == (410, "Expired")
    exact = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
    assert (await api("GET", SECRETS, **exact))[0] == 410
    # the answer carries a token that goes on with whatever is there now
    _, rest = await api("GET", SECRETS, **{"continue": answer["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c", "d"]


async def test_dropped_watches_end_cleanly(cluster: FakeCluster):
    watching = asyncio.create_task(events(cluster))
    await asyncio.sleep(1)
    cluster.drop_watches()
    assert await watching == []
    assert asyncio.get_running_loop().time() == 1


async def test_a_closed_cluster_ends_watches_and_answers_no_more(cluster: FakeCluster):
    watching = asyncio.create_task(events(cluster))
    await asyncio.sleep(1)
    await cluster.close()
    assert await watching == []
    with pytest.raises(TransportError, match="closed"):
        await cluster.request("GET", SECRETS)


async def test_a_watch_by_request_is_read_to_its_end(cluster: FakeCluster, api: Api):
    await api.secret("a")
    query = (("watch", "1"), ("timeoutSeconds", "5"))
    answer = await cluster.request("GET", SECRETS, query=query)
    assert answer.status == 200
    assert answer.body.count(b"\n") == 1
    assert json.loads(answer.body)["type"] == "ADDED"


async def test_the_old_watch_paths_are_watches(cluster: FakeCluster, api: Api):
    await api.secret("a")
    path = "/api/v1/watch/namespaces/default/secrets"
    assert [event["type"] for event in await events(cluster, path, timeoutSeconds="1")] == ["ADDED"]


async def test_a_watch_from_the_future_waits(cluster: FakeCluster, api: Api):
    assert await events(cluster, resourceVersion="999999", timeoutSeconds="1") == []
    status, answer = await api("GET", SECRETS, resourceVersion="999999")
    assert (status, answer["reason"]) == (504, "Timeout")
    assert answer["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_many_changes_come_in_order_and_once(cluster: FakeCluster, api: Api):
    reads: list[str] = []

    async def watch() -> None:
        query = (("watch", "true"), ("timeoutSeconds", "60"))
        async for lines in cluster.stream(SECRETS, query=query):
            reads.extend(json.loads(line)["object"]["metadata"]["name"] for line in lines)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(1)
    names = [f"s{n:03}" for n in range(200)]
    for name in names:
        await api.secret(name)
    await watching
    assert reads == names


async def test_a_watch_of_a_table_sends_the_columns_once(cluster: FakeCluster, api: Api):
    await api.secret("a")
    await api.secret("b")
    query = (("watch", "true"), ("timeoutSeconds", "60"), ("allowWatchBookmarks", "true"))
    accept = (("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"),)
    answer = await cluster.request("GET", SECRETS, query=query, headers=accept)
    seen = [json.loads(line) for line in answer.body.splitlines()]
    tables = [event["object"] for event in seen]
    assert [event["type"] for event in seen] == ["ADDED", "ADDED", "BOOKMARK"]
    assert {table["kind"] for table in tables} == {"Table"}
    assert [[row["cells"][0] for row in table["rows"]] for table in tables] == [["a"], ["b"], [""]]
    assert [len(table["columnDefinitions"] or ()) for table in tables] == [4, 0, 0]


async def test_an_expired_watch_of_a_table_is_a_plain_error(cluster: FakeCluster, api: Api):
    await api.secret("a")
    await api.secret("b")
    cluster.compact()
    query = (("watch", "true"), ("resourceVersion", "1"))
    accept = (("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"),)
    answer = await cluster.request("GET", SECRETS, query=query, headers=accept)
    assert json.loads(answer.body)["object"]["kind"] == "Status"


async def test_an_object_that_begins_and_ceases_to_match_is_added_and_deleted(
    cluster: FakeCluster, api: Api
):
    await api.secret("a")
    start, kind = cluster.resource_version, "application/merge-patch+json"
    for value in ("in", "in2", None, "in"):
        labels = {"x": value}
        await api("PATCH", f"{SECRETS}/a", {"metadata": {"labels": labels}}, kind=kind)
    await api("DELETE", f"{SECRETS}/a")
    seen = await events(cluster, resourceVersion=start, labelSelector="x", timeoutSeconds="1")
    types = [event["type"] for event in seen]
    assert types == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": "x"}, 400),
        ({"continue": "x"}, 400),
        ({"continue": "e30"}, 400),
        ({"resourceVersion": "x"}, 400),
        ({"resourceVersion": "x", "watch": "true"}, 500),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "1", "resourceVersionMatch": "Bad"}, 422),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersionMatch": "NotOlderThan", "watch": "true"}, 422),
        ({"sendInitialEvents": "true", "watch": "true"}, 422),
        ({"sendInitialEvents": "true"}, 422),
    ],
)
async def test_options_that_make_no_sense(api: Api, query: dict[str, str], status: int):
    assert (await api("GET", SECRETS, **query))[0] == status


async def test_a_page_goes_on_where_it_ended_and_takes_no_version(api: Api):
    for name in "abc":
        await api.secret(name)
    _, page = await api("GET", SECRETS, limit="2")
    token, version = page["metadata"]["continue"], page["metadata"]["resourceVersion"]
    assert page["metadata"]["remainingItemCount"] == 1
    await api.secret("bb")
    _, rest = await api("GET", SECRETS, limit="2", **{"continue": token})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c"]
    both = {"continue": token, "resourceVersion": version}
    assert (await api("GET", SECRETS, **both))[0] == 400


async def test_a_page_chosen_by_labels_does_not_count_the_rest(api: Api):
    for name in "ab":
        await api.secret(name, labels={"x": "y"})
    _, page = await api("GET", SECRETS, limit="1", labelSelector="x")
    assert "remainingItemCount" not in page["metadata"]
    assert page["metadata"]["continue"]


INITIAL = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


async def test_a_watch_is_told_where_to_go_on_two_seconds_before_its_end(
    cluster: FakeCluster, api: Api
):
    await api.secret("a")
    loop = asyncio.get_running_loop()
    began = loop.time()
    query = (("watch", "1"), ("timeoutSeconds", "30"), ("allowWatchBookmarks", "true"))
    stream = cluster.stream(SECRETS, query=query)
    assert [loop.time() - began async for _ in stream] == [0, 28]
    assert loop.time() - began == 30


async def test_a_streaming_list_from_the_future_ends_in_a_timeout_error(cluster: FakeCluster):
    seen = await events(cluster, resourceVersion="999", allowWatchBookmarks="true", **INITIAL)
    assert [event["type"] for event in seen] == ["ERROR"]
    assert seen[0]["object"]["code"] == 504
    cause = seen[0]["object"]["details"]["causes"][0]
    assert cause["reason"] == "ResourceVersionTooLarge"


async def test_without_bookmarks_a_streaming_list_has_no_marked_end(cluster: FakeCluster, api: Api):
    await api.secret("a")
    seen = await events(cluster, timeoutSeconds="30", **INITIAL)
    assert [event["type"] for event in seen] == ["ADDED"]


async def test_a_watch_that_declines_initial_events_sees_only_what_comes(
    cluster: FakeCluster, api: Api
):
    await api.secret("a")
    query = {**INITIAL, "sendInitialEvents": "false", "timeoutSeconds": "5"}
    watching = asyncio.create_task(events(cluster, **query))
    await asyncio.sleep(1)
    await api.secret("b")
    assert [e["object"]["metadata"]["name"] for e in await watching] == ["b"]


@pytest.mark.parametrize(
    ("query", "causes"),
    [
        pytest.param({"sendInitialEvents": "true"}, 1, id="no-match"),
        pytest.param({"sendInitialEvents": "true", "resourceVersionMatch": "Exact"}, 2, id="exact"),
        pytest.param({"resourceVersionMatch": "NotOlderThan"}, 1, id="match-alone"),
        pytest.param({"resourceVersionMatch": "Exact"}, 2, id="exact-alone"),
        pytest.param({**INITIAL, "continue": "abc"}, 1, id="token"),
        pytest.param({"continue": "abc"}, 1, id="token-alone"),
    ],
)
async def test_streaming_lists_that_make_no_sense_are_refused(
    api: Api, query: dict[str, str], causes: int
):
    status, body = await api("GET", SECRETS, watch="1", timeoutSeconds="1", **query)
    assert status == 422
    assert len(body["details"]["causes"]) == causes
    assert {cause["field"] for cause in body["details"]["causes"]} == {"resourceVersionMatch"}


async def test_metadata_alone_is_watched(cluster: FakeCluster, api: Api):
    await api("POST", SECRETS, {"metadata": {"name": "a"}, "data": {"k": "YQ=="}})
    headers = (("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),)
    query = (("watch", "1"), ("timeoutSeconds", "1"), ("allowWatchBookmarks", "1"))
    stream = cluster.stream(SECRETS, query=(*query, *INITIAL.items()), headers=headers)
    seen = [json.loads(line) async for lines in stream for line in lines]
    assert [event["type"] for event in seen] == ["ADDED", "BOOKMARK"]
    for event in seen:
        assert set(event["object"]) == {"kind", "apiVersion", "metadata"}
        assert event["object"]["kind"] == "PartialObjectMetadata"


async def test_a_watch_of_lists_ends_at_once(cluster: FakeCluster, api: Api):
    await api.secret("a")
    headers = (("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),)
    stream = cluster.stream(SECRETS, query=(("watch", "1"),), headers=headers)
    assert [lines async for lines in stream] == []
    assert not cluster.open_watches
