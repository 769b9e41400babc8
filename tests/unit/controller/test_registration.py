"""Events are told in batches; what fails of one is that event and no other."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import pytest
from tests.unit.controller.scripted import kube

from hybridpg.controller._mapping import Mapping
from hybridpg.controller.predicates import Event
from hybridpg.controller.registration import Registration
from hybridpg.controller.types import ObjectKey
from hybridpg.controller.workqueue import LOW, NORMAL

NAMES = ("a", "b", "c", "d")
EVENTS = [Event(None, kube(name)) for name in NAMES]


class Calls:
    """A handler that is called for each event and fails on some."""

    def __init__(self, *bad: str) -> None:
        self.heard: list[str] = []
        self._bad = bad

    def on_add(self, obj, *, initial: bool) -> None:
        self._note(f"{'initial' if initial else 'add'} {obj.name}")

    def on_update(self, old, new) -> None:
        self._note(f"update {old.resource_version}->{new.resource_version} {new.name}")

    def on_delete(self, obj) -> None:
        self._note(f"delete {obj.name}")

    def _note(self, text: str) -> None:
        self.heard.append(text)
        if text[-1] in self._bad:
            raise RuntimeError(f"no {text}")


class Batches:
    """A listener that reads as much as it can and fails on some events."""

    def __init__(self, *bad: str) -> None:
        self.calls: list[list[str]] = []
        self.repeated: set[bool] = set()
        self._bad = bad

    def on_events(self, events: Iterator[Event], *, repeated: bool) -> None:
        self.repeated.add(repeated)
        read: list[str] = []
        self.calls.append(read)
        for event in events:
            read.append(event.object.name)
            if event.object.name in self._bad:
                raise RuntimeError("no")


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_handler_is_called_for_each_event_as_it_happened():
    handler = Calls()
    old, new = kube("a", 1), kube("a", 2)
    Registration(handler, "things", None).tell([Event(old, new), Event(new, None), EVENTS[1]])
    assert handler.heard == ["update 1->2 a", "delete a", "add b"]


def test_a_handler_is_told_of_the_first_list_as_that():
    handler = Calls()
    Registration(handler, "things", None).tell([Event(None, kube("a"), True)])
    assert handler.heard == ["initial a"]


@pytest.mark.parametrize("bad", ["a", "b", "d", "ab", "cd", "abcd"])
def test_an_event_that_fails_is_named_and_those_after_it_are_told(bad, caplog):
    handler = Calls(*bad)
    Registration(handler, "things", None).tell(EVENTS)
    assert handler.heard == [f"add {name}" for name in NAMES]
    named = [message.split()[5] for message in failures(caplog)]
    assert named == [f"ns/{name}" for name in bad]


@pytest.mark.parametrize(
    ("bad", "calls"),
    [
        ("", ["abcd"]),
        ("a", ["a", "bcd"]),
        ("b", ["ab", "cd"]),
        ("d", ["abcd"]),
        ("bc", ["ab", "c", "d"]),
    ],
)
def test_a_listener_goes_on_after_the_event_on_which_it_failed(bad, calls, caplog):
    listener = Batches(*bad)
    Registration(listener, "things", None).tell(EVENTS)
    assert ["".join(read) for read in listener.calls] == calls
    assert len(failures(caplog)) == len(bad)


@pytest.mark.parametrize("reads", [0, 1, 4])
def test_a_listener_that_fails_whatever_it_is_told_is_not_asked_for_ever(reads, caplog):
    class Broken:
        calls = 0

        def on_events(self, events: Iterator[Event], *, repeated: bool) -> None:
            self.calls += 1
            assert len(list(itertools.islice(events, reads))) <= len(EVENTS)
            raise RuntimeError("no")

    listener = Broken()
    Registration(listener, "things", None).tell(EVENTS)
    assert listener.calls == len(EVENTS) // max(1, reads)
    named = [message.split()[5] for message in failures(caplog)]
    assert named == [f"ns/{name}" for name in NAMES[max(1, reads) - 1 :: max(1, reads)]]


def test_a_listener_that_is_removed_and_fails_is_not_asked_again():
    class Leaving(Batches):
        def on_events(self, events: Iterator[Event], *, repeated: bool) -> None:
            registration.removed = True
            super().on_events(events, repeated=repeated)

    listener = Leaving("a")
    registration = Registration(listener, "things", None)
    registration.tell(EVENTS)
    assert listener.calls == [["a"]]


def test_a_listener_hears_whether_anything_has_happened():
    listener = Batches()
    registration = Registration(listener, "things", None)
    same = kube("a")
    registration.tell([Event(None, same, True)])
    assert listener.repeated == {True}
    registration.tell([Event(same, same)])
    assert listener.repeated == {True}
    registration.tell(EVENTS)
    assert listener.repeated == {True, False}


def test_a_listener_is_not_called_for_nothing_nor_once_it_is_removed():
    listener = Batches()
    registration = Registration(listener, "things", None)
    registration.tell([])
    registration.removed = True
    registration.tell(EVENTS)
    assert listener.calls == []


def test_a_handler_that_removes_itself_hears_no_more_of_the_same_read():
    class Once(Calls):
        def _note(self, text: str) -> None:
            super()._note(text)
            registration.removed = True

    handler = Once()
    registration = Registration(handler, "things", None)
    registration.tell(EVENTS)
    assert handler.heard == ["add a"]


def mapped(events: list[Event], handler, predicate=None) -> list[tuple[str, int]]:
    added: list[tuple[str, int]] = []
    mapping = Mapping(lambda key, priority: added.append((key.name, priority)), handler, predicate)
    Registration(mapping, "things", None).tell(events)
    return added


def test_keys_that_were_named_before_a_handler_fails_are_added(caplog):
    def handler(event: Event) -> Iterator[ObjectKey]:
        yield event.object.key
        if event.object.name == "b":
            raise KeyError("b")
        yield ObjectKey("", event.object.name.upper())

    added = [name for name, _ in mapped(EVENTS, handler)]
    assert added == ["a", "A", "b", "c", "C", "d", "D"]
    assert len(failures(caplog)) == 1


def test_what_a_predicate_drops_or_fails_on_is_not_added(caplog):
    def predicate(event: Event) -> bool:
        return event.object.name != "a" and bool(1 / (event.object.name != "b"))

    added = mapped(EVENTS, lambda event: [event.object.key], predicate)
    assert added == [("c", NORMAL), ("d", NORMAL)]
    assert len(failures(caplog)) == 1


def test_what_is_only_repeated_waits_behind_what_happens():
    same = kube("a")
    for events in ([Event(same, same)], [Event(None, same, True)]):
        assert mapped(events, lambda event: [event.object.key]) == [("a", LOW)]
