"""The cache: complete or not readable, swapped at once, and indexed without leftovers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.controller.scripted import kube

from hybridpg.controller.errors import ControllerError, NotSynced
from hybridpg.controller.indexer import Index
from hybridpg.controller.predicates import Event
from hybridpg.controller.store import Writer
from hybridpg.controller.types import KubeObject, ObjectKey

T = TypeVar("T")

A, B = ObjectKey("ns", "a"), ObjectKey("ns", "b")


def by_size(found: KubeObject) -> list[str]:
    return [str(found.decode()["spec"]["size"])]


def flat(parts: Iterable[list[T]]) -> list[T]:
    return [item for part in parts for item in part]


def filled(*objects: KubeObject) -> Writer:
    writer = Writer("widgets")
    writer.replace(objects)
    return writer


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda store: store.get(A), id="get"),
        pytest.param(lambda store: store.list(), id="list"),
        pytest.param(lambda store: store.by_index("size", "1"), id="by_index"),
    ],
)
def test_nothing_can_be_read_before_the_first_list_is_complete(read):
    writer = Writer("widgets")
    writer.add_index("size", by_size)
    writer.put(kube("a"))
    store = writer.reader()
    assert not store.synced
    with pytest.raises(NotSynced, match="widgets"):
        read(store)
    writer.replace([])
    assert store.synced
    assert not read(store)


def test_a_store_of_several_namespaces_is_complete_when_each_was_listed():
    writer = Writer("widgets", ["one", "two"])
    store = writer.reader()
    writer.replace([kube("a", namespace="one")], "one")
    assert not store.synced
    writer.replace([], "two")
    assert [found.name for found in store.list()] == ["a"]


def test_put_returns_what_it_replaces_and_remove_what_it_takes():
    writer = filled()
    first, second = kube("a", 1), kube("a", 2)
    assert writer.put(first) is None
    assert writer.put(second) is first
    assert writer.reader().get(A) is second
    assert writer.remove(A) is second
    assert writer.remove(A) is None
    assert writer.reader().get(A) is None


def test_the_list_of_a_namespace_holds_that_namespace_only():
    store = filled(kube("a", namespace="one"), kube("b", namespace="two")).reader()
    assert [found.name for found in store.list("two")] == ["b"]
    assert store.list("three") == []
    assert len(store.list()) == 2


def test_cluster_scoped_objects_have_no_namespace():
    store = filled(kube("a", namespace="")).reader()
    assert store.get(ObjectKey("", "a")) is not None


def test_a_list_taken_is_not_changed_by_what_comes_later():
    writer = filled(kube("a"))
    before = writer.reader().list()
    writer.remove(A)
    assert [found.name for found in before] == ["a"]


def test_a_relist_says_what_is_gone_what_is_new_and_what_stayed():
    writer = filled(kube("a", 1), kube("b", 1))
    replaced = writer.replace([kube("b", 2), kube("c", 3)])
    gone, news = flat(replaced.gone()), flat(replaced.news())
    assert [found.name for found in gone] == ["a"]
    assert [(each.old and each.old.resource_version, each.object.name) for each in news] == [
        ("1", "b"),
        (None, "c"),
    ]


def test_a_relist_with_the_same_state_once_more_is_no_news():
    same, new = kube("a", 1), kube("b", 2)
    replaced = filled(kube("a", 1), kube("b", 1)).replace([same, new])
    assert flat(replaced.gone()) == []
    assert [each.new for each in flat(replaced.news())] == [new]


def test_the_events_of_a_first_list_say_that_they_are_initial():
    found = kube("a", 1)
    assert flat(Writer().replace([found]).news(initial=True)) == [Event(None, found, True)]


def test_the_same_name_with_another_uid_is_gone_and_new():
    old, new = kube("a", 1, uid="first"), kube("a", 2, uid="second")
    writer = filled(old)
    replaced = writer.replace([new])
    assert flat(replaced.gone()) == [old]
    assert flat(replaced.news()) == [Event(None, new)]
    assert writer.reader().get(A) is new


def test_a_relist_of_one_namespace_leaves_the_others_alone():
    writer = Writer("widgets", ["one", "two"])
    writer.replace([kube("a", namespace="one")], "one")
    writer.replace([kube("b", namespace="two")], "two")
    assert [found.name for found in flat(writer.replace([], "one").gone())] == ["a"]
    assert [found.name for found in writer.reader().list()] == ["b"]


def test_an_index_follows_puts_removes_and_relists():
    writer = filled(kube("a", spec={"size": 1}), kube("b", spec={"size": 2}))
    writer.add_index("size", by_size)
    store = writer.reader()

    def names(value: str) -> list[str]:
        return [found.name for found in store.by_index("size", value)]

    assert (names("1"), names("2")) == (["a"], ["b"])
    writer.put(kube("a", 2, spec={"size": 2}))
    assert (names("1"), names("2")) == ([], ["b", "a"])
    writer.remove(B)
    assert names("2") == ["a"]
    writer.replace([kube("c", spec={"size": 2})])
    assert names("2") == ["c"]


def test_an_index_may_give_an_object_many_values_or_none():
    writer = filled(kube("a", spec={"tags": ["x", "y", "x"]}), kube("b", spec={"tags": []}))
    writer.add_index("tag", lambda found: found.decode()["spec"]["tags"])
    store = writer.reader()
    assert [found.name for found in store.by_index("tag", "x")] == ["a"]
    assert [found.name for found in store.by_index("tag", "y")] == ["a"]
    assert store.by_index("tag", "z") == []


def test_an_index_that_fails_on_one_object_holds_all_others(caplog):
    writer = filled(kube("a", spec={}), kube("b", spec={"size": 1}))
    with caplog.at_level(logging.ERROR):
        writer.add_index("size", by_size)
    assert [found.name for found in writer.reader().by_index("size", "1")] == ["b"]
    assert "index size failed on ns/a" in caplog.text


def test_an_object_whose_index_function_fails_later_leaves_its_old_values():
    writer = filled(kube("a", spec={"size": 1}))
    writer.add_index("size", by_size)
    writer.put(kube("a", 2, spec={}))
    assert writer.reader().by_index("size", "1") == []


def test_unknown_and_doubled_indexes_are_errors():
    writer = filled()
    writer.add_index("size", by_size)
    with pytest.raises(ControllerError, match="has an index 'size' already"):
        writer.add_index("size", by_size)
    with pytest.raises(ControllerError, match="no index 'other'"):
        writer.reader().by_index("other", "x")


def test_values_without_objects_are_freed():
    index = Index("size", by_size)
    for number in range(100):
        index.put(kube("a", number, spec={"size": number}))
    index.remove(A)
    index.remove(A)
    assert index._objects == {}
    assert index._values == {}


def test_namespaces_without_objects_are_freed():
    writer = filled()
    for number in range(100):
        writer.put(kube("a", namespace=f"ns{number}"))
        writer.remove(ObjectKey(f"ns{number}", "a"))
    assert writer._state.shards[""].namespaces == {}


class StoreMachine(RuleBasedStateMachine):
    """Any order of writes against a plain dict."""

    scopes: tuple[str, ...] = ("",)
    namespaces = st.sampled_from(["one", "two"])
    names = st.sampled_from("abc")
    sizes = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.writer = Writer("widgets", self.scopes)
        for scope in self.scopes:
            self.writer.replace([], scope)
        self.writer.add_index("size", by_size)
        self.model: dict[ObjectKey, KubeObject] = {}
        self.version = 0

    def make(self, namespace: str, name: str, size: int) -> KubeObject:
        self.version += 1
        return kube(name, self.version, namespace=namespace, spec={"size": size})

    @rule(namespace=namespaces, name=names, size=sizes)
    def put(self, namespace: str, name: str, size: int) -> None:
        found = self.make(namespace, name, size)
        assert self.writer.put(found) is self.model.get(found.key)
        self.model[found.key] = found

    @rule(namespace=namespaces, name=names)
    def remove(self, namespace: str, name: str) -> None:
        key = ObjectKey(namespace, name)
        assert self.writer.remove(key) is self.model.pop(key, None)

    @rule(which=st.integers(0, 1), items=st.dictionaries(names, sizes))
    def replace(self, which: int, items: dict[str, int]) -> None:
        scope = self.scopes[which % len(self.scopes)]
        objects = [self.make(scope or "one", name, size) for name, size in items.items()]
        replaced = self.writer.replace(objects, scope)
        gone, news = flat(replaced.gone()), flat(replaced.news())
        kept = {key: old for key, old in self.model.items() if scope not in ("", key.namespace)}
        before = {key: old for key, old in self.model.items() if key not in kept}
        new = {found.key: found for found in objects}
        assert {found.key for found in gone} == before.keys() - new.keys()
        pairs = [(before.get(found.key), found) for found in objects]
        assert [(each.old, each.new) for each in news] == [
            (old, found)
            for old, found in pairs
            if old is None or old.resource_version != found.resource_version
        ]
        self.model = {**kept, **new}

    @invariant()
    def the_store_holds_what_the_dict_holds(self) -> None:
        store = self.writer.reader()
        assert {found.key: found for found in store.list()} == self.model
        assert len(self.writer) == len(self.model)
        for value in "012":
            indexed = {found.key for found in store.by_index("size", value)}
            assert indexed == {key for key, obj in self.model.items() if by_size(obj) == [value]}


class ScopedStoreMachine(StoreMachine):
    """The same where each namespace is listed by itself."""

    scopes = ("one", "two")


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestScopedStoreMachine = ScopedStoreMachine.TestCase
TestScopedStoreMachine.settings = TestStoreMachine.settings
