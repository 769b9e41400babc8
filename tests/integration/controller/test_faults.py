"""The runtime between faults: a real API server, and the perturbing proxy before it.

After every fault the cache is what the server says, the handlers were told a history that could
have been (a missed delete is a delete, a recreated object is another one), the informer knows that
it is fresh again, and the server was not flooded meanwhile.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fix_testenv import TestEnv
from tests.peers.faults import (
    AFTER,
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
    CutBody,
    Delay,
    Hang,
    Hold,
    Lose,
    Rule,
    What,
    Where,
)
from tests.proxy.server import Proxy
from tests.proxy.streams import (
    Break,
    CutFrame,
    End,
    Inflate,
    Late,
    NoBookmarks,
    Repeat,
    Say,
    Silence,
    StreamFault,
    Swallow,
    error_event,
)
from tests.unit.controller.client.pki import Pki, make_pki
from tests.unit.controller.mirror import Mirror, identity

from hybridpg.controller import (
    AiohttpTransport,
    Client,
    Informer,
    JsonObject,
    KubeObject,
    MergePatch,
    ObjectKey,
    Resource,
    load_kubeconfig,
)
from hybridpg.controller.client import Timeouts

pytestmark = pytest.mark.testenv

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
TIMEOUTS = Timeouts(connect=5, request=2, silence=2)
"""Short, so that a half-open connection is given up within the patience of a test."""
PATIENCE = 40.0
"""Seconds: four steps of the back-off at their longest, on a loaded machine."""
FRESH = 5.0
"""Seconds since the last sign of life of an informer that has just been told something."""
REQUESTS = 25
"""In any of these tests, all of which take seconds: a loop without a pause makes thousands."""
LATE = 0.5

SHORT_WINDOW = 4.0
KEPT, TWIN = "kept", "twin"
ADD, DELETE = "add", "delete"
EXPIRED = Answer(200, error_event(410, "Expired"))
NOT_STREAMED = refusal(422, "Invalid")


class Bench:
    """An informer that sees the API server through the proxy, and one who does not need it."""

    def __init__(self, proxy: Proxy, truth: Client, client: Client, namespace: str) -> None:
        self.proxy = proxy
        self.truth = truth
        self.namespace = namespace
        self.informer = Informer(client, CONFIG_MAPS, namespaces=[namespace])
        self.mirror = Mirror()
        self.informer.add_handler(self.mirror)

    async def create(self, name: str) -> JsonObject:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        return await self.truth.create(CONFIG_MAPS, body, namespace=self.namespace)

    async def delete(self, name: str) -> None:
        await self.truth.delete(CONFIG_MAPS, self.key(name))

    async def change(self, name: str, value: str) -> None:
        patch = MergePatch({"data": {"value": value}})
        await self.truth.patch(CONFIG_MAPS, self.key(name), patch)

    def key(self, name: str) -> ObjectKey:
        return ObjectKey(self.namespace, name)

    async def objects(self) -> list[KubeObject]:
        return (await self.truth.list(CONFIG_MAPS, namespace=self.namespace)).items

    async def begin(self, *names: str) -> None:
        """Start the informer on objects of these names."""
        for name in names:
            await self.create(name)
        self._running = asyncio.create_task(self.informer.run())

    async def synced(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.informer.wait_synced()

    async def end(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])
        assert self._running.cancelled(), self._running

    async def equals_the_server(self) -> None:
        """Wait until cache and handlers are what the server says, and have always been possible."""
        expected = sorted(map(identity, await self.objects()))
        end = asyncio.get_running_loop().time() + PATIENCE
        while self.cached() != expected or self.told() != expected:
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(0.02)
        assert self.cached() == expected
        assert self.told() == expected
        assert self.mirror.wrong == []

    def cached(self) -> list[tuple[ObjectKey, str, str]]:
        return sorted(map(identity, self.informer.store.list()))

    def told(self) -> list[tuple[ObjectKey, str, str]]:
        return sorted(map(identity, self.mirror.objects.values()))

    def is_fresh_and_quiet(self) -> None:
        age = self.informer.freshness(asyncio.get_running_loop().time())
        assert age is not None
        assert age < FRESH
        calls = [str(each.call) for each in self.proxy.record]
        assert len(calls) <= REQUESTS, calls[:REQUESTS]

    async def recovers(self) -> None:
        """Make one more object and wait until it is known, with all that was missed."""
        await self.create(AFTER)
        await self.equals_the_server()
        self.is_fresh_and_quiet()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def bench(
    testenv: TestEnv, real_client: Client, namespace: str, pki: Pki, tmp_path: Path
) -> AsyncIterator[Bench]:
    upstream = await load_kubeconfig(testenv.kubeconfig)
    context = pki.server_context()
    async with Proxy(upstream, tls=context, authority=pki.ca, aliases={namespace: "NS"}) as proxy:
        config = await load_kubeconfig(proxy.write_kubeconfig(tmp_path / "kubeconfig"))
        client = Client(AiohttpTransport(config, timeouts=TIMEOUTS))
        made = Bench(proxy, real_client, client, namespace)
        yield made
        await made.end()
        await client.close()


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


async def move_on(bench: Bench) -> None:
    await bench.create(DURING)
    await bench.change(KEPT, "changed")
    for name in (GONE, TWIN):
        await bench.delete(name)
    await bench.create(TWIN)


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
