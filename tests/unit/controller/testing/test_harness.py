"""Waiting: until something holds, until nothing happens."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.testing.conftest import SECRETS, Api

from hybridpg.controller.errors import NotFound
from hybridpg.controller.testing import FakeCluster, eventually, settled
from hybridpg.controller.testing import cluster as cluster_module

pytestmark = pytest.mark.virtual_time


async def test_eventually_returns_the_first_true_result():
    answers = iter([0, "", 7, 8])
    assert await eventually(lambda: next(answers)) == 7


async def test_eventually_takes_errors_of_the_api_and_assertions_for_not_yet():
    problems = iter([NotFound(404), AssertionError("not yet"), None])

    async def check() -> bool:
        problem = next(problems)
        if problem is not None:
            raise problem
        return True

    assert await eventually(check)


async def test_eventually_passes_other_errors_on():
    def check() -> bool:
        raise KeyError("typo")

    with pytest.raises(KeyError):
        await eventually(check)


async def test_eventually_says_what_was_wrong_last():
    def check() -> bool:
        raise AssertionError("three, not four")

    with pytest.raises(AssertionError, match=r"does not hold after 3 s: three, not four"):
        await eventually(check, seconds=3)
    assert asyncio.get_running_loop().time() == pytest.approx(3, abs=0.1)


async def test_settled_waits_for_the_last_request(cluster: FakeCluster, api: Api):
    async def busy() -> None:
        for _ in range(4):
            await api("GET", SECRETS)
            await asyncio.sleep(0.7)

    task = asyncio.create_task(busy())
    await settled(cluster)
    assert len(cluster.requests) == 4
    await task


async def test_settled_names_the_requests_that_never_end(cluster: FakeCluster, api: Api):
    async def busy() -> None:
        while True:
            await api("GET", SECRETS)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(busy())
    with pytest.raises(AssertionError, match=f"last requests: GET {SECRETS}"):
        await settled(cluster, seconds=5)
    task.cancel()


async def test_a_cluster_that_runs_for_days_keeps_the_newest_requests_only(monkeypatch):
    monkeypatch.setattr(cluster_module, "RECORDED_REQUESTS", 10)
    cluster = FakeCluster(seed=1)
    for number in range(25):
        await cluster.request("GET", f"/api/v1/namespaces/n{number}")
    paths = [request.path for request in cluster.requests]
    assert len(paths) <= 10
    assert paths[-1] == "/api/v1/namespaces/n24"
    assert paths == [f"/api/v1/namespaces/n{n}" for n in range(25 - len(paths), 25)]
