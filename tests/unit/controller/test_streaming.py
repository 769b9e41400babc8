"""Lists that come as the first events of a watch: what is asked, when, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

import pytest
from tests.unit.controller.scripted import (
    PATH,
    WIDGETS,
    ScriptedTransport,
    bookmark,
    line,
    obj,
    page,
    refused,
    status,
)
from tests.unit.controller.test_watcher import Step, follow, late, times

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ConnectionRefused, TransportError
from hybridpg.controller.watcher import Watcher

pytestmark = pytest.mark.virtual_time


def complete(version: int | str) -> bytes:
    """The bookmark after the last object of a streamed list."""
    annotations = {"k8s.io/initial-events-end": "true"}
    meta = {"resourceVersion": str(version), "annotations": annotations}
    return line("BOOKMARK", {"kind": "Widget", "metadata": meta})


def added(name: str, version: int = 1) -> bytes:
    return line("ADDED", obj(name, version))


async def test_the_first_list_is_streamed_at_quorum_and_the_same_stream_goes_on_as_the_watch():
    stream: Step = [[added("a"), added("b"), complete(7)], 5.0, [added("c", 8)], 60.0]
    transport = ScriptedTransport(streams=[stream])
    assert await follow(transport, seconds=30) == ["LIST a b", "ADDED c"]
    (call,) = transport.calls
    assert call.path == PATH
    assert call.query == {
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }


async def test_nothing_is_seen_before_the_bookmark_that_says_so():
    stream: Step = [[added("a")], 5.0, [bookmark(3)], [added("b")], 5.0, [complete(7)], 60.0]
    transport = ScriptedTransport(streams=[stream])
    assert await follow(transport, seconds=9) == []
    transport = ScriptedTransport(streams=[stream])
    assert await follow(transport, seconds=11) == ["LIST a b"]


async def test_a_bookmark_that_cannot_be_read_leads_to_a_list_in_pages():
    meta = {"resourceVersion": "5", "annotations": {"k8s.io/initial-events-end": True}}
    stream: Step = [[added("a"), line("BOOKMARK", {"kind": "Widget", "metadata": meta})], 60.0]
    transport = ScriptedTransport([page(obj("a"), obj("b"))], streams=[stream])
    assert await follow(transport, seconds=5) == ["LIST a b"]
    assert transport.verbs() == ["STREAM", "GET", "WATCH"]


@pytest.mark.parametrize("together", [True, False])
async def test_a_streamed_list_with_a_line_that_is_no_event_is_never_taken_for_whole(together):
    """Its object would look deleted until the next list."""
    damaged = [[added("a"), b'{"type":"ADD', complete(7)]]
    stream = damaged if together else [[one] for one in damaged[0]]
    transport = ScriptedTransport([page(obj("a"), obj("b"))], streams=[[*stream, 60.0]])
    assert await follow(transport, seconds=5) == ["LIST a b"]
    assert transport.verbs() == ["STREAM", "GET", "WATCH"]


async def test_changes_before_the_bookmark_are_part_of_the_list():
    stream: Step = [
        [added("a"), added("b"), line("MODIFIED", obj("a", 5)), line("DELETED", obj("b", 6))],
        [complete(7), added("c", 8)],
        60.0,
    ]
    transport = ScriptedTransport(streams=[stream])
    assert await follow(transport, seconds=1) == ["LIST a", "ADDED c"]


async def test_the_annotation_must_say_true():
    lie = {"resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "false"}}
    stream: Step = [[added("a"), line("BOOKMARK", {"kind": "Widget", "metadata": lie})], 60.0]
    assert await follow(ScriptedTransport(streams=[stream]), seconds=5) == []


async def test_the_watch_after_a_streamed_list_is_reopened_from_the_newest_version():
    stream: Step = [[added("a"), complete(7)], 400.0]
    transport = ScriptedTransport(streams=[stream])
    await follow(transport, seconds=401, liveness=1000)
    assert transport.verbs() == ["STREAM", "WATCH"]
    assert transport.of("WATCH")[0].at == 400
    assert transport.of("WATCH")[0].query["resourceVersion"] == "7"


async def test_a_relist_is_streamed_not_older_than_what_was_seen():
    gone = line("ERROR", status(410, "Expired"))
    streams: list[Step] = [
        [[complete(7), added("a", 9), gone]],
        [[added("b"), complete(20)], 60.0],
    ]
    transport = ScriptedTransport(streams=streams)
    assert await follow(transport, seconds=5) == ["LIST", "ADDED a", "LIST b"]
    relist = transport.of("STREAM")[1]
    assert relist.at == 0.8
    assert relist.query["resourceVersion"] == "9"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refused(410, "Expired"), id="expired"),
        pytest.param([line("ERROR", status(410, "Gone"))], id="expired, as an event"),
        pytest.param(
            refused(504, "Timeout", "Too large resource version: 9, current: 7"),
            id="too large",
        ),
        pytest.param(
            [line("ERROR", status(504, "Timeout", causes=[{"reason": "ResourceVersionTooLarge"}]))],
            id="too large, as an event",
        ),
    ],
)
async def test_a_version_that_cannot_be_had_is_streamed_at_quorum_at_once(answer):
    streams: list[Step] = [
        [[complete(7)], refused(410)],
        [answer],
        [[added("a"), complete(3)], 60.0],
    ]
    transport = ScriptedTransport(streams=streams)
    assert await follow(transport, seconds=5) == ["LIST", "LIST a"]
    assert times(transport, "STREAM") == [0, 0.8, 0.8]
    versions = [call.query.get("resourceVersion") for call in transport.of("STREAM")]
    assert versions == [None, "7", None]


async def test_a_streamed_list_from_before_what_is_known_is_not_taken():
    streams: list[Step] = [
        [[complete(150)], refused(410)],
        [[added("old"), complete(149), added("older", 2)], 60.0],
        [[added("a"), complete(151)], 60.0],
    ]
    transport = ScriptedTransport(streams=streams)
    assert await follow(transport, seconds=5) == ["LIST", "LIST a"]
    assert times(transport, "STREAM") == [0, 0.8, 0.8]


async def test_expiry_at_quorum_is_an_error_like_any_other():
    transport = ScriptedTransport(streams=[[refused(410)], [[added("a"), complete(3)], 60.0]])
    assert await follow(transport, seconds=5) == ["LIST a"]
    assert times(transport, "STREAM") == [0, 0.8]


@pytest.mark.parametrize("code", [400, 403, 404, 415, 422, 501])
async def test_a_server_without_streamed_lists_is_asked_again_after_half_an_hour_only(code):
    streams: list[Step] = [[refused(code)], [refused(code)]]
    gone: list[Step] = [[400.0, refused(410)] for _ in range(6)]
    transport = ScriptedTransport([page(obj("a"))], gone, streams=streams)
    seen = await follow(transport, seconds=2100, liveness=1000)
    assert set(seen) == {"LIST a"}
    assert transport.verbs()[:3] == ["STREAM", "GET", "WATCH"]
    assert times(transport, "STREAM") == [0, pytest.approx(2004, abs=1)]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refused(500), id="500"),
        pytest.param(refused(401), id="401"),
        pytest.param(TransportError("reset"), id="reset"),
        pytest.param([line("ERROR", status(500, "InternalError"))], id="500 as an event"),
        pytest.param([b"<html>login</html>"], id="html with status 200"),
        pytest.param([added("a")[:-20]], id="truncated"),
    ],
)
async def test_any_other_error_reads_the_pages_for_this_attempt_alone(answer):
    streams: list[Step] = [[answer], [[complete(200)], 60.0]]
    transport = ScriptedTransport([page(obj("a"))], [[refused(410)]], streams=streams)
    assert await follow(transport, seconds=5) == ["LIST a", "LIST"]
    assert transport.verbs() == ["STREAM", "GET", "WATCH", "STREAM"]
    assert times(transport, "STREAM") == [0, 0.8]


@pytest.mark.parametrize(
    ("answer", "at"),
    [
        pytest.param(ConnectionRefused("refused"), 0.8, id="connection refused"),
        pytest.param(refused(429, "TooManyRequests", retry_after=7.0), 7, id="429"),
    ],
)
async def test_a_server_that_is_away_or_overloaded_is_waited_for_and_not_listed(answer, at):
    transport = ScriptedTransport(streams=[[answer], [[added("a"), complete(7)], 60.0]])
    assert await follow(transport, seconds=20) == ["LIST a"]
    assert transport.verbs() == ["STREAM", "STREAM"]
    assert times(transport, "STREAM") == [0, at]


@pytest.mark.parametrize("end", [None, TransportError("reset")], ids=["clean", "reset"])
async def test_a_stream_that_ends_before_the_bookmark_is_dropped_and_tried_again(end):
    cut: Step = [[added("gone")], *([] if end is None else [end])]
    transport = ScriptedTransport(streams=[cut, [[added("a"), complete(7)], 60.0]])
    assert await follow(transport, seconds=5) == ["LIST a"]
    assert times(transport, "STREAM") == [0, 0.8]


async def test_something_that_cuts_every_streamed_list_does_not_keep_the_cache_empty():
    transport = ScriptedTransport([page(obj("a"))], streams=[[[added("a")]] for _ in range(9)])
    assert await follow(transport, seconds=60) == ["LIST a"]
    assert transport.verbs() == ["STREAM", "STREAM", "GET", "WATCH"]


async def test_a_list_that_is_not_complete_after_ten_seconds_is_in_the_log(caplog):
    stream: Step = [[added("a")], 25.0, [complete(7)], 60.0]
    with caplog.at_level(logging.WARNING):
        await follow(ScriptedTransport(streams=[stream]), seconds=50)
    assert [record.getMessage() for record in caplog.records] == [
        f"streamed list of widgets.example.org is not complete after {seconds} s"
        for seconds in (10, 20)
    ]


@pytest.mark.parametrize(
    "later",
    [bookmark(9), line("MODIFIED", obj("a", 9)), added("b", 9)],
    ids=["bookmark", "change", "creation"],
)
async def test_a_server_that_takes_it_for_a_watch_is_listed(later):
    transport = ScriptedTransport(
        [page(obj("a"))],
        streams=[[[added("a")], 60.0, [later], 3600.0]],
    )
    assert await follow(transport, seconds=600, liveness=90) == ["LIST a"]
    assert transport.verbs()[:3] == ["STREAM", "GET", "WATCH"]
    assert transport.of("GET")[0].at == 60


async def test_a_streamed_list_that_falls_silent_is_read_in_pages_and_so_are_the_next():
    """A server that takes it for a watch, and on which nothing happens, sends no more than that."""
    transport = ScriptedTransport(
        [page(obj("a"))] * 3,
        [[refused(410, "Gone")], [refused(410, "Gone")], [60.0]],
        streams=[[[added("a")], 3600.0]],
    )
    assert await follow(transport, seconds=120, liveness=90) == ["LIST a"] * 3
    assert times(transport, "STREAM") == [0]
    assert transport.of("GET")[0].at == 90


async def test_a_stream_that_is_cut_after_every_list_costs_less_than_a_request_in_ten_seconds():
    streams: list[Step] = [[[added("a"), complete(n)]] for n in range(500)]
    transport = ScriptedTransport(watches=[[] for _ in range(500)], streams=streams)
    await follow(transport, seconds=600)
    assert late(transport) <= 0.1
    assert transport.of("GET") == []


async def test_a_server_that_closes_every_stream_at_once_is_asked_less_than_once_in_ten_seconds():
    empty: list[Step] = [[] for _ in range(500)]
    transport = ScriptedTransport(watches=[*empty], streams=empty)
    await follow(transport, seconds=600)
    assert late(transport) <= 0.1


@pytest.mark.parametrize("seconds", [0.0, 1.1, 5.0])
async def test_watches_that_never_last_cost_less_than_a_request_in_ten_seconds(seconds):
    watches: list[Step] = [[[bookmark(n)], seconds] for n in range(500)]
    transport = ScriptedTransport(watches=watches, streams=[[[complete(1)]]])
    await follow(transport, seconds=600)
    assert 0.05 <= late(transport) <= 0.1
    assert transport.verbs().count("STREAM") == 1


async def test_no_list_and_no_open_stream_is_left_when_nobody_listens_any_more():
    open_streams = 0

    class Counting(ScriptedTransport):
        async def stream(self, path, *, query=(), headers=()):
            nonlocal open_streams
            open_streams += 1
            try:
                async for lines in super().stream(path, query=query, headers=headers):
                    yield lines
            finally:
                open_streams -= 1

    scripts: list[Step] = [[[added("a")], 60.0], [[added("a"), complete(7)], 60.0]]
    for script in scripts:
        await follow(Counting(streams=[script]), seconds=1)
        assert open_streams == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_transform_is_applied_to_streams_pages_and_changes(caplog):
    def short(found):
        if found.name == "odd":
            raise ValueError("odd")
        return type(found)(*(getattr(found, name) for name in found.__struct_fields__[:6]), b"{}")

    raws: list[bytes] = []

    def note(found):
        changed = short(found)
        raws.append(changed.raw)
        return changed

    streams: list[Step] = [[[added("a"), added("odd"), complete(7), added("b", 8)], refused(410)]]
    transport = ScriptedTransport([page(obj("c"))], streams=[*streams, [refused(500)]])
    seen = await follow(transport, seconds=5, transform=note)
    assert seen == ["LIST a odd", "ADDED b", "LIST c"]
    assert raws == [b"{}"] * 3
    assert "transform failed on ns/odd" in caplog.text


async def test_metadata_alone_is_asked_for_in_streams_and_pages():
    transport = ScriptedTransport([page(obj("a"))], streams=[[refused(422)]], watches=[[]])
    await follow(transport, seconds=0.5, metadata_only=True)
    accepts = {call.verb: call.accept for call in transport.calls}
    assert {*accepts} == {"STREAM", "GET", "WATCH"}
    assert all("as=PartialObjectMetadata" in accept for accept in accepts.values())
    assert "as=PartialObjectMetadataList" in accepts["GET"]


async def test_an_object_of_another_kind_in_a_stream_is_skipped():
    gadget = line("ADDED", {**obj("x"), "kind": "Gadget"})
    stream: Step = [[gadget, added("a"), complete(7), gadget], 60.0]
    assert await follow(ScriptedTransport(streams=[stream]), seconds=1) == ["LIST a"]


async def test_others_get_their_turn_while_a_server_sends_as_fast_as_it_can():
    """What is there already is read without waiting; ten thousand events would be one turn."""
    batch = [added(f"n{number}") for number in range(100)]
    transport = ScriptedTransport(streams=[[*[batch] * 50, [complete(7)], *[batch] * 50, 60.0]])
    loop = asyncio.get_running_loop()
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        if turns < 1000:
            loop.call_soon(count)

    count()
    async with aclosing(Watcher(Client(transport), WIDGETS).updates()) as updates:
        await anext(updates)
        during_list, turns = turns, 0
        for _ in range(50):
            await anext(updates)
    assert 5 <= during_list <= 10
    assert 5 <= turns <= 10


async def test_an_event_of_twenty_megabytes_passes():
    large = line("ADDED", obj("a", 8, spec={"text": "x" * 20_000_000}))
    stream: Step = [[large, complete(7), large], 60.0]
    assert await follow(ScriptedTransport(streams=[stream]), seconds=1) == ["LIST a", "ADDED a"]
