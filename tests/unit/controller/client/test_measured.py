"""What is counted of requests: each once, by what became of it, and how long that took."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.scripted import PATH, WIDGETS, ScriptedTransport, page, refused

from hybridpg.controller._histogram import Histogram
from hybridpg.controller.client.api import Client
from hybridpg.controller.client.measured import NO_ANSWER, MeasuredTransport
from hybridpg.controller.errors import ApiError, TransportError
from hybridpg.controller.protocols import Response
from hybridpg.controller.types import ObjectKey

pytestmark = pytest.mark.virtual_time

KEY = ObjectKey("ns", "a")


def buckets(histogram: Histogram) -> dict[float, int]:
    """The buckets that hold something, by their upper bound."""
    bounds = (*histogram.bounds, float("inf"))
    return {bound: count for bound, count in zip(bounds, histogram.counts, strict=True) if count}


class Slow(ScriptedTransport):
    """Takes three seconds for each request, and for the head of a watch."""

    async def request(self, *args, **options):
        await asyncio.sleep(3)
        return await super().request(*args, **options)

    async def stream(self, *args, **options):
        await asyncio.sleep(3)
        async for lines in super().stream(*args, **options):
            yield lines


async def test_requests_are_counted_by_method_and_code():
    writes = [Response(201, {}, b"{}"), Response(409, {}, b"{}"), Response(201, {}, b"{}")]
    measured = MeasuredTransport(ScriptedTransport(writes=writes))
    for method in ("POST", "POST", "POST", "DELETE"):
        await measured.request(method, f"{PATH}/a")

    codes = {method: stats.codes for method, stats in measured.stats.items()}
    assert codes == {"POST": {"201": 2, "409": 1}, "DELETE": {"200": 1}}


async def test_the_duration_is_that_of_the_whole_request():
    measured = MeasuredTransport(Slow())
    await measured.request("GET", f"{PATH}/a")
    await measured.request("PUT", f"{PATH}/a")

    assert measured.stats["GET"].durations.sum == 3
    assert buckets(measured.stats["PUT"].durations) == {4.0: 1}


async def test_sizes_are_those_of_the_bodies_and_no_body_has_none():
    measured = MeasuredTransport(ScriptedTransport(writes=[Response(200, {}, b"x" * 300)] * 2))
    await measured.request("PATCH", f"{PATH}/a", body=b"{}")
    await measured.request("PATCH", f"{PATH}/a")

    stats = measured.stats["PATCH"]
    assert buckets(stats.sent) == {64.0: 1}
    assert buckets(stats.received) == {512.0: 2}
    assert stats.received.sum == 600


async def test_a_request_without_an_answer_counts_as_such_and_fails_as_before():
    measured = MeasuredTransport(ScriptedTransport(writes=[TransportError("reset")]))
    with pytest.raises(TransportError, match="reset"):
        await measured.request("POST", PATH, body=b"{}")

    stats = measured.stats["POST"]
    assert stats.codes == {NO_ANSWER: 1}
    assert (stats.durations.count, stats.sent.count, stats.received.count) == (1, 1, 0)


async def test_a_request_that_is_given_up_is_counted_with_the_time_it_was_given():
    measured = MeasuredTransport(Slow())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await measured.request("GET", f"{PATH}/a")

    assert measured.stats["GET"].codes == {NO_ANSWER: 1}
    assert measured.stats["GET"].durations.sum == 2


async def test_a_watch_is_one_request_that_lasts_until_it_is_answered():
    measured = MeasuredTransport(Slow(watches=[[[b"1"], 60.0, [b"2"], 60.0]]))
    lines = [each async for each in measured.stream(PATH)]

    assert lines == [[b"1"], [b"2"]]
    assert measured.stats["GET"].codes == {"200": 1}
    assert measured.stats["GET"].durations.sum == 3
    assert measured.stats["GET"].received.count == 0


async def test_a_watch_that_is_refused_counts_with_its_status():
    measured = MeasuredTransport(ScriptedTransport(watches=[[refused(410, "Gone")]]))
    with pytest.raises(ApiError):
        await anext(measured.stream(PATH))

    assert measured.stats["GET"].codes == {"410": 1}


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        pytest.param([], {"200": 1}, id="ended at once"),
        pytest.param([TransportError("reset")], {NO_ANSWER: 1}, id="no answer"),
        pytest.param([[b"1"], TransportError("reset")], {"200": 1}, id="broken later"),
    ],
)
async def test_how_a_watch_ends_is_counted_once(steps, codes):
    measured = MeasuredTransport(ScriptedTransport(watches=[steps]))
    try:
        async for _ in measured.stream(PATH):
            continue
    except TransportError:
        pass

    assert measured.stats["GET"].codes == codes
    assert measured.stats["GET"].durations.count == 1


async def test_leaving_a_watch_leaves_the_one_below_at_once():
    left = asyncio.Event()

    class Watched(ScriptedTransport):
        async def stream(self, path, *, query=(), headers=()):
            try:
                yield [b"1"]
                await asyncio.sleep(100)
            finally:
                left.set()

    lines = MeasuredTransport(Watched()).stream(PATH)
    await anext(lines)
    await lines.aclose()
    assert left.is_set()


async def test_everything_else_is_passed_on_as_it_is():
    below = ScriptedTransport([page()], watches=[[[b"1"]]])
    measured = MeasuredTransport(below, host="https://api:6443")
    client = Client(measured)
    await client.list(WIDGETS, label_selector="a=b")
    await client.create(WIDGETS, {"x": 1}, namespace="ns")
    watch = client.watch(WIDGETS, timeout_seconds=60, metadata_only=True)
    assert [each async for each in watch] == [[b"1"]]
    await measured.close()

    listed, created, watched = below.calls
    assert listed.query["labelSelector"] == "a=b"
    assert created.body == {"x": 1}
    assert "PartialObjectMetadata" in watched.accept
    assert below.closed
    assert (measured.transport, measured.host) == (below, "https://api:6443")
