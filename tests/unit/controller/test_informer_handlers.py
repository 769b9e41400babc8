"""Handlers of an informer share one watch, come late, go, and fail, and disturb nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.unit.controller.informers import MANY, Failing, Recorder, make, many, running
from tests.unit.controller.scripted import ScriptedTransport, line, obj, page, refused, settle

from hybridpg.controller._slices import SLICE
from hybridpg.controller.types import KubeObject

pytestmark = pytest.mark.virtual_time


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
