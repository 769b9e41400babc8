"""Several namespaces in one informer: one store, as complete and as fresh as the last of them."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from tests.unit.controller.informers import Recorder, make, running
from tests.unit.controller.scripted import ScriptedTransport, obj, page, settle

from hybridpg.controller.client.api import Client
from hybridpg.controller.informer import Informer
from hybridpg.controller.types import Resource

pytestmark = pytest.mark.virtual_time


async def test_namespaces_are_merged_into_one_store_that_is_complete_with_the_last():
    class TwoNamespaces(ScriptedTransport):
        async def request(self, method, path, **options):
            if "/two/" in path:
                await asyncio.sleep(5)
                self.lists = deque([page(obj("b", namespace="two"))])
            else:
                self.lists = deque([page(obj("a", namespace="one"))])
            return await super().request(method, path, **options)

    transport = TwoNamespaces()
    informer = make(transport, namespaces=("one", "two", "one"))
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(1)
        assert recorder.seen == ["initial a"]
        assert not informer.synced
        await informer.wait_synced()
        assert [str(found.key) for found in informer.store.list()] == ["one/a", "two/b"]
        await settle()
    assert len(transport.of("WATCH")) == 2


async def test_namespaces_mean_nothing_for_a_cluster_scoped_kind():
    cluster = Resource("example.org", "v1", "widgets", "Widget", namespaced=False)
    transport = ScriptedTransport()
    informer = Informer(Client(transport), cluster, namespaces=("one", "two"))
    async with running(informer):
        await informer.wait_synced()
    assert transport.verbs()[0] == "GET"
    assert transport.of("GET")[0].path == "/apis/example.org/v1/widgets"


async def test_all_namespaces_and_one_of_them_are_one_watch():
    transport = ScriptedTransport([page(obj("a"))])
    informer = make(transport, namespaces=("ns", ""))
    async with running(informer):
        await informer.wait_synced()
        await settle()
    assert transport.verbs() == ["GET", "WATCH"]


async def test_the_stalest_namespace_counts():
    class OneAnswers(ScriptedTransport):
        async def request(self, method, path, **options):
            if "/two/" in path:
                await asyncio.sleep(20)
            return await super().request(method, path, **options)

    informer = make(OneAnswers(), namespaces=("one", "two"))
    async with running(informer):
        await asyncio.sleep(10)
        assert informer.stats.lists == 1
        assert informer.freshness(10) is None
        await asyncio.sleep(20)
        assert informer.freshness(30) == 30
