"""LIST and WATCH under every fault: what is asked, when, and what the consumer sees."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import aclosing

import pytest
from tests.unit.controller.scripted import (
    PATH,
    WIDGETS,
    ScriptedTransport,
    bookmark,
    failure,
    line,
    obj,
    page,
    refused,
    status,
)

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ConfigError, ConnectionRefused, TransportError
from hybridpg.controller.protocols import Response
from hybridpg.controller.watcher import Changed, Listed, Watcher

pytestmark = pytest.mark.virtual_time

Step = list[list[bytes] | float | Exception]


async def follow(transport: ScriptedTransport, *, seconds: float, **options) -> list[str]:
    """What a watcher reports within some virtual seconds, in short form."""
    options.setdefault("rand", lambda: 0.0)
    watcher = Watcher(Client(transport), WIDGETS, **options)
    seen: list[str] = []

    async def consume() -> None:
        async with aclosing(watcher.updates()) as updates:
            async for update in updates:
                seen.extend(short(update))

    task = asyncio.create_task(consume())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    return seen


def short(update: Listed | Changed) -> list[str]:
    if isinstance(update, Changed):
        return [f"{event.type} {event.object.name}" for event in update.events]
    return [f"LIST {' '.join(found.name for found in update.objects)}".strip()]


def times(transport: ScriptedTransport, verb: str) -> list[float]:
    return [call.at for call in transport.of(verb)]


def late(transport: ScriptedTransport) -> float:
    """Requests a second from minute 2 to 10, refused streams included."""
    asked = [*(call.at for call in transport.calls), *transport.refused_streams]
    return sum(120 <= at < 600 for at in asked) / 480


async def test_the_first_list_reads_at_quorum_in_pages_and_the_watch_goes_on_from_it():
    transport = ScriptedTransport([page(obj("a"), version="7")])
    assert await follow(transport, seconds=1) == ["LIST a"]
    listed, watched = transport.calls
    assert listed.path == PATH
    assert listed.query == {"limit": "500"}
    assert watched.query == {
        "watch": "true",
        "resourceVersion": "7",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }


async def test_the_seconds_of_a_watch_are_random_up_to_twice_the_minimum():
    transport = ScriptedTransport()
    await follow(transport, seconds=1, rand=lambda: 0.999)
    assert transport.of("WATCH")[0].query["timeoutSeconds"] == "599"


async def test_selectors_and_the_namespace_go_out_with_lists_and_watches():
    transport = ScriptedTransport()
    await follow(
        transport, seconds=1, namespace="ns", label_selector="a=b", field_selector="metadata.name=x"
    )
    for call in transport.calls:
        assert call.path == "/apis/example.org/v1/namespaces/ns/widgets"
        assert call.query["labelSelector"] == "a=b"
        assert call.query["fieldSelector"] == "metadata.name=x"


async def test_pages_are_joined_and_follow_up_pages_send_the_token_alone():
    transport = ScriptedTransport(
        [page(obj("a"), token="t1"), page(obj("b"), token="t2"), page(obj("c"), version="9")]
    )
    assert await follow(transport, seconds=1) == ["LIST a b c"]
    assert [call.query for call in transport.of("GET")[1:]] == [
        {"limit": "500", "continue": "t1"},
        {"limit": "500", "continue": "t2"},
    ]
    # what changed between two pages of a server without snapshots is part of the watch
    assert transport.of("WATCH")[0].query["resourceVersion"] == "100"


async def test_an_expired_page_leads_to_one_list_in_one_piece():
    transport = ScriptedTransport(
        [page(obj("a"), token="t1"), failure(410, "Expired"), page(obj("a"), obj("b"))]
    )
    assert await follow(transport, seconds=1) == ["LIST a b"]
    assert transport.of("GET")[2].query == {}
    assert times(transport, "GET") == [0, 0, 0]


async def test_changes_arrive_in_order_and_bookmarks_only_move_the_version():
    transport = ScriptedTransport(
        watches=[
            [
                [line("ADDED", obj("a", 101)), line("MODIFIED", obj("a", 102))],
                5.0,
                [bookmark(200)],
                [line("DELETED", obj("a", 201)), bookmark(300)],
                5.0,
            ],
        ]
    )
    assert await follow(transport, seconds=20) == ["LIST", "ADDED a", "MODIFIED a", "DELETED a"]
    assert transport.of("WATCH")[1].query["resourceVersion"] == "300"


async def test_a_clean_end_reopens_at_once_where_it_stopped_and_without_a_list():
    transport = ScriptedTransport(watches=[[400.0], [[line("ADDED", obj("a", 101))], 400.0]])
    assert await follow(transport, seconds=801, liveness=1000) == ["LIST", "ADDED a"]
    assert transport.verbs() == ["GET", "WATCH", "WATCH", "WATCH"]
    assert times(transport, "WATCH") == [0, 400, 800]
    assert [call.query["resourceVersion"] for call in transport.of("WATCH")] == [
        "100",
        "100",
        "101",
    ]


async def test_one_short_watch_with_an_event_reopens_at_once():
    transport = ScriptedTransport(watches=[[[line("ADDED", obj("a", 101))]]])
    await follow(transport, seconds=0.5)
    assert times(transport, "WATCH") == [0, 0]


async def test_short_watches_in_a_row_are_paused_between_even_if_they_deliver():
    transport = ScriptedTransport(watches=[[[bookmark(n)]] for n in range(101, 150)])
    await follow(transport, seconds=600)
    assert transport.verbs().count("GET") == 1
    assert times(transport, "WATCH")[:6] == [0, 0, 0, 0, 12, 24]
    assert late(transport) <= 0.1


async def test_a_watch_that_lasts_makes_short_ones_exceptions_again():
    short: Step = [[bookmark(101)]]
    transport = ScriptedTransport(watches=[short, short, short, [40.0], short])
    await follow(transport, seconds=41)
    assert times(transport, "WATCH") == [0, 0, 0, 0, 40, 40]


async def test_a_server_that_closes_at_once_is_asked_less_than_once_in_ten_seconds():
    transport = ScriptedTransport(watches=[[] for _ in range(500)])
    await follow(transport, seconds=600)
    assert late(transport) <= 0.1
    assert transport.verbs()[:4] == ["GET", "WATCH", "GET", "WATCH"]


async def test_gone_as_an_event_leads_to_a_list_not_older_than_what_was_seen():
    gone = line("ERROR", status(410, "Expired"))
    transport = ScriptedTransport(
        [page(version="100"), page(obj("b"), version="500")],
        [[[line("ADDED", obj("a", 150)), gone]]],
    )
    assert await follow(transport, seconds=5) == ["LIST", "ADDED a", "LIST b"]
    relist = transport.of("GET")[1]
    assert relist.at == 0.8
    assert relist.query == {"resourceVersion": "150", "resourceVersionMatch": "NotOlderThan"}
    assert transport.of("WATCH")[1].query["resourceVersion"] == "500"


async def test_gone_as_an_http_status_leads_to_the_same_list():
    transport = ScriptedTransport([page(version="100")], [[refused(410, "Gone")]])
    assert await follow(transport, seconds=5) == ["LIST", "LIST"]
    assert transport.of("GET")[1].query["resourceVersion"] == "100"


async def test_a_relist_is_paged_if_the_list_before_was():
    transport = ScriptedTransport(
        [page(token="t"), page(version="9"), page(version="10")], [[refused(410, "Gone")]]
    )
    await follow(transport, seconds=5)
    assert transport.of("GET")[2].query["limit"] == "500"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(failure(410, "Expired"), id="expired"),
        pytest.param(refused(504, "Timeout", retry_after=1.0), id="too large, old servers"),
    ],
)
async def test_a_version_that_the_server_cannot_serve_is_given_up_for_a_quorum_read(answer):
    if isinstance(answer, Exception):
        answer = type(answer)(504, "Timeout", "Too large resource version: 150, current: 99")
    transport = ScriptedTransport(
        [page(version="150"), answer, page(obj("b"), version="99")], [[refused(410, "Gone")]]
    )
    assert await follow(transport, seconds=5) == ["LIST", "LIST b"]
    assert [call.query.get("resourceVersion") for call in transport.of("GET")] == [
        None,
        "150",
        None,
    ]
    assert times(transport, "GET") == [0, 0.8, 0.8]


async def test_a_relist_that_fails_for_another_reason_is_tried_again_as_it_was():
    transport = ScriptedTransport(
        [page(version="150"), failure(500), page(obj("b"), version="151")],
        [[refused(410, "Gone")]],
    )
    assert await follow(transport, seconds=5) == ["LIST", "LIST b"]
    versions = [call.query.get("resourceVersion") for call in transport.of("GET")]
    assert versions == [None, "150", "150"]


async def test_a_list_from_before_what_is_known_is_not_taken_but_read_at_quorum():
    """A server that lags behind must not take the cache, and its handlers, back in time."""
    transport = ScriptedTransport(
        [page(version="150"), page(obj("old"), version="149"), page(obj("b"), version="151")],
        [[refused(410, "Gone")]],
    )
    assert await follow(transport, seconds=5) == ["LIST", "LIST b"]
    versions = [call.query.get("resourceVersion") for call in transport.of("GET")]
    assert versions == [None, "150", None]


async def test_a_server_whose_newest_state_is_old_was_restored_and_is_believed():
    transport = ScriptedTransport(
        [page(version="150"), page(obj("old"), version="99")], [[refused(410, "Gone")]]
    )
    assert await follow(transport, seconds=5) == ["LIST", "LIST old"]
    assert transport.of("WATCH")[1].query["resourceVersion"] == "99"


async def test_versions_that_are_no_numbers_are_not_compared():
    transport = ScriptedTransport(
        [page(version="z"), page(obj("b"), version="a")], [[refused(410, "Gone")]]
    )
    assert await follow(transport, seconds=5) == ["LIST", "LIST b"]
    assert [call.query.get("resourceVersion") for call in transport.of("GET")] == [None, "z"]


async def test_the_quorum_read_is_remembered_until_a_list_succeeds():
    transport = ScriptedTransport(
        [page(version="150"), failure(410), failure(500), page(version="99"), page(version="100")],
        [[refused(410, "Gone")], [refused(410, "Gone")]],
    )
    await follow(transport, seconds=60)
    versions = [call.query.get("resourceVersion") for call in transport.of("GET")]
    assert versions == [None, "150", None, None, "99"]


async def test_too_many_requests_waits_as_long_as_the_server_says_and_keeps_its_place():
    transport = ScriptedTransport(watches=[[refused(429, "TooManyRequests", retry_after=7.0)]])
    await follow(transport, seconds=20)
    assert transport.verbs() == ["GET", "WATCH", "WATCH"]
    assert times(transport, "WATCH") == [0, 7]


async def test_too_many_requests_for_a_list_waits_too():
    transport = ScriptedTransport([failure(429, "TooManyRequests", retry_after=9), page()])
    assert await follow(transport, seconds=20) == ["LIST"]
    assert times(transport, "GET") == [0, 9]


async def test_no_server_can_silence_a_cache_for_longer_than_five_minutes():
    transport = ScriptedTransport([failure(429, "TooManyRequests", retry_after=10**9), page()])
    await follow(transport, seconds=400)
    assert times(transport, "GET") == [0, 300]


async def test_a_refused_connection_is_retried_with_growing_pauses_and_keeps_its_place():
    transport = ScriptedTransport(watches=[[ConnectionRefused("refused")] for _ in range(4)])
    await follow(transport, seconds=20)
    assert transport.verbs().count("GET") == 1
    assert times(transport, "WATCH") == [0, 0.8, 2.4, 5.6, 12]


async def test_an_api_server_that_is_away_at_the_start_is_waited_for():
    transport = ScriptedTransport([ConnectionRefused("refused"), TransportError("dns"), page()])
    assert await follow(transport, seconds=20) == ["LIST"]
    assert times(transport, "GET") == [0, 0.8, 2.4]


async def test_a_reset_in_the_middle_reopens_where_it_stopped():
    transport = ScriptedTransport(
        watches=[[5.0, [line("ADDED", obj("a", 101))], TransportError("reset")]]
    )
    assert await follow(transport, seconds=6) == ["LIST", "ADDED a"]
    assert transport.verbs() == ["GET", "WATCH", "WATCH"]
    assert times(transport, "WATCH") == [0, 5]
    assert transport.of("WATCH")[1].query["resourceVersion"] == "101"


async def test_a_silent_watch_is_taken_for_dead_and_reopened():
    transport = ScriptedTransport(watches=[[60.0, [bookmark(101)], 3600.0]])
    await follow(transport, seconds=200, liveness=90)
    assert times(transport, "WATCH") == [0, 150]
    assert transport.of("WATCH")[1].query["resourceVersion"] == "101"


@pytest.mark.parametrize("lasts", [3600.0, 40.0])
async def test_watches_from_a_version_that_the_server_lost_lead_to_a_new_list(lasts: float):
    """One whose etcd was restored is silent about such, for ever."""
    restored = page(obj("b"), version="7")
    too_large = status(504, "Timeout", "Too large resource version: 100, current: 7")
    transport = ScriptedTransport(
        [page(obj("a")), Response(504, {}, json.dumps(too_large).encode()), restored],
        watches=[[lasts]] * 4,
    )
    assert await follow(transport, seconds=150, liveness=90) == ["LIST a", "LIST b"]
    assert [call.query.get("resourceVersion") for call in transport.of("GET")] == [
        None,
        "100",
        None,
    ]


@pytest.mark.parametrize("code", [401, 403, 404, 500, 503])
async def test_any_other_refusal_of_a_watch_leads_to_a_new_list_after_a_pause(code):
    transport = ScriptedTransport(watches=[[refused(code)]])
    assert await follow(transport, seconds=5) == ["LIST", "LIST"]
    assert times(transport, "GET") == [0, 0.8]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 500, 503])
async def test_a_refused_list_is_tried_again_for_ever(code):
    transport = ScriptedTransport([failure(code) for _ in range(6)] + [page(obj("a"))])
    assert await follow(transport, seconds=300) == ["LIST a"]
    assert times(transport, "GET")[:4] == [0, 0.8, 2.4, 5.6]


@pytest.mark.parametrize(
    "skipped",
    [
        pytest.param(line("HEARTBEAT", obj("x", 102)), id="unknown type"),
        pytest.param(line("ADDED", {"kind": "Table", "metadata": {}}), id="table"),
        pytest.param(line("ADDED", {"kind": "Widget"}), id="no metadata"),
        pytest.param(line("ADDED", {"metadata": {"namespace": "ns"}}), id="no name"),
        pytest.param(b"", id="empty line"),
    ],
)
async def test_events_that_mean_nothing_are_skipped_and_the_stream_goes_on(skipped):
    transport = ScriptedTransport(
        watches=[[[skipped, line("ADDED", obj("a", 103))], 5.0, [skipped], 60.0]]
    )
    assert await follow(transport, seconds=30) == ["LIST", "ADDED a"]
    assert transport.verbs() == ["GET", "WATCH"]


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"<html>502 Bad Gateway</html>", id="html"),
        pytest.param(line("ADDED", obj("x", 102))[:-20], id="truncated"),
        pytest.param(b"\xff\xfe\x00", id="binary"),
        pytest.param(b"[" * 100_000, id="nesting"),
    ],
)
async def test_a_line_that_is_no_event_may_hide_a_change_so_the_list_is_read_again(rubbish):
    transport = ScriptedTransport(
        [page(), page(obj("a"), obj("x"), version="104")],
        [[[rubbish, line("ADDED", obj("a", 103))], 60.0]],
    )
    assert await follow(transport, seconds=5) == ["LIST", "ADDED a", "LIST a x"]
    assert times(transport, "GET") == [0, 0.8]


async def test_a_token_that_cannot_be_read_yet_is_waited_for():
    """A pod's may be projected a moment after its start."""
    missing = ConfigError("the token file is empty")
    transport = ScriptedTransport([missing, page(obj("a"))])
    assert await follow(transport, seconds=5) == ["LIST a"]


async def test_a_list_without_a_version_to_watch_from_is_an_error():
    transport = ScriptedTransport([page(version=""), page(obj("a"))])
    assert await follow(transport, seconds=5) == ["LIST a"]


async def test_a_watch_that_is_a_long_page_of_html_is_one_line_of_log(caplog):
    html = [b"<html>", *[b"<p>service unavailable</p>"] * 500, b"</html>"]
    transport = ScriptedTransport([page(), page(obj("a"))], [[html, 60.0]])
    with caplog.at_level(logging.WARNING):
        assert await follow(transport, seconds=5) == ["LIST", "LIST a"]
    assert len(caplog.records) == 1


async def test_a_list_that_is_html_is_an_error_that_is_retried():
    html = page()
    transport = ScriptedTransport([type(html)(200, {}, b"<html>login</html>"), page(obj("a"))])
    assert await follow(transport, seconds=5) == ["LIST a"]


async def test_a_quiet_time_makes_the_next_failure_the_first_again():
    cut: list[float | Exception | list[bytes]] = [600.0, refused(500)]
    transport = ScriptedTransport([page()], [[refused(500)], [refused(500)], cut])
    await follow(transport, seconds=700, liveness=1000)
    assert times(transport, "GET") == pytest.approx([0, 0.8, 2.4, 603.2], abs=0.01)


async def test_a_closed_iterator_closes_the_stream():
    closed = asyncio.Event()

    class Transport(ScriptedTransport):
        async def stream(self, path, *, query=(), headers=()):
            if ("sendInitialEvents", "true") in query:
                raise refused(422, "Invalid")
            try:
                await asyncio.sleep(3600)
                yield []
            finally:
                closed.set()

    assert await follow(Transport(), seconds=1) == ["LIST"]
    assert closed.is_set()
