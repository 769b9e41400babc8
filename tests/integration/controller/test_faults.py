"""The runtime between faults: watches of a real API server, and the perturbing proxy before it."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from tests.integration.controller.fault_bench import (
    DELETE,
    KEPT,
    PATIENCE,
    TWIN,
    Bench,
    move_on,
)
from tests.peers.faults import (
    BEFORE,
    DURING,
    FAULTS,
    GONE,
    HTML,
    MARK,
    TARGET,
    Fault,
    refusal,
)
from tests.proxy.rules import (
    FOR_EVER,
    JSON,
    WATCHES,
    Answer,
    Delay,
    Hang,
    Hold,
    Lose,
    Rule,
    What,
    Where,
)
from tests.proxy.streams import (
    Break,
    CutFrame,
    End,
    Inflate,
    Late,
    NoBookmarks,
    Repeat,
    Say,
    StreamFault,
    Swallow,
    error_event,
)

pytestmark = pytest.mark.testenv

LATE = 0.5
SHORT_WINDOW = 4.0
ADD = "add"
EXPIRED = Answer(200, error_event(410, "Expired"))


# --- the matrix that the peers are put through -------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_the_matrix_is_outlived_on_the_real_server(bench: Bench, name: str):
    """H19: with everything happening in the gap that can be missed."""
    fault = FAULTS[name]
    window = min(fault.window, SHORT_WINDOW)
    await strike(bench, dataclasses.replace(fault, window=window, outage=fault.outage / 2))
    await bench.recovers()

    assert (ADD, DURING) in bench.mirror.told
    assert (DELETE, GONE) in bench.mirror.told
    old = bench.mirror.told.index((DELETE, TWIN))
    assert (ADD, TWIN) in bench.mirror.told[old:], "the recreated object is another one"


async def strike(bench: Bench, fault: Fault) -> list[Rule]:
    """Run the informer into a fault, and change everything before it can come back."""
    proxy = bench.proxy
    first = proxy.add(fault.first, verbs=WATCHES, target=TARGET, behind=MARK)
    await bench.begin(KEPT, GONE, TWIN)
    await bench.synced()
    released = asyncio.Event()
    proxy.clear()
    # before the fault: on a busy machine the informer comes back sooner than this goes on
    proxy.add(Hold(released), target=TARGET, times=FOR_EVER)
    rules = [proxy.add(what, **where) for what, where in fault.then]
    made = await bench.create(BEFORE)
    async with asyncio.timeout(PATIENCE):
        await first.struck.wait()
    if fault.forgets:
        proxy.add(
            refusal(410, "Expired") if fault.as_status else EXPIRED,
            verbs=["WATCH"],
            query={"resourceVersion": made["metadata"]["resourceVersion"]},
            times=FOR_EVER,
        )
    await move_on(bench)
    released.set()
    if fault.outage:
        await proxy.down()
        await asyncio.sleep(fault.outage)
        await proxy.up()
    if fault.window:
        await asyncio.sleep(fault.window)
        proxy.clear()
    return rules


# --- what else can happen to a watch -----------------------------------------------------------

TABLE = b'{"type":"ADDED","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{}}}\n'


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(End(), id="clean-end"),
        pytest.param(Break(reset=False), id="fin-without-an-end"),
        pytest.param(CutFrame(reset=False), id="fin-in-the-middle-of-an-event"),
        pytest.param(Repeat(), id="every-event-twice"),
        pytest.param(Late(LATE), id="an-event-late"),
        pytest.param(Inflate(20 * 2**20), id="an-event-of-20-MiB"),
        pytest.param(Say(b"no json\n"), id="garbage-and-on"),
        pytest.param(Say(b"\x00\xff\xfe\n"), id="binary-and-on"),
        pytest.param(Say(b'"a string"\n'), id="another-json-and-on"),
        pytest.param(Say(HTML, last=True), id="a-page-in-the-stream"),
        pytest.param(Say(TABLE), id="a-table"),
        pytest.param(Say(b'{"type":"ODD","object":{"metadata":{}}}\n'), id="an-unknown-type"),
        pytest.param(Say(b'{"type":"ADDED","object":{}}\n'), id="an-object-without-metadata"),
        pytest.param(Say(error_event(403, "Forbidden"), last=True), id="403-in-the-stream"),
        pytest.param(Say(error_event(504, "Timeout"), last=True), id="504-in-the-stream"),
    ],
)
async def test_a_watch_that_goes_wrong_is_outlived(bench: Bench, what: StreamFault):
    await strike(bench, Fault("", what))
    await bench.recovers()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(200, HTML, {"Content-Type": "text/html"}), id="a-page-with-200"),
        pytest.param(Answer(200, b"", {"Content-Type": JSON}), id="nothing-with-200"),
        pytest.param(Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), id="a-redirect"),
        pytest.param(refusal(500, "InternalError"), id="500"),
        pytest.param(Lose(), id="lost"),
        pytest.param(Hang(), id="no-answer"),
        pytest.param(Delay(LATE), id="late"),
    ],
)
async def test_requests_that_go_wrong_after_a_watch_are_outlived(bench: Bench, answer: What):
    rules = await strike(bench, Fault("", then=((answer, Where(target=TARGET, times=2)),)))
    await bench.recovers()

    assert rules[0].hits


async def test_a_refusal_is_waited_out_for_as_long_as_it_says(bench: Bench):
    answer = refusal(429, "TooManyRequests", **{"Retry-After": "2"})
    rules = await strike(bench, Fault("", then=((answer, Where(target=TARGET)),)))
    async with asyncio.timeout(PATIENCE):
        await rules[0].struck.wait()
    refused_at = next(each.at for each in bench.proxy.record if each.status == 429)
    await bench.recovers()

    following = min(each.at for each in bench.proxy.record if each.at > refused_at)
    assert following - refused_at >= 2


async def test_events_that_were_swallowed_are_made_up_for_by_the_next_list(bench: Bench):
    proxy = bench.proxy
    swallowed = proxy.add(Swallow(2), verbs=WATCHES, behind=MARK)
    ended = proxy.add(
        Say(error_event(410, "Expired"), last=True), verbs=WATCHES, behind=b'"name":"last"'
    )
    await bench.begin(KEPT, GONE)
    await bench.synced()
    await bench.create(BEFORE)
    await bench.delete(GONE)
    await bench.change(KEPT, "swallowed")
    await bench.create("last")
    async with asyncio.timeout(PATIENCE):
        await ended.struck.wait()

    await bench.recovers()

    assert swallowed.hits == 1
    assert (DELETE, GONE) in bench.mirror.told


async def test_a_server_without_bookmarks_is_listed_in_pages_and_watched(bench: Bench):
    """Its streamed list has no end: it is given up, and what was read of it forgotten."""
    bench.proxy.add(NoBookmarks(), verbs=WATCHES, times=FOR_EVER)
    await bench.begin(KEPT, GONE)
    await bench.synced()

    await bench.delete(GONE)
    await bench.recovers()

    assert bench.proxy.calls("LIST")
