"""Scripted faults strike the requests they name, as often as they say."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.controller.testing.conftest import SECRETS, Api

from hybridpg.controller.errors import ApiError, ConnectionRefused, Gone, TransportError
from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time


async def test_a_conflict_is_answered_once_and_nothing_is_written(cluster: FakeCluster, api: Api):
    await api.secret("a")
    fault = cluster.faults.conflict(method="PATCH", path="*/secrets/a")
    body = {"metadata": {"labels": {"x": "y"}}}
    kind = "application/merge-patch+json"
    assert (await api("PATCH", f"{SECRETS}/a", body, kind=kind))[0] == 409
    assert "labels" not in (await api("GET", f"{SECRETS}/a"))[1]["metadata"]
    assert (await api("PATCH", f"{SECRETS}/a", body, kind=kind))[0] == 200
    assert fault.hits == 1


async def test_too_many_requests_says_when_to_come_again(cluster: FakeCluster):
    cluster.faults.too_many_requests(retry_after=2)
    answer = await cluster.request("GET", SECRETS)
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")
    assert json.loads(answer.body)["reason"] == "TooManyRequests"


async def test_the_nth_request_is_struck(cluster: FakeCluster, api: Api):
    cluster.faults.server_error(method="GET", skip=1, times=2)
    statuses = [(await api("GET", SECRETS))[0] for _ in range(4)]
    assert statuses == [200, 500, 500, 200]


async def test_a_delay_passes_on_the_clock_of_the_loop(cluster: FakeCluster, api: Api):
    cluster.faults.delay(30)
    began = asyncio.get_running_loop().time()
    assert (await api("GET", SECRETS))[0] == 200
    assert asyncio.get_running_loop().time() - began == 30


async def test_an_answer_lost_after_the_write_leaves_the_write(cluster: FakeCluster, api: Api):
    cluster.faults.lost_after(method="POST")
    with pytest.raises(TransportError, match="answer to POST"):
        await api.secret("a")
    assert (await api("GET", f"{SECRETS}/a"))[0] == 200


async def test_an_answer_lost_before_the_write_leaves_nothing(cluster: FakeCluster, api: Api):
    cluster.faults.lost_before(method="POST")
    with pytest.raises(TransportError):
        await api.secret("a")
    assert (await api("GET", f"{SECRETS}/a"))[0] == 404


async def test_a_refused_connection_is_told_apart(cluster: FakeCluster, api: Api):
    cluster.faults.refused()
    with pytest.raises(ConnectionRefused):
        await api("GET", SECRETS)


async def watch(cluster: FakeCluster, **query: str) -> list[str]:
    seen = []
    async for lines in cluster.stream(SECRETS, query=(("watch", "true"), *query.items())):
        seen += [json.loads(line)["type"] for line in lines]
    return seen


async def test_a_watch_is_cut_after_some_events(cluster: FakeCluster, api: Api):
    for name in "abc":
        await api.secret(name)
    cluster.faults.cut_watch(after=2)
    assert await watch(cluster) == ["ADDED", "ADDED"]


async def test_a_watch_is_reset_at_once(cluster: FakeCluster):
    cluster.faults.cut_watch(reset=True)
    with pytest.raises(TransportError, match="reset"):
        await watch(cluster)


async def test_a_watch_expires_by_an_event(cluster: FakeCluster, api: Api):
    await api.secret("a")
    cluster.faults.expire_watch(after=1)
    assert await watch(cluster) == ["ADDED", "ERROR"]


async def test_a_watch_expires_by_its_status(cluster: FakeCluster):
    cluster.faults.error(410, "Expired", method="WATCH")
    with pytest.raises(Gone):
        await watch(cluster)


async def test_watch_faults_leave_lists_alone(cluster: FakeCluster, api: Api):
    fault = cluster.faults.cut_watch()
    assert (await api("GET", SECRETS))[0] == 200
    assert fault.hits == 0


async def test_cleared_faults_strike_no_more(cluster: FakeCluster, api: Api):
    cluster.faults.server_error(times=9)
    cluster.faults.clear()
    assert (await api("GET", SECRETS))[0] == 200


async def test_requests_and_writes_are_counted(cluster: FakeCluster, api: Api):
    await api.secret("a")
    await api("GET", SECRETS)
    await watch(cluster, timeoutSeconds="1")
    assert [request.method for request in cluster.requests] == ["POST", "GET", "WATCH"]
    assert [(request.method, request.path) for request in cluster.writes] == [("POST", SECRETS)]


async def test_a_refused_stream_is_an_error_of_the_api(cluster: FakeCluster):
    with pytest.raises(ApiError) as caught:
        await watch(cluster, labelSelector=",")
    assert caught.value.status == 400
