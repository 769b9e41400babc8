"""Resyncs replay the store to the handler that asked for them, and to no other."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.informers import MANY, Recorder, make, many, running
from tests.unit.controller.scripted import ScriptedTransport, line, obj, page, settle, status

from hybridpg.controller.types import KubeObject, ObjectKey

pytestmark = pytest.mark.virtual_time


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


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, [90, 180]), (1.0, [110, 220])])
async def test_a_resync_comes_a_tenth_earlier_or_later(drawn: float, expected: list[float]):
    """Those of all handlers of a process would else be one burst."""
    times = []

    class Noting(Recorder):
        def on_update(self, old: KubeObject, new: KubeObject) -> None:
            times.append(asyncio.get_running_loop().time())

    informer = make(ScriptedTransport([page(obj("a"))]), rand=lambda: drawn)
    informer.add_handler(Noting(), resync=100)
    async with running(informer):
        await asyncio.sleep(250)
    assert times == pytest.approx(expected)


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


async def test_a_resync_can_be_added_to_a_running_informer():
    informer = make(ScriptedTransport([page(obj("a"))]))
    recorder = Recorder()
    async with running(informer):
        await asyncio.sleep(5)
        informer.add_handler(recorder, resync=10)
        await asyncio.sleep(25)
    assert recorder.seen == ["initial a", "update a 1->1", "update a 1->1"]


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
