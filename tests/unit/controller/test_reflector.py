"""Taking over a list: nobody sees half of it, nobody is held up by it, nothing comes between."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence

import pytest
from tests.unit.controller.scripted import kube, settle

from hybridpg.controller._slices import SLICE, slices
from hybridpg.controller.decode import WatchEvent
from hybridpg.controller.predicates import Event
from hybridpg.controller.protocols import EventHandler
from hybridpg.controller.reflector import Reflector
from hybridpg.controller.registration import Registration
from hybridpg.controller.store import Writer
from hybridpg.controller.types import KubeObject
from hybridpg.controller.watcher import Changed, Listed

pytestmark = pytest.mark.virtual_time

MANY = 4 * SLICE


class Heard:
    """A handler that notes what it hears, and how much the store held at that moment."""

    def __init__(self, writer: Writer) -> None:
        self.seen: list[str] = []
        self.sizes: set[int] = set()
        self._writer = writer

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        self._note(f"{'initial' if initial else 'add'} {obj.name}")

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        self._note(f"update {new.name} {old.resource_version}->{new.resource_version}")

    def on_delete(self, obj: KubeObject) -> None:
        self._note(f"delete {obj.name}")

    def _note(self, text: str) -> None:
        self.seen.append(text)
        self.sizes.add(len(self._writer))


def named(count: int, version: int = 1) -> list[KubeObject]:
    return [kube(f"n{number:05}", version) for number in range(count)]


def make(writer: Writer) -> tuple[Reflector, Heard]:
    heard = Heard(writer)
    return Reflector(writer, told(heard), on_listed=lambda: None), heard


def told(handler: EventHandler) -> Callable[[Sequence[Event]], None]:
    """What calls a handler, as an informer does."""
    return Registration(handler, "things", None).tell


async def turns_during(reflector: Reflector, update: Listed | Changed) -> int:
    """Apply an update and count the turns that another task gets meanwhile."""
    turns = 0
    task = asyncio.create_task(reflector.apply(update))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    await task
    return turns


async def test_others_run_while_a_long_list_is_taken_over_and_see_the_old_one_or_the_new():
    writer = Writer()
    reflector, _ = make(writer)
    await reflector.apply(Listed(named(MANY)))
    store = writer.reader()
    seen: list[tuple[int, ...]] = []
    task = asyncio.create_task(reflector.apply(Listed(named(MANY // 2, version=2))))
    while not task.done():
        versions = {obj.resource_version for obj in store.list()}
        seen.append((len(store.list()), *map(int, versions)))
        await asyncio.sleep(0)
    assert len(seen) > MANY // SLICE
    assert set(seen) == {(MANY, 1), (MANY // 2, 2)}


async def test_others_run_even_if_nothing_has_changed():
    writer = Writer()
    reflector, heard = make(writer)
    await reflector.apply(Listed(named(MANY)))
    heard.seen.clear()
    # the new list is filled, the old one is looked through, the new one is compared
    assert await turns_during(reflector, Listed(named(MANY))) >= 3 * MANY // SLICE
    assert heard.seen == []


async def test_the_handler_hears_deletes_first_and_only_when_the_store_is_new():
    writer = Writer()
    reflector, heard = make(writer)
    await reflector.apply(Listed(named(MANY)))
    heard.seen.clear()
    heard.sizes.clear()
    await reflector.apply(Listed(named(SLICE, version=2)))
    kinds = [text.split()[0] for text in heard.seen]
    assert kinds == ["delete"] * (MANY - SLICE) + ["update"] * SLICE
    assert heard.sizes == {SLICE}


async def test_the_changes_of_one_read_are_one_step():
    writer = Writer()
    reflector, heard = make(writer)
    await reflector.apply(Listed([]))
    events = [WatchEvent("ADDED", obj) for obj in named(MANY)]
    assert await turns_during(reflector, Changed(events)) <= 2
    assert len(heard.seen) == MANY


async def test_changes_wait_until_everybody_was_told_of_a_list():
    """Two namespaces are followed at the same time, by the same handlers."""
    gate = asyncio.Lock()
    writer = Writer("widgets", ["ns", "other"])
    heard = Heard(writer)
    listing, changing = (
        Reflector(writer, told(heard), scope=scope, on_listed=lambda: None, gate=gate)
        for scope in ("ns", "other")
    )
    await changing.apply(Listed([]))
    first = asyncio.create_task(listing.apply(Listed(named(MANY))))
    while not heard.seen:
        await asyncio.sleep(0)
    await changing.apply(Changed([WatchEvent("ADDED", kube("x", namespace="other"))]))
    assert heard.seen[-1] == "add x"
    assert len(heard.seen) == MANY + 1
    await first


async def test_the_same_state_once_more_is_told_to_nobody():
    writer = Writer()
    reflector, heard = make(writer)
    await reflector.apply(Listed([kube("a", 5)]))
    await reflector.apply(Changed([WatchEvent("MODIFIED", kube("a", 5))]))
    await reflector.apply(Listed([kube("a", 5)]))
    assert heard.seen == ["initial a"]


async def test_an_index_that_is_added_while_a_list_is_taken_over_holds_all_of_it():
    writer = Writer()
    reflector, _ = make(writer)
    await reflector.apply(Listed(named(3)))
    task = asyncio.create_task(reflector.apply(Listed(named(MANY))))
    await settle(2)
    assert not task.done()
    writer.add_index("first letter", lambda obj: [obj.name[0]])
    store = writer.reader()
    assert len(store.by_index("first letter", "n")) == 3
    await task
    assert len(store.by_index("first letter", "n")) == MANY


async def test_the_collector_sees_no_object_for_each_that_is_cached():
    def tracked() -> int:
        gc.collect()
        return len(gc.get_objects())

    writer = Writer()
    writer.add_index("letter", lambda obj: [obj.name[0]])
    reflector = Reflector(writer, told(Silent()), on_listed=lambda: None)
    objects = named(5000)
    before = tracked()
    await reflector.apply(Listed(objects))
    assert tracked() - before < 100


class Silent:
    """A handler that keeps nothing."""

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        self.last = obj.name

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        self.last = new.name

    def on_delete(self, obj: KubeObject) -> None:
        self.last = obj.name


async def test_no_slice_of_a_long_relist_holds_the_loop_for_long():
    """By processor time, and compared with the whole of it: the machine may be busy."""
    writer = Writer()
    writer.add_index("size", lambda obj: [str(obj.decode()["spec"]["size"])])
    reflector = Reflector(writer, told(Silent()), on_listed=lambda: None)
    await reflector.apply(Listed(named(30_000)))
    task = asyncio.create_task(reflector.apply(Listed(named(30_000, version=2))))
    longest, began = 0.0, time.thread_time()
    begun = began
    while not task.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, begun = max(longest, now - begun), now
    assert longest < (time.thread_time() - began) / 5


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (2, [2]), (3, [3]), (7, [3, 3, 1])])
def test_slices_are_full_but_for_the_last(count, sizes):
    assert [len(part) for part in slices(range(count), 3)] == sizes
    assert [item for part in slices(range(count), 3) for item in part] == [*range(count)]
