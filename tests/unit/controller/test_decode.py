"""Decoding: the identity at once, the bytes of the object alone, errors that say what is wrong."""

from __future__ import annotations

import contextlib
import gc
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controller.scripted import bookmark, line, obj, page, status

from hybridpg.controller.decode import decode_event, decode_list, decode_object
from hybridpg.controller.errors import (
    ApiError,
    DecodeError,
    Gone,
    ServerError,
    TooManyRequests,
    UnknownEvent,
)
from hybridpg.controller.status_error import (
    api_error_from_status,
    error_class,
    too_large_resource_version,
)

COMPACT = (",", ":")


def encoded(body: object) -> bytes:
    return json.dumps(body, separators=COMPACT).encode()


def test_an_object_is_its_identity_and_its_bytes():
    body = encoded(obj("a", 7, generation=3, deletionTimestamp="2026-01-01T00:00:00Z"))
    found = decode_object(body)
    assert (found.namespace, found.name, found.uid) == ("ns", "a", "uid-a")
    assert (found.resource_version, found.generation, found.deleting) == ("7", 3, True)
    assert found.raw == body


def test_missing_fields_are_empty():
    found = decode_object(b'{"metadata":{"name":"a"}}')
    assert (found.namespace, found.uid, found.resource_version) == ("", "", "")
    assert (found.generation, found.deletion_timestamp, found.deleting) == (0, "", False)


def test_a_null_deletion_timestamp_is_none():
    assert not decode_object(b'{"metadata":{"name":"a","deletionTimestamp":null}}').deleting


@pytest.mark.parametrize("type_", ["ADDED", "MODIFIED", "DELETED"])
def test_an_event_holds_the_bytes_of_its_object_alone(type_):
    event = decode_event(line(type_, obj("a", 7)))
    assert event.type == type_
    assert event.object.raw == encoded(obj("a", 7))
    assert event.object.decode() == obj("a", 7)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b'{"object":%s,"type":"ADDED"}', id="other order"),
        pytest.param(b'{ "type": "ADDED", "object": %s }', id="spaces"),
        pytest.param(b'{"type":"ADDED","object":%s} ', id="trailing space"),
        pytest.param(b'{"type":"ADDED","object":%s,"more":1}', id="more fields"),
        pytest.param(b'{"type":"\\u0041DDED","object":%s}', id="escaped type"),
    ],
)
def test_events_are_understood_in_any_spelling(frame):
    body = encoded(obj("a", 7))
    event = decode_event(frame % body)
    assert (event.type, event.object.raw) == ("ADDED", body)


def test_text_that_looks_like_a_frame_does_not_deceive():
    tricky = obj("a", 7, annotations={"x": '","object":{"metadata":{"name":"evil"}}}'})
    assert decode_event(line("ADDED", tricky)).object.decode() == tricky


def test_a_bookmark_has_a_version_and_no_name():
    event = decode_event(bookmark(42))
    assert (event.type, event.object.resource_version, event.object.name) == ("BOOKMARK", "42", "")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(status(410, "Expired"), Gone, id="expired"),
        pytest.param(status(429, "TooManyRequests"), TooManyRequests, id="too many"),
        pytest.param(status(500, "InternalError"), ServerError, id="internal"),
        pytest.param({"kind": "Status", "reason": "Expired"}, Gone, id="without a code"),
        pytest.param({}, ServerError, id="nothing at all"),
    ],
)
def test_an_error_event_is_raised_as_what_it_says(body, error):
    with pytest.raises(error) as caught:
        decode_event(line("ERROR", body))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(line("SYNC", obj()), id="unknown type"),
        pytest.param(line("", obj()), id="no type"),
        pytest.param(b'{"object":{"metadata":{"name":"a"}}}', id="type missing"),
        pytest.param(line("ADDED", {"kind": "Table", "metadata": {"name": "a"}}), id="table"),
        pytest.param(line("ADDED", {"kind": "Widget"}), id="no metadata"),
        pytest.param(line("ADDED", {"metadata": {}}), id="no name"),
    ],
)
def test_a_well_formed_event_that_means_nothing_can_be_told_apart(event):
    with pytest.raises(UnknownEvent):
        decode_event(event)


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html></html>", id="html"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="array"),
        pytest.param(b'{"type":"ADDED"}', id="no object"),
        pytest.param(b'{"type":"ADDED","object":[]}', id="object is an array"),
        pytest.param(b'{"type":"ERROR","object":7}', id="status is a number"),
        pytest.param(line("ADDED", obj())[:-1], id="truncated by one"),
        pytest.param(line("ADDED", obj()) * 2, id="two at once"),
        pytest.param(line("ADDED", obj()) + b"}", id="one brace too many"),
        pytest.param(line("ADDED", obj(generation="x")), id="wrong type of a field"),
        pytest.param(b'{"type":"ADDED","object":{"metadata":{"name":"\xff"}}}', id="not utf-8"),
        pytest.param(b'{"type":"ADDED","object":' + b"[" * 100_000, id="nesting without end"),
    ],
)
def test_rubbish_is_a_decode_error_and_nothing_else(rubbish):
    with pytest.raises(DecodeError) as caught:
        decode_event(rubbish)
    assert not isinstance(caught.value, UnknownEvent)


@given(st.binary(max_size=200))
def test_no_bytes_make_any_other_error(data):
    for decode in (decode_event, decode_object, decode_list):
        with contextlib.suppress(DecodeError, ApiError):
            decode(data)


@given(st.integers(1, 400))
def test_no_truncated_event_passes_for_a_whole_one(cut):
    whole = line("ADDED", obj("a", 7))
    with pytest.raises(DecodeError):
        decode_event(whole[: -min(cut, len(whole))])


def test_no_secret_reaches_a_message():
    leak = b'{"type":"ADDED","object":{"data":{"password":"hunter2"},"metadata":7}}'
    for decode in (decode_event, decode_object, decode_list):
        with pytest.raises(DecodeError) as caught:
            decode(leak)
        assert "hunter2" not in str(caught.value)


def test_a_page_has_its_items_version_and_token():
    found = decode_list(page(obj("a"), obj("b"), version="9", token="t").body)
    assert [item.name for item in found.items] == ["a", "b"]
    assert (found.resource_version, found.continue_token, found.remaining) == ("9", "t", None)
    assert found.items[0].decode() == obj("a")


def test_the_last_page_has_no_token_and_null_items_are_none():
    body = (
        b'{"metadata":{"resourceVersion":"5","continue":null,"remainingItemCount":3},"items":null}'
    )
    assert decode_list(body) == ([], "5", "", 3)


def test_an_item_does_not_keep_its_page_alive():
    found = decode_list(page(*(obj(f"n{number}") for number in range(50))).body)
    assert all(type(item.raw) is bytes and len(item.raw) < 300 for item in found.items)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"kind":"Table","metadata":{},"items":[]}', id="table"),
        pytest.param(b'{"items":[]}', id="no metadata"),
        pytest.param(b'{"metadata":{},"items":[7]}', id="item is a number"),
        pytest.param(b'{"metadata":{},"items":[{"metadata":{}}]}', id="item without a name"),
        pytest.param(b"<html>", id="html"),
    ],
)
def test_what_is_no_list_is_a_decode_error(body):
    with pytest.raises(DecodeError):
        decode_list(body)


def test_the_collector_sees_nothing_of_an_object():
    assert not gc.is_tracked(decode_object(encoded(obj())))


def test_each_decode_gives_a_dict_of_its_own():
    found = decode_object(encoded(obj()))
    found.decode()["spec"]["size"] = 99
    assert found.decode()["spec"]["size"] == 1


@pytest.mark.parametrize(
    ("code", "reason", "name"),
    [
        (400, "", "BadRequest"),
        (401, "", "Unauthorized"),
        (403, "", "Forbidden"),
        (404, "", "NotFound"),
        (409, "", "Conflict"),
        (409, "AlreadyExists", "AlreadyExists"),
        (410, "", "Gone"),
        (418, "", "ApiError"),
        (422, "", "Invalid"),
        (429, "", "TooManyRequests"),
        (500, "", "ServerError"),
        (504, "Timeout", "ServerError"),
    ],
)
def test_a_status_has_one_error_class(code, reason, name):
    assert error_class(code, reason).__name__ == name


def test_the_status_of_the_answer_wins_over_that_of_its_body():
    error = api_error_from_status(status(500, "InternalError"), status=409)
    assert (error.status, error.reason, error.message) == (409, "InternalError", "no")


def test_the_seconds_to_wait_come_from_the_details_unless_a_header_says_them():
    body = status(429, "TooManyRequests", retryAfterSeconds=4)
    assert api_error_from_status(body).retry_after == 4
    assert api_error_from_status(body, retry_after=9).retry_after == 9
    assert api_error_from_status(status(429, "x")).retry_after is None


def test_a_wait_longer_than_the_field_can_say_is_the_longest_that_it_can():
    body = status(429, "TooManyRequests", retryAfterSeconds=10**400)
    assert api_error_from_status(body).retry_after == 2**31 - 1


def test_a_status_of_wrong_types_is_still_an_error():
    error = api_error_from_status({"code": "x", "reason": 7, "message": [], "details": "y"})
    assert (error.status, error.reason, error.message, error.details) == (500, "", "", {})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (status(504, "Timeout", causes=[{"reason": "ResourceVersionTooLarge"}]), True),
        (status(504, "Timeout", "Too large resource version: 9, current: 7"), True),
        (status(504, "Timeout", "etcd is slow", causes=["x", {"reason": "y"}]), False),
        (status(500, "InternalError", "Too large resource version", causes="z"), False),
    ],
)
def test_a_version_from_the_future_is_recognised(body, expected):
    assert too_large_resource_version(api_error_from_status(body)) is expected


def test_an_event_of_a_large_object_costs_a_fraction_of_decoding_all_of_it():
    event = line("MODIFIED", obj("a", 7, spec={f"key{n}": ["x" * 20] for n in range(800)}))

    def cost(function: Callable[[bytes], object]) -> float:
        started = time.thread_time()
        for _ in range(200):
            function(event)
        return time.thread_time() - started

    rounds = [(cost(json.loads), cost(decode_event)) for _ in range(5)]
    assert min(own for _, own in rounds) < min(whole for whole, _ in rounds) / 3


def test_an_event_keeps_the_bytes_that_came_and_shows_those_of_its_object():
    whole = line("MODIFIED", obj("a", 7, spec={"text": "}} ü"}))
    found = decode_event(whole).object
    assert found.encoded is whole
    assert json.loads(found.raw) == json.loads(bytes(found.view)) == found.decode()
    assert found.decode() == obj("a", 7, spec={"text": "}} ü"})


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b'{"object": %s , "type": "ADDED"}', id="other order and spaces"),
        pytest.param(b'{"type":"ADDED","object":%s }', id="a space before the end"),
        pytest.param(b'{"type":"ADDED","object":%s}\r', id="carriage return"),
        pytest.param(b'{"type":"ADDED","object":%s,"more":{"metadata":{"name":"x"}}}', id="more"),
    ],
)
def test_an_event_that_is_framed_in_another_way_is_the_same_event(event):
    found = decode_event(event % encoded(obj("a", 7)))
    assert (found.type, found.object.key.name) == ("ADDED", "a")
    assert found.object.decode() == obj("a", 7)


def test_an_event_of_another_kind_means_nothing_where_the_kind_is_known():
    gadget = {**obj("a"), "kind": "Gadget"}
    with pytest.raises(UnknownEvent, match="'Gadget' instead of Widget"):
        decode_event(line("ADDED", gadget), "Widget")
    assert decode_event(line("ADDED", gadget)).object.name == "a"
    partial = {**obj("a"), "kind": "PartialObjectMetadata"}
    assert decode_event(line("ADDED", partial), "Widget").object.name == "a"


def test_an_event_of_twenty_megabytes_is_an_event():
    whole = line("ADDED", obj("a", 7, spec={"text": "x" * 20_000_000}))
    found = decode_event(whole, "Widget").object
    assert len(found.decode()["spec"]["text"]) == 20_000_000


# --- cutting a list into its items -------------------------------------------------------------

DECOYS = {
    "an object in a list that begins like an item": (
        '"x":[{"a":1},{"kind":"W","metadata":{"name":"no"}}]'
    ),
    "a string that reads like the end of an item": '"x":"},{\\"kind\\":\\"W\\",\\"metadata\\":{"',
    "a list of items of its own": '"items":[{"kind":"W","metadata":{"name":"no"}}]',
    "lists that end in objects": '"x":[[{"a":[{}]}]]',
    "no metadata at its beginning": '"status":{"metadata":{"name":"no"}}',
}


@pytest.mark.parametrize("decoy", DECOYS.values(), ids=DECOYS)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("tail", ["]}\n", '],"kind":"WList","metadata":{"resourceVersion":"7"}}'])
def test_a_list_is_cut_into_exactly_its_items(decoy: str, place: int, tail: str):
    """Whatever the items hold: what looks like the beginning of one need not be."""
    items = [f'{{"kind":"W","metadata":{{"name":"n{n}"}}}}' for n in range(3)]
    items[place] = f'{{"kind":"W","metadata":{{"name":"n{place}"}},{decoy}}}'
    before = "" if "metadata" in tail else '"kind":"WList","metadata":{"resourceVersion":"7"},'

    page = decode_list(f'{{{before}"items":[{",".join(items)}{tail}'.encode())

    assert [obj.raw.decode() for obj in page.items] == items
    assert [obj.name for obj in page.items] == ["n0", "n1", "n2"]
    assert page.resource_version == "7"


@pytest.mark.parametrize("gap", ["", " ", "\n  "])
def test_a_list_may_be_spaced_and_its_items_ordered_in_any_way(gap: str):
    items = [
        f'{{"metadata":{gap}{{"name":"a"}},"kind":"W"}}',
        f'{{"kind":"W",{gap}"metadata":{{"name":"b"}}}}',
        f'{{"first":1,"kind":"W","metadata":{{"name":"c"}}{gap}}}',
    ]
    body = f'{{"items":{gap}[{gap}{f",{gap}".join(items)}{gap}],"metadata":{{}}}}'

    page = decode_list(body.encode())

    assert [obj.raw.decode() for obj in page.items] == items


def test_the_items_of_another_list_in_the_answer_are_not_the_items_of_this_one():
    inner = '{"items":[{"metadata":{"name":"no"}},{"metadata":{"name":"nor"}}]}'
    body = f'{{"metadata":{{}},"other":{inner},"items":[{{"metadata":{{"name":"yes"}}}}]}}'

    assert [obj.name for obj in decode_list(body.encode()).items] == ["yes"]
    body = f'{{"metadata":{{}},"items":[{{"metadata":{{"name":"yes"}}}}],"other":{inner}}}'
    assert [obj.name for obj in decode_list(body.encode()).items] == ["yes"]


@pytest.mark.parametrize("cut", range(1, 130))
def test_a_list_that_is_cut_off_is_never_decoded(cut: int):
    body = (
        b'{"metadata":{},"items":[{"metadata":{"name":"a"},"b":[{}]},'
        b'{"metadata":{"name":"c"},"d":[{"x":[1]}]},{"metadata":{"name":"e"}}]}'
    )

    assert len(decode_list(body).items) == 3
    with pytest.raises(DecodeError):
        decode_list(body[:-cut])


@pytest.mark.parametrize("value", ["eA==", "no base64!", 7, None])
def test_fields_of_ours_cannot_be_brought_in_with_the_metadata(value: object):
    forged = {"kind": "W", "metadata": {"name": "a", "(encoded)": value, "(offset)": 3}}
    text = json.dumps(forged, separators=(",", ":")).encode()
    event = decode_event(b'{"type":"ADDED","object":' + text + b"}", "W")
    listed = decode_list(b'{"metadata":{},"items":[' + text + b"," + text + b"]}").items

    assert [found.raw for found in (event.object, *listed)] == [text] * 3
    assert [found.decode() for found in (event.object, *listed)] == [forged] * 3


def test_a_null_deletion_timestamp_is_none_in_events_and_lists():
    text = b'{"kind":"W","metadata":{"name":"a","deletionTimestamp":null}}'
    event = decode_event(b'{"type":"MODIFIED","object":' + text + b"}", "W")
    (listed,) = decode_list(b'{"metadata":{},"items":[' + text + b"]}").items

    assert not event.object.deleting
    assert not listed.deleting
    assert (event.object.raw, listed.raw) == (text, text)
