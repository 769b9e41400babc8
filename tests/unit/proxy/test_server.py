"""What the proxy makes of calls, seen by a transport on the other side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.proxy.rules import (
    JSON,
    WATCHES,
    WRITES,
    Answer,
    CutBody,
    Delay,
    Do,
    Hang,
    Hold,
    Lose,
)
from tests.proxy.server import Proxy
from tests.proxy.streams import (
    INITIAL_END,
    Break,
    CutFrame,
    CutLine,
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

from hybridpg.controller import (
    Client,
    ConnectionRefused,
    JsonObject,
    Resource,
    Response,
    TransportError,
)
from hybridpg.controller.client import (
    AiohttpTransport,
    Config,
    Timeouts,
    TlsConfig,
    load_kubeconfig,
)
from hybridpg.controller.testing import FakeCluster
from hybridpg.controller.testing.server import FakeClusterServer

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
PATH = "/api/v1/namespaces/default/configmaps"
TIMEOUTS = Timeouts(connect=5, request=5, silence=5)
SHORT = Timeouts(connect=5, request=0.05, silence=0.05)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    made = FakeCluster(bookmark_seconds=600)
    yield made
    await made.close()


@pytest.fixture
async def proxy(cluster: FakeCluster) -> AsyncIterator[Proxy]:
    async with FakeClusterServer(cluster) as server, Proxy(Config(server.url)) as made:
        yield made


@pytest.fixture
async def transport(proxy: Proxy) -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport(Config(proxy.url), timeouts=TIMEOUTS)
    yield made
    await made.close()


@pytest.fixture
async def impatient(proxy: Proxy) -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport(Config(proxy.url), timeouts=SHORT)
    yield made
    await made.close()


def config_map(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


async def create(cluster: FakeCluster, *names: str) -> None:
    for name in names:
        await Client(cluster).create(CONFIG_MAPS, config_map(name), namespace="default")


async def post(transport: AiohttpTransport, name: str) -> Response:
    body = json.dumps(config_map(name)).encode()
    return await transport.request("POST", PATH, headers=[("content-type", JSON)], body=body)


async def names(cluster: FakeCluster) -> list[str]:
    page = await Client(cluster).list(CONFIG_MAPS, namespace="default")
    return [obj.name for obj in page.items if obj.name != "kube-root-ca.crt"]


def told(lines: list[bytes]) -> list[str]:
    """Type and name of each event."""
    events: list[Any] = [json.loads(line) for line in lines]
    return [f"{e['type']} {e['object']['metadata'].get('name', '')}".strip() for e in events]


# --- requests ----------------------------------------------------------------------------------


async def test_without_a_rule_everything_passes_and_is_recorded(proxy, transport, cluster):
    client = Client(transport)

    await client.create(CONFIG_MAPS, config_map("a"), namespace="default")
    page = await client.list(CONFIG_MAPS, namespace="default")

    assert "a" in [obj.name for obj in page.items]
    assert [(str(each.call), each.status) for each in proxy.record] == [
        (f"POST {PATH} #1", 201),
        (f"LIST {PATH} #1", 200),
    ]


async def test_an_error_of_the_server_is_passed_on_and_recorded(proxy, transport):
    response = await transport.request("GET", f"{PATH}/missing")

    assert response.status == 404
    assert json.loads(response.body)["reason"] == "NotFound"
    assert proxy.record[-1].status == 404


async def test_an_answer_of_a_rule_replaces_that_of_the_server(proxy, transport, cluster):
    proxy.add(Answer(429, b"{}", {"Retry-After": "7"}), verbs=WRITES)

    response = await post(transport, "a")

    assert (response.status, response.headers["retry-after"]) == (429, "7")
    assert await names(cluster) == []


@pytest.mark.parametrize("committed", [False, True])
async def test_a_lost_write_was_carried_out_or_not_as_the_rule_says(
    proxy, transport, cluster, committed
):
    proxy.add(Lose(committed=committed), verbs=WRITES)

    with pytest.raises(TransportError):
        await post(transport, "a")

    assert await names(cluster) == (["a"] if committed else [])
    assert proxy.record[-1].status == (201 if committed else None)


@pytest.mark.parametrize("committed", [False, True])
async def test_a_request_that_hangs_was_carried_out_or_not_as_the_rule_says(
    proxy, impatient, cluster, committed
):
    proxy.add(Hang(committed=committed), verbs=WRITES)

    with pytest.raises(TransportError, match="no answer in time"):
        await post(impatient, "a")

    assert await names(cluster) == (["a"] if committed else [])


async def test_a_delayed_request_is_carried_out_late(proxy, transport):
    proxy.add(Delay(0.04))
    loop = asyncio.get_running_loop()
    began = loop.time()

    response = await transport.request("GET", PATH)

    assert response.status == 200
    assert loop.time() - began >= 0.04


async def test_a_body_that_is_cut_is_no_answer(proxy, transport, cluster):
    proxy.add(CutBody(), verbs=WRITES)

    with pytest.raises(TransportError):
        await post(transport, "a")

    assert await names(cluster) == ["a"]


@pytest.mark.parametrize("committed", [False, True])
async def test_something_is_done_before_or_after_exactly_that_write(
    proxy, transport, cluster, committed
):
    seen: list[list[str]] = []
    storage = cluster.resource_version

    def look() -> None:
        seen.append([storage, cluster.resource_version])

    proxy.add(Do(look, committed=committed), verbs=WRITES, skip=1)
    for name in ("a", "b"):
        before = cluster.resource_version
        await post(transport, name)

    assert len(seen) == 1
    assert (seen[0][1] != before) is committed
    assert await names(cluster) == (["a", "b"] if committed else ["a"])


async def test_while_the_proxy_is_down_nobody_listens(proxy, transport):
    await transport.request("GET", PATH)
    url = proxy.url

    await proxy.down()
    with pytest.raises(ConnectionRefused):
        await transport.request("GET", PATH)
    await proxy.up()

    assert proxy.url == url
    assert (await transport.request("GET", PATH)).status == 200


async def test_rules_can_be_cleared(proxy, transport):
    proxy.add(Answer(500), times=10)
    assert (await transport.request("GET", PATH)).status == 500

    proxy.clear()

    assert (await transport.request("GET", PATH)).status == 200


async def test_a_kubeconfig_leads_to_the_proxy_over_tls(cluster, pki: Pki, tmp_path: Path):
    encrypted = pki.server_context()
    async with FakeClusterServer(cluster, ssl_context=encrypted, token="right") as server:
        upstream = Config(server.url, tls=TlsConfig(ca_file=str(pki.ca)))
        async with Proxy(upstream, tls=encrypted, authority=pki.ca) as proxy:
            file = proxy.write_kubeconfig(tmp_path / "kubeconfig", token="right")
            transport = AiohttpTransport(await load_kubeconfig(file))
            response = await transport.request("GET", PATH)
            await transport.close()

    assert response.status == 200, "the token was not passed on"


# --- watches -----------------------------------------------------------------------------------


async def watched(transport: AiohttpTransport, count: int, **query: str) -> list[bytes]:
    """The next lines of a new watch, and then its end if it has one."""
    lines: list[bytes] = []
    async for batch in transport.stream(PATH, query=[("watch", "true"), *query.items()]):
        lines += batch
        if len(lines) >= count:
            break
    return lines


@pytest.fixture
async def three(cluster: FakeCluster) -> str:
    """The version before three objects were made."""
    version = cluster.resource_version
    await create(cluster, "a", "b", "c")
    return version


async def test_a_watch_passes_through(proxy, transport, three):
    lines = await watched(transport, 3, resourceVersion=three)

    assert told(lines) == ["ADDED a", "ADDED b", "ADDED c"]
    assert [each.call.verb for each in proxy.record] == ["WATCH"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(End(), ["ADDED a"], id="end"),
        pytest.param(Swallow(), ["ADDED a", "ADDED c"], id="swallow"),
        pytest.param(Repeat(), ["ADDED a", "ADDED b", "ADDED b", "ADDED c", "ADDED c"], id="twice"),
        pytest.param(Late(0.04), ["ADDED a", "ADDED b", "ADDED c"], id="late"),
        pytest.param(Say(error_event(410, "Expired"), last=True), ["ADDED a", "ERROR"], id="error"),
        pytest.param(
            Say(b'{"type":"ODD","object":{"metadata":{}}}\n'),
            ["ADDED a", "ODD", "ADDED b", "ADDED c"],
            id="odd",
        ),
    ],
)
async def test_a_watch_is_perturbed_after_so_many_events(
    proxy, transport, three, fault: StreamFault, expected: list[str]
):
    proxy.add(fault, verbs=WATCHES, after=1)

    assert told(await watched(transport, len(expected), resourceVersion=three)) == expected


@pytest.mark.parametrize(
    "fault",
    [Break(), Break(reset=False), CutFrame(), CutFrame(reset=False), CutLine()],
    ids=["reset", "fin", "reset-in-a-line", "fin-in-a-line", "end-in-a-line"],
)
async def test_a_broken_watch_gives_whole_lines_and_an_error(
    proxy, transport, three, fault: StreamFault
):
    proxy.add(fault, verbs=WATCHES, after=1)

    with pytest.raises(TransportError):
        await watched(transport, 3, resourceVersion=three)


async def test_a_half_open_watch_stays_and_says_nothing(proxy, cluster, three):
    rule = proxy.add(Silence(), verbs=WATCHES, after=1)
    transport = AiohttpTransport(
        Config(proxy.url), timeouts=Timeouts(connect=5, request=5, silence=0.1)
    )

    with pytest.raises(TransportError, match="no answer in time"):
        await watched(transport, 2, resourceVersion=three)
    await transport.close()

    assert rule.hits == 1


async def test_bookmarks_are_taken_out(transport, three):
    cluster = FakeCluster(bookmark_seconds=0.01)
    async with FakeClusterServer(cluster) as server, Proxy(Config(server.url)) as proxy:
        proxy.add(NoBookmarks(), verbs=WATCHES)
        other = AiohttpTransport(Config(proxy.url), timeouts=TIMEOUTS)
        version = cluster.resource_version

        async def later() -> None:
            await asyncio.sleep(0.04)
            await create(cluster, "a")

        making = asyncio.create_task(later())
        lines = await watched(other, 1, resourceVersion=version, allowWatchBookmarks="true")
        await making
        await other.close()
    await cluster.close()

    assert told(lines) == ["ADDED a"]


async def test_an_event_can_be_as_large_as_a_test_wants(proxy, transport, three):
    proxy.add(Inflate(20_000_000), verbs=WATCHES, after=1)

    small, large, _ = await watched(transport, 3, resourceVersion=three)

    assert len(small) < 1000
    assert len(large) > 20_000_000
    assert told([large]) == ["ADDED b"]


STREAMING = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        pytest.param(b'"name":"a"', "ADDED a", id="in-the-list"),
        pytest.param(INITIAL_END, "BOOKMARK", id="behind-the-list"),
    ],
)
async def test_a_streaming_list_is_struck_behind_a_line(proxy, transport, three, behind, expected):
    rule = proxy.add(End(), verbs=["WATCHLIST"], behind=behind)

    lines = await watched(transport, 100, **STREAMING)

    assert told(lines)[-1] == expected
    assert rule.struck.is_set()


async def test_a_rule_for_a_stream_strikes_when_its_line_comes_and_not_before(
    proxy, transport, cluster, three
):
    rule = proxy.add(End(), verbs=WATCHES, behind=b'"name":"d"')
    reading = asyncio.create_task(watched(transport, 100, resourceVersion=three))
    while not proxy.record or proxy.record[0].status is None:
        await asyncio.sleep(0.005)
    assert not rule.struck.is_set()

    await create(cluster, "d")

    assert told(await reading)[-1] == "ADDED d"
    assert rule.struck.is_set()


async def test_a_request_is_held_until_the_test_lets_it_go(proxy, transport, cluster):
    released = asyncio.Event()
    rule = proxy.add(Hold(released), verbs=WRITES)
    posting = asyncio.create_task(post(transport, "a"))
    await rule.struck.wait()
    assert await names(cluster) == []

    released.set()

    assert (await posting).status == 201


async def test_a_rule_that_comes_while_a_request_is_held_strikes_it_as_well(
    proxy, transport, cluster
):
    released = asyncio.Event()
    held = proxy.add(Hold(released), verbs=WRITES)
    posting = asyncio.create_task(post(transport, "a"))
    await held.struck.wait()
    late = proxy.add(Answer(503), verbs=WRITES)

    released.set()

    assert (await posting).status == 503
    assert (late.hits, held.hits) == (1, 1)
    assert await names(cluster) == []


async def test_a_server_that_goes_breaks_what_passes_through(cluster, three):
    async with FakeClusterServer(cluster) as server:
        proxy = await Proxy(Config(server.url)).__aenter__()
    transport = AiohttpTransport(Config(proxy.url), timeouts=TIMEOUTS)

    with pytest.raises(TransportError):
        await transport.request("POST", PATH, body=b"{}")
    await transport.close()
    await proxy.__aexit__(None, None, None)
