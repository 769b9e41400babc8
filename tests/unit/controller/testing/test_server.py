"""The HTTP face: tokens, addresses, resets, and what kubectl asks for."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.unit.controller.testing.conftest import SECRETS, Api

from hybridpg.controller.testing import FakeCluster, FakeClusterServer, eventually


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_only_loopback_is_served(cluster: FakeCluster):
    with pytest.raises(ValueError, match="loopback addresses only"):
        FakeClusterServer(cluster, host="0.0.0.0")


async def test_requests_need_the_token(cluster: FakeCluster, http: aiohttp.ClientSession):
    async with FakeClusterServer(cluster, token="hush") as server:
        url = f"{server.url}/version"
        assert (await http.get(url)).status == 401
        wrong = {"Authorization": "Bearer wrong"}
        assert (await http.get(url, headers=wrong)).status == 401
        right = {"Authorization": "Bearer hush"}
        answer = await http.get(url, headers=right)
        assert (await answer.json())["major"] == "1"
    assert [request.path for request in cluster.requests] == ["/version"]


async def test_a_taken_port_is_an_error(cluster: FakeCluster):
    async with FakeClusterServer(cluster) as server:
        with pytest.raises(OSError):  # noqa: PT011  the message is the system's
            await FakeClusterServer(cluster, port=server.port).__aenter__()


async def test_a_watch_streams_and_ends_with_the_server(
    cluster: FakeCluster, api: Api, http: aiohttp.ClientSession
):
    async with FakeClusterServer(cluster) as server:
        answer = await http.get(f"{server.url}{SECRETS}?watch=true")
        await api.secret("a")
        assert b'"type":"ADDED"' in await answer.content.readline()
        began = asyncio.get_running_loop().time()
    assert await answer.content.read() == b""
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_client_that_goes_away_leaves_no_watch_behind(
    cluster: FakeCluster, http: aiohttp.ClientSession
):
    async with FakeClusterServer(cluster) as server:
        answer = await http.get(f"{server.url}{SECRETS}?watch=true")
        assert len(cluster.open_watches) == 1
        answer.close()
        await eventually(lambda: not cluster.open_watches)


async def test_a_refused_watch_is_an_http_error(cluster: FakeCluster, http: aiohttp.ClientSession):
    async with FakeClusterServer(cluster) as server:
        answer = await http.get(f"{server.url}{SECRETS}?watch=true&labelSelector=,")
        assert answer.status == 400
        assert (await answer.json())["reason"] == "BadRequest"


async def test_a_lost_answer_is_a_reset_connection(
    cluster: FakeCluster, http: aiohttp.ClientSession
):
    cluster.faults.lost_after(method="POST")
    async with FakeClusterServer(cluster) as server:
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.post(f"{server.url}{SECRETS}", json={"metadata": {"name": "a"}})


async def test_the_kubeconfig_leads_to_the_server(cluster: FakeCluster):
    async with FakeClusterServer(cluster, token="hush") as server:
        config = server.kubeconfig(certificate_authority=b"PEM", name="dev")
        cluster_entry = config["clusters"][0]["cluster"]
        assert cluster_entry["server"] == server.url == f"http://127.0.0.1:{server.port}"
        assert base64.b64decode(cluster_entry["certificate-authority-data"]) == b"PEM"
        assert config["users"][0]["user"] == {"token": "hush"}
        assert config["current-context"] == "dev"


async def test_a_context_makes_it_https(cluster: FakeCluster):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert FakeClusterServer(cluster, ssl_context=context).url.startswith("https://127.0.0.1:")


async def test_version_6_loopback_is_written_in_brackets(cluster: FakeCluster):
    assert FakeClusterServer(cluster, host="::1", port=5).url == "http://[::1]:5"
