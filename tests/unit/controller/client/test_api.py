"""The client: what each call sends, and what it makes of the answer."""

from __future__ import annotations

import json

import pytest
from tests.unit.controller.client.wire import Recorder

from hybridpg.controller.client import ApplyPatch, Client, JsonPatch, MergePatch
from hybridpg.controller.errors import (
    AlreadyExists,
    Conflict,
    DecodeError,
    Gone,
    Invalid,
    NotFound,
    ServerError,
)
from hybridpg.controller.protocols import Response
from hybridpg.controller.types import NAMESPACES, SECRETS, ObjectKey

KEY = ObjectKey("team", "login")
PATH = "/api/v1/namespaces/team/secrets/login"
OBJECT = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}}


@pytest.fixture
def client(recorder: Recorder) -> Client:
    return Client(recorder, field_manager="tests")


def failure(status: int, reason: str) -> Response:
    body = {"kind": "Status", "code": status, "reason": reason, "message": "no"}
    return Response(status, {}, json.dumps(body).encode())


async def test_get_asks_for_json_and_decodes_it(client: Client, recorder: Recorder):
    recorder.answers = [Response(200, {}, json.dumps(OBJECT).encode())]

    assert await client.get(SECRETS, KEY) == OBJECT
    [sent] = recorder.sent
    assert (sent.method, sent.path, sent.query, sent.body) == ("GET", PATH, {}, None)
    assert sent.headers == {"accept": "application/json"}


@pytest.mark.parametrize(
    ("call", "method", "suffix"),
    [
        pytest.param(lambda c: c.get(SECRETS, KEY, subresource="scale"), "GET", "scale", id="get"),
        pytest.param(
            lambda c: c.update(SECRETS, KEY, OBJECT, subresource="status"),
            "PUT",
            "status",
            id="update",
        ),
        pytest.param(
            lambda c: c.patch(SECRETS, KEY, MergePatch({}), subresource="status"),
            "PATCH",
            "status",
            id="patch",
        ),
        pytest.param(
            lambda c: c.create(
                SECRETS, OBJECT, namespace="team", name="login", subresource="token"
            ),
            "POST",
            "token",
            id="create",
        ),
    ],
)
async def test_each_call_reaches_a_subresource(client, recorder, call, method, suffix):
    await call(client)

    [sent] = recorder.sent
    assert (sent.method, sent.path) == (method, f"{PATH}/{suffix}")


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        pytest.param(
            lambda c: c.create(SECRETS, OBJECT, namespace="team"),
            "POST",
            "/api/v1/namespaces/team/secrets",
            id="create",
        ),
        pytest.param(
            lambda c: c.create(NAMESPACES, OBJECT), "POST", "/api/v1/namespaces", id="cluster"
        ),
        pytest.param(lambda c: c.update(SECRETS, KEY, OBJECT), "PUT", PATH, id="update"),
    ],
)
async def test_a_write_names_its_manager_and_lets_no_field_be_dropped(
    client, recorder, call, method, path
):
    await call(client)

    [sent] = recorder.sent
    assert (sent.method, sent.path) == (method, path)
    assert sent.query == {"fieldManager": "tests", "fieldValidation": "Strict"}
    assert sent.headers["content-type"] == "application/json"
    assert json.loads(sent.body) == OBJECT


@pytest.mark.parametrize(
    ("patch", "extra"),
    [
        pytest.param(MergePatch({"a": None}), {}, id="merge"),
        pytest.param(JsonPatch(({"op": "remove", "path": "/a"},)), {}, id="json"),
        pytest.param(ApplyPatch(OBJECT), {}, id="apply"),
        pytest.param(ApplyPatch(OBJECT, force=True), {"force": "true"}, id="apply-by-force"),
    ],
)
async def test_a_patch_is_sent_as_what_it_is(client, recorder, patch, extra):
    await client.patch(SECRETS, KEY, patch)

    [sent] = recorder.sent
    assert (sent.method, sent.path, sent.body) == ("PATCH", PATH, patch.encode())
    assert sent.headers["content-type"] == patch.content_type
    assert sent.query == {"fieldManager": "tests", "fieldValidation": "Strict", **extra}


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda c: c.create(SECRETS, OBJECT, namespace="a", dry_run=True), id="create"),
        pytest.param(lambda c: c.update(SECRETS, KEY, OBJECT, dry_run=True), id="update"),
        pytest.param(lambda c: c.patch(SECRETS, KEY, MergePatch({}), dry_run=True), id="patch"),
    ],
)
async def test_a_dry_run_is_asked_for_in_the_query(client, recorder, call):
    await call(client)

    assert recorder.sent[0].query["dryRun"] == "All"


async def test_a_dry_run_of_a_deletion_is_asked_for_where_the_server_looks(client, recorder):
    await client.delete(SECRETS, KEY, dry_run=True)

    [sent] = recorder.sent
    # with a body the query is not read: there it would delete
    assert json.loads(sent.body)["dryRun"] == ["All"]


async def test_a_plain_deletion_has_no_preconditions(client: Client, recorder: Recorder):
    await client.delete(SECRETS, KEY)

    [sent] = recorder.sent
    assert (sent.method, sent.path) == ("DELETE", PATH)
    assert json.loads(sent.body or b"") == {"apiVersion": "v1", "kind": "DeleteOptions"}


async def test_a_deletion_carries_its_preconditions_and_policy(client, recorder):
    await client.delete(SECRETS, KEY, uid="u1", resource_version="7", propagation="Foreground")

    options = json.loads(recorder.sent[0].body)
    assert options["preconditions"] == {"uid": "u1", "resourceVersion": "7"}
    assert options["propagationPolicy"] == "Foreground"


@pytest.mark.parametrize("key", [ObjectKey("team", ""), ObjectKey("", "login"), ObjectKey("", "")])
async def test_a_deletion_never_addresses_a_collection(client, recorder, key):
    with pytest.raises(ValueError, match=r"path of an object|needs a namespace"):
        await client.delete(SECRETS, key)

    assert recorder.sent == []


async def test_a_namespaced_object_is_not_created_outside_of_a_namespace(client, recorder):
    with pytest.raises(ValueError, match="needs a namespace"):
        await client.create(SECRETS, OBJECT)

    assert recorder.sent == []


async def test_list_reads_one_page(client: Client, recorder: Recorder):
    items = [{"metadata": {"name": "a", "namespace": "team", "resourceVersion": "3"}}]
    meta = {"resourceVersion": "9", "continue": "next", "remainingItemCount": 4}
    recorder.answers = [Response(200, {}, json.dumps({"metadata": meta, "items": items}).encode())]

    page = await client.list(
        SECRETS, namespace="team", label_selector="a in (b,c)", field_selector="x=y", limit=1
    )

    assert [(item.key, item.resource_version) for item in page.items] == [
        (ObjectKey("team", "a"), "3")
    ]
    assert page[1:] == ("9", "next", 4)
    [sent] = recorder.sent
    assert (sent.method, sent.path) == ("GET", "/api/v1/namespaces/team/secrets")
    assert sent.query == {"labelSelector": "a in (b,c)", "fieldSelector": "x=y", "limit": "1"}


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({}, {}),
        ({"resource_version": None}, {}),
        ({"resource_version": "0"}, {"resourceVersion": "0"}),
        (
            {"resource_version": "7", "resource_version_match": "NotOlderThan"},
            {"resourceVersion": "7", "resourceVersionMatch": "NotOlderThan"},
        ),
        ({"continue_token": "next"}, {"continue": "next"}),
    ],
)
async def test_list_says_how_new_the_answer_must_be(client, recorder, arguments, query):
    recorder.answers = [Response(200, {}, b'{"metadata": {}, "items": []}')]

    await client.list(SECRETS, **arguments)

    assert recorder.sent[0].path == "/api/v1/secrets"
    assert recorder.sent[0].query == query


METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


async def test_metadata_alone_can_be_got_listed_and_watched(client, recorder):
    recorder.answers = [Response(200, {}, b'{"metadata": {}, "items": []}')]

    await client.get(SECRETS, KEY, metadata_only=True)
    await client.list(SECRETS, metadata_only=True)
    [_ async for _ in client.watch(SECRETS, timeout_seconds=1, metadata_only=True)]

    accepted = [sent.headers["accept"] for sent in recorder.sent]
    assert accepted == [METADATA, METADATA_LIST, METADATA]


async def test_watch_gives_the_lines_as_they_come(client: Client, recorder: Recorder):
    recorder.lines = [[b"1", b"2"], [b"3"]]

    stream = client.watch(SECRETS, resource_version="7", timeout_seconds=300)

    assert [lines async for lines in stream] == [[b"1", b"2"], [b"3"]]
    assert recorder.sent[0].query == {
        "watch": "true",
        "resourceVersion": "7",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }


async def test_a_watch_can_bring_the_list_and_select(client: Client, recorder: Recorder):
    stream = client.watch(
        SECRETS,
        namespace="team",
        label_selector="a=b",
        field_selector="metadata.name=x",
        timeout_seconds=1,
        send_initial_events=True,
    )

    assert [lines async for lines in stream] == []
    [sent] = recorder.sent
    assert sent.path == "/api/v1/namespaces/team/secrets"
    assert sent.query["sendInitialEvents"] == "true"
    assert sent.query["resourceVersionMatch"] == "NotOlderThan"
    assert (sent.query["labelSelector"], sent.query["fieldSelector"]) == ("a=b", "metadata.name=x")
    assert "resourceVersion" not in sent.query


async def test_a_watch_without_bookmarks_does_not_ask_for_them(client, recorder):
    [_ async for _ in client.watch(SECRETS, timeout_seconds=1, bookmarks=False)]

    assert "allowWatchBookmarks" not in recorder.sent[0].query


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Gone),
        (422, "Invalid", Invalid),
        (500, "InternalError", ServerError),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda c: c.get(SECRETS, KEY), id="get"),
        pytest.param(lambda c: c.list(SECRETS), id="list"),
        pytest.param(lambda c: c.create(SECRETS, OBJECT, namespace="team"), id="create"),
        pytest.param(lambda c: c.update(SECRETS, KEY, OBJECT), id="update"),
        pytest.param(lambda c: c.patch(SECRETS, KEY, MergePatch({})), id="patch"),
        pytest.param(lambda c: c.delete(SECRETS, KEY), id="delete"),
    ],
)
async def test_every_call_turns_an_error_status_into_its_error(
    client, recorder, call, status, reason, expected
):
    recorder.answers = [failure(status, reason)]

    with pytest.raises(expected) as caught:
        await call(client)

    assert caught.value.reason == reason
    assert len(recorder.sent) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
async def test_a_success_that_is_no_object_is_not_taken_for_one(client, recorder, body):
    recorder.answers = [Response(200, {}, body)]

    with pytest.raises(DecodeError):
        await client.get(SECRETS, KEY)
    with pytest.raises(DecodeError):
        await client.list(SECRETS)


async def test_a_deletion_that_has_only_begun_is_a_success(client: Client, recorder: Recorder):
    recorder.answers = [Response(202, {}, b"")]

    await client.delete(SECRETS, KEY)


async def test_closing_the_client_closes_its_transport(client: Client, recorder: Recorder):
    await client.close()

    assert recorder.closed
    assert client.transport is recorder
