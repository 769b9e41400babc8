"""The event recorder: never in the way, never a flood, and what kubectl shows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from tests.unit.controller.scripted import ScriptedTransport, failure

from hybridpg.controller._correlator import KNOWN_LIMIT
from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import TransportError
from hybridpg.controller.events import NOTE_LIMIT, QUEUE_LIMIT, EventRecorder
from hybridpg.controller.types import ObjectReference

pytestmark = pytest.mark.virtual_time

ABOUT = ObjectReference("example.org/v1", "Widget", "ns", "a", "uid-a")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def wall() -> datetime:
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def about(name: str) -> ObjectReference:
    return ObjectReference("example.org/v1", "Widget", "ns", name, f"uid-{name}")


@asynccontextmanager
async def recording(transport: ScriptedTransport) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(
        Client(transport), controller="hybridpg", instance="pod-1", wall=wall, rand=lambda: 0.5
    )
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_an_event_is_complete_and_regards_its_object():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        recorder.event(ABOUT, "Normal", "Created", "database made")
        await recorder.flush()
    (call,) = transport.calls
    assert (call.verb, call.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/ns/events")
    name = call.body["metadata"].pop("name")
    assert name.startswith("a.")
    assert call.body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "ns"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "hybridpg",
        "reportingInstance": "pod-1",
        "action": "Created",
        "reason": "Created",
        "type": "Normal",
        "note": "database made",
        "regarding": {
            "apiVersion": "example.org/v1",
            "kind": "Widget",
            "namespace": "ns",
            "name": "a",
            "uid": "uid-a",
        },
    }


async def test_events_of_cluster_scoped_objects_go_to_the_default_namespace():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        recorder.event(ObjectReference("v1", "Node", "", "n", "u"), "Normal", "R", "m")
        await recorder.flush()
    assert transport.calls[0].path == "/apis/events.k8s.io/v1/namespaces/default/events"


async def test_the_same_event_again_becomes_a_series_and_then_is_only_counted():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for _ in range(50):
            recorder.event(ABOUT, "Warning", "Unreachable", "no route")
            await asyncio.sleep(1)
    assert transport.verbs() == ["POST", "PATCH"]
    name = transport.calls[0].body["metadata"]["name"]
    assert transport.calls[1].path.endswith(f"/namespaces/ns/events/{name}")
    assert transport.calls[1].body == {
        "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    }


async def test_events_at_the_same_moment_are_one_event_with_a_series():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for _ in range(3):
            recorder.event(ABOUT, "Warning", "Unreachable", "no route")
        await recorder.flush()
    assert transport.verbs() == ["POST"]
    assert transport.calls[0].body["series"]["count"] == 3


@pytest.mark.parametrize(
    "other",
    [
        (about("b"), "Normal", "Created", "m"),
        (ABOUT, "Warning", "Created", "m"),
        (ABOUT, "Normal", "Deleted", "m"),
        (ABOUT, "Normal", "Created", "other"),
    ],
)
async def test_events_that_differ_in_anything_are_not_the_same(other):
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        recorder.event(ABOUT, "Normal", "Created", "m")
        recorder.event(*other)
        await recorder.flush()
    assert transport.verbs() == ["POST", "POST"]
    first, second = (call.body["metadata"]["name"] for call in transport.calls)
    assert first != second


async def test_a_lasting_series_is_refreshed_every_half_hour():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for _ in range(7200 // 60):
            recorder.event(ABOUT, "Warning", "Unreachable", "no route")
            await asyncio.sleep(60)
    assert transport.verbs() == ["POST"] + ["PATCH"] * 4
    pauses = [call.at for call in transport.of("PATCH")]
    assert all(1800 <= later - earlier <= 1920 for earlier, later in pairwise(pauses))


async def test_a_series_that_ends_is_written_a_last_time_and_forgotten():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for _ in range(5):
            recorder.event(ABOUT, "Warning", "Unreachable", "no route")
            await asyncio.sleep(1)
        await asyncio.sleep(600)
        assert transport.verbs() == ["POST", "PATCH", "PATCH"]
        assert transport.calls[2].body["series"]["count"] == 5
        recorder.event(ABOUT, "Warning", "Unreachable", "no route")
        await recorder.flush()
    assert transport.verbs() == ["POST", "PATCH", "PATCH", "POST"]


async def test_an_event_that_the_server_has_forgotten_begins_anew():
    transport = ScriptedTransport(writes=[failure(200), failure(404, "NotFound"), failure(200)])
    async with recording(transport) as recorder:
        for _ in range(3):
            recorder.event(ABOUT, "Warning", "Unreachable", "no route")
            await asyncio.sleep(1)
    assert transport.verbs() == ["POST", "PATCH", "POST"]


async def test_one_object_can_cause_25_events_of_a_type_and_then_one_in_five_minutes():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(100):
            recorder.event(ABOUT, "Warning", f"Failed{number}", "no route")
        recorder.event(ABOUT, "Normal", "Created", "another type has its own budget")
        recorder.event(about("b"), "Warning", "Failed", "another object, too")
        await recorder.flush()
        assert len(transport.calls) == 27
        await asyncio.sleep(300)
        for number in range(100, 110):
            recorder.event(ABOUT, "Warning", f"Failed{number}", "no route")
        await recorder.flush()
    assert len(transport.calls) == 28


async def test_an_event_that_was_held_back_is_counted_and_says_so_once_it_may():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(25):
            recorder.event(ABOUT, "Warning", f"Failed{number}", "no route")
        for _ in range(6):
            recorder.event(ABOUT, "Warning", "Late", "no route")
            await asyncio.sleep(60)
        await recorder.flush()
    late = [call.body for call in transport.calls if (call.body or {}).get("reason") == "Late"]
    assert [body["series"]["count"] for body in late] == [6]


async def test_an_event_that_stays_held_back_is_never_written():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(26):
            recorder.event(ABOUT, "Warning", f"Failed{number}", "no route")
        await asyncio.sleep(3600)
    reasons = [call.body["reason"] for call in transport.of("POST")]
    assert len(reasons) == 25
    assert "Failed25" not in reasons


def notes(transport: ScriptedTransport) -> list[str]:
    return [call.body["note"] for call in transport.of("POST")]


async def test_the_tenth_message_of_a_reason_and_all_after_it_are_one_event():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(1, 101):
            recorder.event(ABOUT, "Warning", "Failed", f"attempt {number}")
            await asyncio.sleep(1)
    combined = "(combined from similar events): attempt 10"
    assert notes(transport) == [f"attempt {number}" for number in range(1, 10)] + [combined]
    (patch,) = transport.of("PATCH")
    assert patch.body["series"]["count"] == 2


async def test_combined_events_are_counted_to_the_last():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(1, 101):
            recorder.event(ABOUT, "Warning", "Failed", f"attempt {number}")
        await asyncio.sleep(1000)
    assert transport.calls[-1].body["series"]["count"] == 91


async def test_a_message_that_was_told_apart_before_stays_so():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(1, 21):
            recorder.event(ABOUT, "Warning", "Failed", f"attempt {number}")
        await recorder.flush()
        name = transport.calls[0].body["metadata"]["name"]
        recorder.event(ABOUT, "Warning", "Failed", "attempt 1")
        await recorder.flush()
    assert transport.calls[-1].verb == "PATCH"
    assert transport.calls[-1].path.endswith(name)


@pytest.mark.parametrize(("silence", "combined"), [(600, True), (601, False)])
async def test_after_ten_minutes_of_silence_messages_are_told_apart_again(silence, combined):
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(1, 11):
            recorder.event(ABOUT, "Warning", "Failed", f"attempt {number}")
        await asyncio.sleep(silence)
        recorder.event(ABOUT, "Warning", "Failed", "attempt 11")
        await recorder.flush()
    assert ("attempt 11" not in notes(transport)) is combined


@pytest.mark.parametrize(
    ("regarding", "type_", "reason"),
    [
        pytest.param(about("b"), "Warning", "Failed", id="object"),
        pytest.param(ABOUT, "Normal", "Failed", id="type"),
        pytest.param(ABOUT, "Warning", "Refused", id="reason"),
    ],
)
async def test_only_events_of_the_same_object_type_and_reason_are_combined(
    regarding, type_, reason
):
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(9):
            recorder.event(ABOUT, "Warning", "Failed", f"attempt {number}")
        recorder.event(regarding, type_, reason, "attempt 9")
        await recorder.flush()
    assert notes(transport)[-1] == "attempt 9"


async def test_a_combined_message_is_still_short_enough():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in range(10):
            recorder.event(ABOUT, "Warning", "Failed", f"{number}" * 2000)
        await recorder.flush()
    assert notes(transport)[-1].startswith("(combined from similar events): 999")
    assert len(notes(transport)[-1].encode()) <= NOTE_LIMIT


async def test_what_is_remembered_is_bounded_and_the_oldest_goes_first():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        for number in [*range(KNOWN_LIMIT), 0, KNOWN_LIMIT]:
            recorder.event(about(f"n{number}"), "Normal", "Created", "m")
            await recorder.flush()
        assert len(recorder._known) == KNOWN_LIMIT
        transport.calls.clear()
        for number in (1, KNOWN_LIMIT):
            recorder.event(about(f"n{number}"), "Normal", "Created", "m")
            await recorder.flush()
    # 0 was used again, so it was 1 that went; the last one is known
    assert transport.verbs() == ["POST", "PATCH"]


async def test_what_happens_while_a_series_is_written_is_written_later():
    class Slow(ScriptedTransport):
        async def request(self, *args, **options):
            await asyncio.sleep(5)
            return await super().request(*args, **options)

    transport = Slow()
    async with recording(transport) as recorder:
        recorder.event(ABOUT, "Warning", "Unreachable", "no route")
        await asyncio.sleep(10)
        for _ in range(3):
            recorder.event(ABOUT, "Warning", "Unreachable", "no route")
            await asyncio.sleep(1)
        await asyncio.sleep(600)
    counts = [call.body["series"]["count"] for call in transport.of("PATCH")]
    assert counts == [2, 4]


async def test_a_full_queue_drops_and_never_blocks(caplog):
    transport = ScriptedTransport()
    with caplog.at_level(logging.WARNING):
        async with recording(transport) as recorder:
            for number in range(QUEUE_LIMIT + 100):
                recorder.event(about(f"n{number}"), "Normal", "Created", "m")
            await recorder.flush()
    assert len(transport.calls) == QUEUE_LIMIT
    assert [record.args for record in caplog.records] == [
        (1,),
        (2,),
        (4,),
        (8,),
        (16,),
        (32,),
        (64,),
    ]


@pytest.mark.parametrize("code", [400, 403, 404, 422, 500])
async def test_what_the_server_refuses_is_dropped_and_the_next_event_is_written(code, caplog):
    transport = ScriptedTransport(writes=[failure(code)])
    with caplog.at_level(logging.WARNING):
        async with recording(transport) as recorder:
            recorder.event(ABOUT, "Normal", "Created", "m")
            recorder.event(ABOUT, "Normal", "Deleted", "m")
            await recorder.flush()
    assert transport.verbs() == ["POST", "POST"]
    assert caplog.text.count("is dropped") == 1
    assert asyncio.get_running_loop().time() == 0


async def test_an_event_without_an_answer_is_tried_again_every_ten_seconds():
    transport = ScriptedTransport(writes=[TransportError("reset")] * 3 + [failure(200)])
    async with recording(transport) as recorder:
        recorder.event(ABOUT, "Normal", "Created", "m")
        await recorder.flush()
    assert [call.at for call in transport.calls] == [0, 10, 20, 30]
    names = {call.body["metadata"]["name"] for call in transport.calls}
    assert len(names) == 1


@pytest.mark.parametrize(("asked", "waited"), [(None, 10), (25, 25), (3600, 60)])
async def test_a_server_that_sheds_load_gets_the_event_when_it_says(asked, waited):
    shed = failure(429, "TooManyRequests", retry_after=asked)
    transport = ScriptedTransport(writes=[shed, failure(200)])
    async with recording(transport) as recorder:
        recorder.event(ABOUT, "Normal", "Created", "m")
        await recorder.flush()
    assert [call.at for call in transport.calls] == [0, waited]


async def test_a_lost_answer_does_not_make_the_event_twice():
    transport = ScriptedTransport(writes=[TransportError("reset"), failure(409, "AlreadyExists")])
    async with recording(transport) as recorder:
        recorder.event(ABOUT, "Normal", "Created", "m")
        await recorder.flush()
        recorder.event(ABOUT, "Normal", "Created", "m")
        await recorder.flush()
    assert transport.verbs() == ["POST", "POST", "PATCH"]


async def test_a_server_that_stays_away_costs_the_event_after_twelve_tries(caplog):
    transport = ScriptedTransport(writes=[TransportError("reset")] * 12)
    with caplog.at_level(logging.WARNING):
        async with recording(transport) as recorder:
            recorder.event(ABOUT, "Normal", "Created", "m")
            await recorder.flush()
    assert len(transport.calls) == 12
    assert "is dropped: reset" in caplog.text


async def test_what_is_too_long_for_the_server_is_cut():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        recorder.event(about("n" * 253), "Normal", "R" * 300, "ü" * 2000)
        await recorder.flush()
    body = transport.calls[0].body
    assert len(body["metadata"]["name"]) <= 253
    assert len(body["reason"]) == len(body["action"]) == 128
    assert 1000 < len(body["note"].encode()) <= 1024
    assert body["note"].endswith("ü…")


async def test_a_cut_name_is_still_a_name():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        recorder.event(about("a" * 230 + "." * 20), "Normal", "R", "m")
        await recorder.flush()
    assert ".." not in transport.calls[0].body["metadata"]["name"]


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("system:node-proxier", "system-node-proxier."),
        ("Admin:Read_Only", "admin-read-only."),
        ("x..y", "x-y."),
        (":", "object."),
        ("ok-1.example.org", "ok-1.example.org."),
    ],
)
async def test_an_object_whose_name_is_none_for_an_event_gets_events_all_the_same(name, begin):
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        recorder.event(about(name), "Normal", "R", "m")
        await recorder.flush()
    (call,) = transport.calls
    made = call.body["metadata"]["name"]
    assert made.startswith(begin)
    assert made.removeprefix(begin).isalnum()
    assert call.body["regarding"]["name"] == name


async def test_a_message_that_is_no_text_is_recorded_as_far_as_it_is():
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        recorder.event(
            ABOUT, "Warning", "Failed", b"caf\xe9 closed".decode(errors="surrogateescape")
        )
        await recorder.flush()
    (call,) = transport.calls
    assert call.body["note"] == "caf? closed"


@pytest.mark.parametrize(
    "impossible",
    [
        pytest.param(ObjectReference("v1", "Pod", "a/b", "n", "u"), id="namespace"),
        pytest.param(ObjectReference("v1", "Pod", "ns", "n", "\udcff"), id="no text"),
        pytest.param(ObjectReference("v1", "Pod", "ns", "n", object()), id="no string"),  # type: ignore[arg-type]
    ],
)
async def test_an_event_about_nothing_is_dropped_and_the_next_one_written(impossible, caplog):
    transport = ScriptedTransport()
    async with recording(transport) as recorder:
        with caplog.at_level(logging.WARNING):
            recorder.event(impossible, "Normal", "R", "m")
            recorder.event(ABOUT, "Normal", "R", "m")
            await recorder.flush()
    (call,) = transport.calls
    assert call.body["regarding"]["name"] == "a"
    assert "is dropped" in caplog.text
