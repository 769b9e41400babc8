"""Informers: one watch for all, a store that is never behind its events, handlers kept apart."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.unit.controller.scripted import (
    WIDGETS,
    ScriptedTransport,
    bookmark,
    failure,
    line,
    obj,
    page,
    refused,
    settle,
    status,
)

from hybridpg.controller._slices import SLICE
from hybridpg.controller.client.api import Client
from hybridpg.controller.decode import decode_object
from hybridpg.controller.errors import ManagerError
from hybridpg.controller.informer import Informer
from hybridpg.controller.stats import InformerStats
from hybridpg.controller.types import KubeObject, ObjectKey, Resource

pytestmark = pytest.mark.virtual_time


class Recorder:
    """A handler that notes what it was told, and what the store held at that moment."""

    def __init__(self, informer: Informer | None = None) -> None:
        self.seen: list[str] = []
        self.stored: list[list[str]] = []
        self._informer = informer

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        self._note(f"{'initial' if initial else 'add'} {obj.name}")

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        self._note(f"update {new.name} {old.resource_version}->{new.resource_version}")

    def on_delete(self, obj: KubeObject) -> None:
        self._note(f"delete {obj.name} {obj.uid}")

    def _note(self, text: str) -> None:
        self.seen.append(text)
        if self._informer is not None:
            self.stored.append([found.name for found in self._informer.store.list()])


class Failing(Recorder):
    def _note(self, text: str) -> None:
        super()._note(text)
        raise RuntimeError("handler broke")


def make(transport: ScriptedTransport, **options) -> Informer:
    return Informer(Client(transport), WIDGETS, **options)


@asynccontextmanager
async def running(informer: Informer) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


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


async def test_all_handlers_share_one_watch():
    transport = ScriptedTransport([page(obj("a"))])
    informer = make(transport)
    recorders = [Recorder() for _ in range(3)]
    for recorder in recorders:
        informer.add_handler(recorder)
    async with running(informer):
        await asyncio.sleep(1)
    assert [recorder.seen for recorder in recorders] == [["initial a"]] * 3
    assert transport.verbs() == ["GET", "WATCH"]


async def test_a_failing_handler_disturbs_neither_the_others_nor_the_watch(caplog):
    transport = ScriptedTransport(
        [page(obj("a"))],
        [[[line("MODIFIED", obj("a", 101)), line("DELETED", obj("a", 102))], 60.0]],
    )
    informer = make(transport)
    failing, recorder = Failing(), Recorder()
    informer.add_handler(failing)
    informer.add_handler(recorder)
    with caplog.at_level(logging.ERROR):
        async with running(informer):
            await informer.wait_synced()
            await asyncio.sleep(1)
    assert recorder.seen == failing.seen == ["initial a", "update a 1->101", "delete a uid-a"]
    assert caplog.text.count("failed on ns/a") == 3


async def test_a_cancellation_that_a_handler_or_an_index_raises_does_not_end_the_watch(caplog):
    def cancelled(_: KubeObject) -> list[str]:
        raise asyncio.CancelledError

    class Leaking(Recorder):
        def _note(self, text: str) -> None:
            super()._note(text)
            raise asyncio.CancelledError

    changes: list[Any] = [5.0, [line("ADDED", obj("c", 101))], 60.0]
    informer = make(ScriptedTransport([page(obj("a"), obj("b"))], [changes]))
    handler = Leaking()
    informer.add_handler(handler)
    informer.add_index("cancelled", cancelled)
    async with running(informer):
        await asyncio.sleep(20)
        assert handler.seen == ["initial a", "initial b", "add c"]
        assert len(informer.store.list()) == 3
    assert caplog.text.count("handler of widgets.example.org failed") == 3
    assert caplog.text.count("index cancelled failed") == 3


@pytest.mark.parametrize("rubbish", [None, decode_object(json.dumps(obj("other")).encode())])
async def test_a_transform_that_answers_with_something_else_leaves_no_ghost(rubbish, caplog):
    changes: list[Any] = [5.0, [line("DELETED", obj("a", 101))], 60.0]
    transport = ScriptedTransport([page(obj("a"), obj("b"))], [changes])
    informer = make(transport, transform=lambda _: rubbish)
    async with running(informer):
        await asyncio.sleep(20)
        assert [found.name for found in informer.store.list()] == ["b"]
    assert "transform failed on ns/a, which is cached as it came" in caplog.text


async def test_a_late_handler_is_called_for_everything_that_is_there_and_then_like_the_others():
    transport = ScriptedTransport(
        [page(obj("a"), obj("b"))], [[10.0, [line("ADDED", obj("c", 101))], 60.0]]
    )
    informer = make(transport)
    async with running(informer):
        await asyncio.sleep(5)
        late = Recorder()
        registration = informer.add_handler(late)
        assert not registration.synced
        await registration.wait_synced()
        assert late.seen == ["initial a", "initial b"]
        await asyncio.sleep(10)
    assert late.seen == ["initial a", "initial b", "add c"]


async def test_a_removed_handler_is_not_called_any_more():
    transport = ScriptedTransport([page()], [[10.0, [line("ADDED", obj("c", 101))], 60.0]])
    informer = make(transport)
    recorder = Recorder()
    registration = informer.add_handler(recorder, resync=2)
    async with running(informer):
        await asyncio.sleep(5)
        informer.remove_handler(registration)
        await asyncio.sleep(10)
    assert recorder.seen == []


async def test_a_handler_that_another_one_removes_does_not_hear_of_the_same_event():
    changes = [line("ADDED", obj("b", 101)), line("DELETED", obj("b", 102))]
    for type_ in ("add", "delete"):
        transport = ScriptedTransport([page()], [[5.0, changes, 60.0]])
        informer = make(transport)

        class Removing(Recorder):
            def _note(self, text: str) -> None:
                if text.startswith(type_):  # noqa: B023 - used within this round
                    informer.remove_handler(removed)  # noqa: B023

        informer.add_handler(Removing())
        recorder = Recorder()
        removed = informer.add_handler(recorder)
        async with running(informer):
            await asyncio.sleep(10)
        assert recorder.seen == {"add": [], "delete": ["add b"]}[type_]


async def test_each_handler_knows_when_it_has_seen_the_first_list():
    informer = make(ScriptedTransport([page(obj("a"))]))
    at_call: list[bool] = []

    class Asking(Recorder):
        def on_add(self, obj: KubeObject, *, initial: bool) -> None:
            at_call.append(registration.synced)

    registration = informer.add_handler(Asking())
    assert not registration.synced
    async with running(informer):
        await informer.wait_synced()
    assert at_call == [False]
    assert registration.synced


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


async def test_a_resync_replays_the_store_to_the_one_who_asked_and_asks_no_server():
    transport = ScriptedTransport([page(obj("a"), obj("b"))])
    informer = make(transport)
    asked, other = Recorder(), Recorder()
    informer.add_handler(asked, resync=20)
    informer.add_handler(other)
    async with running(informer):
        await asyncio.sleep(50)
    assert asked.seen == ["initial a", "initial b"] + ["update a 1->1", "update b 1->1"] * 2
    assert other.seen == ["initial a", "initial b"]
    assert transport.verbs() == ["GET", "WATCH"]


async def test_a_resync_comes_once_a_second_at_most():
    informer = make(ScriptedTransport([page(obj("a"))]))
    recorder = Recorder()
    informer.add_handler(recorder, resync=0.001)
    async with running(informer):
        await asyncio.sleep(10.5)
    assert len(recorder.seen) == 11


async def test_a_large_resync_lets_others_run_and_skips_what_went_meanwhile():
    transport = ScriptedTransport(
        [page(*(obj(f"n{number:04}") for number in range(600)))],
    )
    informer = make(transport)

    class Deleting(Recorder):
        def on_update(self, old: KubeObject, new: KubeObject) -> None:
            super().on_update(old, new)
            if new.name == "n0000":
                # between two slices, the last object goes
                asyncio.get_running_loop().call_soon(
                    informer._writer.remove, ObjectKey("ns", "n0599")
                )

    recorder = Deleting()
    informer.add_handler(recorder, resync=10)
    async with running(informer):
        await asyncio.sleep(15)
    updates = [text for text in recorder.seen if text.startswith("update")]
    assert len(updates) == 599


async def test_a_handler_that_is_removed_during_its_resync_hears_no_more_of_it():
    informer = make(ScriptedTransport([page(*(obj(f"n{number}") for number in range(600)))]))

    class Leaving(Recorder):
        def on_update(self, old: KubeObject, new: KubeObject) -> None:
            super().on_update(old, new)
            informer.remove_handler(registration)

    recorder = Leaving()
    registration = informer.add_handler(recorder, resync=10)
    async with running(informer):
        await asyncio.sleep(100)
    updates = [text for text in recorder.seen if text.startswith("update")]
    assert updates == ["update n0 1->1"]


async def test_all_namespaces_and_one_of_them_are_one_watch():
    transport = ScriptedTransport([page(obj("a"))])
    informer = make(transport, namespaces=("ns", ""))
    async with running(informer):
        await informer.wait_synced()
        await settle()
    assert transport.verbs() == ["GET", "WATCH"]


async def test_a_resync_can_be_added_to_a_running_informer():
    informer = make(ScriptedTransport([page(obj("a"))]))
    recorder = Recorder()
    async with running(informer):
        await asyncio.sleep(5)
        informer.add_handler(recorder, resync=10)
        await asyncio.sleep(25)
    assert recorder.seen == ["initial a", "update a 1->1", "update a 1->1"]


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


MANY = 4 * SLICE


def many(count: int = MANY, version: int = 1) -> list[dict[str, object]]:
    return [obj(f"n{number:05}", version) for number in range(count)]


async def test_a_late_handler_is_told_in_slices_and_hears_the_changes_of_that_time_after_it():
    begun = asyncio.Event()

    class ChangesMeanwhile(ScriptedTransport):
        async def stream(self, path, *, query=(), headers=()):
            if ("sendInitialEvents", "true") in query:
                raise refused(422)
            await begun.wait()
            yield [line("ADDED", obj("z", 101))]
            await asyncio.Event().wait()

    class Late(Recorder):
        def on_add(self, obj: KubeObject, *, initial: bool) -> None:
            begun.set()
            super().on_add(obj, initial=initial)

    informer = make(ChangesMeanwhile([page(*many())]))
    late, other = Late(), Recorder()
    turns = 0
    async with running(informer):
        await informer.wait_synced()
        informer.add_handler(other)
        registration = informer.add_handler(late)
        while not registration.synced:
            turns += 1
            await asyncio.sleep(0)
        assert late.seen[-1].startswith("initial")
        await asyncio.sleep(1)
    assert turns >= MANY // SLICE
    assert [text.split()[0] for text in late.seen] == ["initial"] * MANY + ["add"]
    assert late.seen == other.seen


async def test_a_handler_that_comes_between_start_and_list_is_told_once():
    informer = make(ScriptedTransport([page(obj("a"))]))
    recorder = Recorder()
    async with running(informer):
        await asyncio.sleep(0)
        registration = informer.add_handler(recorder)
        await registration.wait_synced()
        await settle()
    assert recorder.seen == ["initial a"]


async def test_a_late_handler_that_is_removed_meanwhile_hears_no_more():
    informer = make(ScriptedTransport([page(*many())]))
    late = Recorder()
    async with running(informer):
        await informer.wait_synced()
        registration = informer.add_handler(late)
        while not late.seen:
            await asyncio.sleep(0)
        informer.remove_handler(registration)
        heard = len(late.seen)
        await asyncio.sleep(5)
        assert len(late.seen) == heard < MANY
        assert not registration.synced


async def test_a_late_handler_that_fails_is_synced_all_the_same(caplog):
    informer = make(ScriptedTransport([page(obj("a"), obj("b"))]))
    late = Failing()
    async with running(informer):
        await informer.wait_synced()
        with caplog.at_level(logging.ERROR):
            await informer.add_handler(late).wait_synced()
    assert late.seen == ["initial a", "initial b"]


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


async def test_a_resync_whose_handler_was_removed_has_no_task_any_more():
    informer = make(ScriptedTransport([page(obj("a"))]))
    registration = informer.add_handler(Recorder(), resync=1000)
    async with running(informer):
        await informer.wait_synced()
        before = len(asyncio.all_tasks())
        informer.remove_handler(registration)
        await settle()
        assert len(asyncio.all_tasks()) == before - 1


async def test_a_resync_never_tells_of_an_object_before_its_add():
    """The list is taken over in slices, and a resync is due in the middle of it."""
    gone = line("ERROR", status(410, "Expired"))
    transport = ScriptedTransport([page(), page(*many())], [[9.2, [gone]]])
    informer = make(transport)
    mirror: set[str] = set()
    wrong: list[str] = []

    class Checking(Recorder):
        def on_add(self, obj: KubeObject, *, initial: bool) -> None:
            mirror.add(obj.name)

        def on_update(self, old: KubeObject, new: KubeObject) -> None:
            if new.name not in mirror:
                wrong.append(new.name)

    for _ in range(3):
        informer.add_handler(Checking(), resync=1)
    async with running(informer):
        await asyncio.sleep(30)
    assert len(mirror) == MANY
    assert wrong == []


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
