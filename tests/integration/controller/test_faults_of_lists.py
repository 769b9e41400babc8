"""Lists that break off, are refused or come from the past: the informer ends up with the truth."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.controller.fault_bench import (
    DELETE,
    KEPT,
    NOT_STREAMED,
    PATIENCE,
    TWIN,
    Bench,
    move_on,
)
from tests.peers.faults import BEFORE, GONE, HTML, MARK, refusal
from tests.proxy.rules import FOR_EVER, Answer, CutBody, Hang, Lose, What
from tests.proxy.streams import Break, CutFrame, End, Say, Silence, StreamFault, error_event

pytestmark = pytest.mark.testenv


# --- while the first list comes ----------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(End(), id="end"),
        pytest.param(Break(), id="reset"),
        pytest.param(CutFrame(), id="reset-in-the-middle-of-an-event"),
        pytest.param(Silence(), id="half-open"),
        pytest.param(Say(b"no json\n"), id="garbage"),
        pytest.param(Say(error_event(500, "InternalError"), last=True), id="500-in-the-stream"),
        pytest.param(Say(error_event(410, "Expired"), last=True), id="410-in-the-stream"),
    ],
)
async def test_a_streamed_list_that_breaks_off_leaves_nothing_behind(
    bench: Bench, what: StreamFault
):
    rule = bench.proxy.add(what, verbs=["WATCHLIST"], behind=f'"name":"{GONE}"'.encode())
    await bench.begin(GONE, KEPT, TWIN)
    await asyncio.wait_for(rule.struck.wait(), PATIENCE)
    assert not bench.mirror.told, "half a list was told"

    await bench.delete(GONE)
    await bench.synced()
    await bench.recovers()


@pytest.mark.parametrize(
    "what",
    [
        *(
            pytest.param(refusal(code, reason), id=str(code))
            for code, reason in [(400, "BadRequest"), (403, "Forbidden"), (422, "Invalid")]
        ),
        pytest.param(Say(b"no json\n", last=True), id="garbage"),
    ],
)
async def test_a_server_that_streams_no_lists_is_listed_in_pages(bench: Bench, what: What):
    bench.proxy.add(what, verbs=["WATCHLIST"], times=FOR_EVER)
    await bench.begin(KEPT)
    await bench.synced()

    await bench.recovers()

    assert bench.proxy.calls("LIST")


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(Lose(), id="lost"),
        pytest.param(Lose(committed=True), id="answer-lost"),
        pytest.param(Hang(), id="no-answer"),
        pytest.param(CutBody(), id="cut"),
        pytest.param(refusal(503, "ServiceUnavailable"), id="503"),
        pytest.param(refusal(429, "TooManyRequests"), id="429"),
        pytest.param(Answer(200, HTML, {"Content-Type": "text/html"}), id="a-page-with-200"),
        pytest.param(Answer(200, b'{"kind":"List"}'), id="half-a-list"),
    ],
)
async def test_a_list_in_pages_that_goes_wrong_is_tried_again(bench: Bench, what: What):
    bench.proxy.add(NOT_STREAMED, verbs=["WATCHLIST"], times=FOR_EVER)
    rule = bench.proxy.add(what, verbs=["LIST"], times=2)
    await bench.begin(KEPT)
    await bench.synced()

    await bench.recovers()

    assert rule.hits


# --- lists from the past -----------------------------------------------------------------------


async def listed(bench: Bench) -> Answer:
    """What the server says now, to be said again later."""
    path = f"/api/v1/namespaces/{bench.namespace}/configmaps"
    response = await bench.truth.transport.request("GET", path)
    return Answer(200, response.body)


async def test_a_stale_first_list_is_brought_up_to_date_by_the_watch(bench: Bench):
    for name in (KEPT, GONE, TWIN):
        await bench.create(name)
    stale = await listed(bench)
    await move_on(bench)
    bench.proxy.add(NOT_STREAMED, verbs=["WATCHLIST"], times=FOR_EVER)
    bench.proxy.add(stale, verbs=["LIST"])
    await bench.begin()
    await bench.synced()

    await bench.recovers()

    assert (DELETE, GONE) in bench.mirror.told


async def test_a_list_that_is_older_than_what_is_known_takes_nobody_back_in_time(bench: Bench):
    """The API server promises not to answer so; one that was restored from a backup does."""
    proxy = bench.proxy
    proxy.add(NOT_STREAMED, verbs=["WATCHLIST"], times=FOR_EVER)
    first = proxy.add(Say(error_event(410, "Expired"), last=True), verbs=["WATCH"], behind=MARK)
    await bench.begin(KEPT, GONE, TWIN)
    await bench.synced()
    proxy.add(await listed(bench), verbs=["LIST"])
    await move_on(bench)
    await bench.create(BEFORE)
    await asyncio.wait_for(first.struck.wait(), PATIENCE)

    await bench.recovers()
