"""Informers: what they tell of lists and watches, and a store that is never behind its events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.controller.informers import Recorder, make, many, running
from tests.unit.controller.scripted import (
    ScriptedTransport,
    bookmark,
    failure,
    line,
    obj,
    page,
    refused,
    status,
)

from hybridpg.controller._checks import SILENT_SECONDS
from hybridpg.controller.decode import decode_object
from hybridpg.controller.errors import ManagerError
from hybridpg.controller.stats import InformerStats
from hybridpg.controller.types import KubeObject, ObjectKey

pytestmark = pytest.mark.virtual_time


async def test_the_first_list_is_delivered_as_initial_and_changes_after_it():
    transport = ScriptedTransport(
        [page(obj("a"), obj("b"))],
        [
            [
                [line("MODIFIED", obj("a", 101)), line("ADDED", obj("c", 102))],
                [line("DELETED", obj("b", 103))],
                60.0,
            ]
        ],
    )
    informer = make(transport)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(1)
    assert recorder.seen == [
        "initial a",
        "initial b",
        "update a 1->101",
        "add c",
        "delete b uid-b",
    ]


async def test_waiting_for_the_sync_ends_with_the_first_list():
    async def slow() -> None:
        await asyncio.sleep(5)

    class Slow(ScriptedTransport):
        async def request(self, *args, **options):
            await slow()
            return await super().request(*args, **options)

    informer = make(Slow([page(obj("a"))]))
    async with running(informer):
        assert not informer.synced
        await informer.wait_synced()
        assert asyncio.get_running_loop().time() == 5
        assert informer.store.get(ObjectKey("ns", "a")) is not None


async def test_a_handler_sees_a_store_that_holds_the_change_already():
    transport = ScriptedTransport(
        [page(obj("a"), obj("b"))], [[[line("DELETED", obj("a", 101))], 60.0]]
    )
    informer = make(transport)
    recorder = Recorder(informer)
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(1)
    assert recorder.stored == [["a", "b"], ["a", "b"], ["b"]]


async def test_a_delete_that_was_missed_is_delivered_by_the_next_list_before_what_is_new():
    transport = ScriptedTransport(
        [page(obj("a"), obj("b")), page(obj("b", 5), obj("c", 6))], [[refused(410, "Gone")]]
    )
    informer = make(transport)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(5)
    assert recorder.seen[2:] == ["delete a uid-a", "update b 1->5", "add c"]


async def test_a_relist_does_not_repeat_what_did_not_change():
    transport = ScriptedTransport([page(obj("a"))], [[refused(410, "Gone")]])
    informer = make(transport)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(5)
    assert len(transport.of("GET")) == 2
    assert recorder.seen == ["initial a"]


async def test_delete_and_recreate_in_a_gap_is_a_delete_and_then_an_add():
    transport = ScriptedTransport(
        [page(obj("a", 1, uid="first")), page(obj("a", 9, uid="second"))], [[refused(410)]]
    )
    informer = make(transport)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(5)
    assert recorder.seen == ["initial a", "delete a first", "add a"]


async def test_delete_and_recreate_within_a_watch_is_the_same_even_if_the_delete_got_lost():
    transport = ScriptedTransport(
        [page(obj("a", 1, uid="first"))], [[[line("MODIFIED", obj("a", 9, uid="second"))], 60.0]]
    )
    informer = make(transport)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(1)
    assert recorder.seen == ["initial a", "delete a first", "add a"]


async def test_the_delete_of_a_namesake_is_the_delete_of_what_was_known():
    transport = ScriptedTransport(
        [page(obj("a", 1, uid="first"))], [[[line("DELETED", obj("a", 9, uid="second"))], 60.0]]
    )
    informer = make(transport)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(1)
        assert informer.store.list() == []
    assert recorder.seen == ["initial a", "delete a first"]


async def test_the_delete_of_an_object_that_was_never_seen_is_not_delivered():
    transport = ScriptedTransport(watches=[[[line("DELETED", obj("x", 101))], 60.0]])
    informer = make(transport)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(1)
    assert recorder.seen == []


@pytest.mark.parametrize("rubbish", [None, decode_object(json.dumps(obj("other")).encode())])
async def test_a_transform_that_answers_with_something_else_leaves_no_ghost(rubbish, caplog):
    changes: list[Any] = [5.0, [line("DELETED", obj("a", 101))], 60.0]
    transport = ScriptedTransport([page(obj("a"), obj("b"))], [changes])
    informer = make(transport, transform=lambda _: rubbish)
    async with running(informer):
        await asyncio.sleep(20)
        assert [found.name for found in informer.store.list()] == ["b"]
    assert "transform failed on ns/a, which is cached as it came" in caplog.text


@pytest.mark.parametrize("version", ["", "7"], ids=["dropped", "always the same"])
async def test_a_transform_that_loses_the_resource_version_loses_no_update(version, caplog):
    def versionless(found: KubeObject) -> KubeObject:
        body = found.decode()
        body["metadata"]["resourceVersion"] = version
        return decode_object(json.dumps(body).encode())

    changes: list[Any] = [5.0, [line("MODIFIED", obj("a", 101, spec={"size": 2}))], 60.0]
    informer = make(ScriptedTransport([page(obj("a"))], [changes]), transform=versionless)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(20)
    assert recorder.seen == ["initial a", "update a 1->101"]
    assert "transform failed on ns/a, which is cached as it came" in caplog.text


async def test_a_wait_of_more_seconds_than_a_float_holds_ends_no_informer():
    absurd = line("ERROR", status(429, "TooManyRequests", retryAfterSeconds=10**400))
    transport = ScriptedTransport(watches=[[[absurd]], [[line("ADDED", obj("a", 101))], 60.0]])
    informer = make(transport)
    recorder = Recorder()
    informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(400)
    assert recorder.seen == ["add a"]


async def test_an_informer_runs_once():
    informer = make(ScriptedTransport())
    async with running(informer):
        await informer.wait_synced()
        with pytest.raises(ManagerError, match="runs already"):
            await informer.run()


async def test_an_index_of_an_informer_follows_the_watch():
    transport = ScriptedTransport(
        [page(obj("a", spec={"size": 1}))],
        [[[line("MODIFIED", obj("a", 101, spec={"size": 2}))], 60.0]],
    )
    informer = make(transport)
    size: Callable[[KubeObject], list[str]] = lambda found: [str(found.decode()["spec"]["size"])]  # noqa: E731
    informer.add_index("size", size)
    async with running(informer):
        await asyncio.sleep(1)
        assert informer.store.by_index("size", "1") == []
        assert [found.name for found in informer.store.by_index("size", "2")] == ["a"]


async def test_an_informer_that_is_cancelled_leaves_nothing_behind_and_takes_no_handlers():
    transport = ScriptedTransport([page(*many())])
    informer = make(transport, namespaces=("one", "two"))
    informer.add_handler(Recorder(), resync=10)
    async with running(informer):
        await informer.wait_synced()
        informer.add_handler(Recorder(), resync=10)
        informer.add_handler(Recorder())
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(ManagerError, match="has ended"):
        informer.add_handler(Recorder())
    with pytest.raises(ManagerError, match="runs already, or did"):
        await informer.run()


async def test_the_counters_say_what_happened():
    gone = line("ERROR", status(410, "Expired"))
    transport = ScriptedTransport(
        [page(obj("a")), failure(500), page(obj("a"), obj("b"), version="300")],
        [[[line("ADDED", obj("b", 101)), line("MODIFIED", obj("b", 102))], 5.0, [gone]]],
    )
    informer = make(transport)
    assert informer.stats == InformerStats()
    assert informer.freshness(100) is None
    async with running(informer):
        await asyncio.sleep(60)
        stats = informer.stats
        assert (stats.objects, stats.resource_version, stats.events) == (2, "300", 2)
        assert (stats.lists, stats.relists, stats.list_failures) == (2, 1, 1)
        # a streamed list that was refused, two watches
        assert (stats.watches, stats.watch_failures) == (3, 1)
        assert stats.last_contact is not None
        assert stats.last_contact == pytest.approx(5, abs=5)
        assert informer.freshness(60) == pytest.approx(60 - stats.last_contact)


async def test_a_bookmark_is_a_sign_of_life():
    transport = ScriptedTransport(watches=[[30.0, [bookmark(101)], 60.0]])
    informer = make(transport)
    async with running(informer):
        await asyncio.sleep(29)
        assert informer.freshness(29) == 29
        await asyncio.sleep(11)
        assert informer.freshness(40) == 10


async def test_a_kind_without_bookmarks_is_listed_now_and_then_and_never_looks_stale():
    """Events have no watch cache, and so no bookmark a minute."""
    transport = ScriptedTransport(watches=[[3600.0]] * 100)
    informer = make(transport)
    ages = []
    async with running(informer):
        for now in range(0, 600, 5):
            await asyncio.sleep(5)
            ages.append(informer.freshness(now + 5))
    assert all(age is not None and age < SILENT_SECONDS for age in ages)
    assert len(transport.calls) <= 20


async def test_a_transform_and_metadata_alone_reach_the_store():
    def small(found: KubeObject) -> KubeObject:
        body = {"metadata": found.decode()["metadata"]}
        return decode_object(json.dumps(body).encode())

    transport = ScriptedTransport([page(obj("a"))], [[[line("ADDED", obj("b", 101))], 60.0]])
    informer = make(transport, transform=small, metadata_only=True)
    async with running(informer):
        await asyncio.sleep(1)
        assert [{*found.decode()} for found in informer.store.list()] == [{"metadata"}] * 2
    assert all("PartialObjectMetadata" in call.accept for call in transport.calls)
