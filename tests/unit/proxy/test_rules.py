"""The identity of calls and which of them a rule strikes."""

from __future__ import annotations

import pytest
from tests.proxy.rules import WRITES, Answer, Call, Identities, Lose, Rule

WIDGETS = "/apis/example.org/v1/namespaces/ns/widgets"


@pytest.mark.parametrize(
    ("method", "path", "query", "verb"),
    [
        ("GET", "/api/v1/configmaps", {}, "LIST"),
        ("GET", "/api/v1/namespaces", {}, "LIST"),
        ("GET", "/api/v1/namespaces/ns", {}, "GET"),
        ("GET", "/api/v1/namespaces/ns/configmaps", {}, "LIST"),
        ("GET", "/api/v1/namespaces/ns/configmaps/a", {}, "GET"),
        ("GET", WIDGETS, {}, "LIST"),
        ("GET", WIDGETS, {"watch": "true"}, "WATCH"),
        ("GET", WIDGETS, {"watch": "1"}, "WATCH"),
        ("GET", WIDGETS, {"watch": "true", "sendInitialEvents": "true"}, "WATCHLIST"),
        ("GET", f"{WIDGETS}/a/status", {}, "GET"),
        ("GET", "/apis", {}, "GET"),
        ("GET", "/apis/example.org/v1", {}, "GET"),
        ("PATCH", f"{WIDGETS}/a/status", {}, "PATCH"),
    ],
)
def test_the_verb_of_a_call_tells_lists_and_watches_from_other_reads(method, path, query, verb):
    assert Identities({}).of(method, path, query) == Call(verb, path, 1)


def test_calls_of_one_verb_and_target_are_counted():
    calls = Identities({})

    made = [calls.of(*each, {}) for each in [("PUT", "/a"), ("PUT", "/b"), ("GET", "/a")] * 2]

    assert [call.occurrence for call in made] == [1, 1, 1, 2, 2, 2]
    assert str(made[3]) == "PUT /a #2"


def test_what_differs_from_run_to_run_is_no_part_of_a_target():
    calls = Identities({"test-4f1b": "NS"})

    first = calls.of("POST", "/api/v1/namespaces/test-4f1b/events/one.17f3a9b2c4d5e6f7", {})
    second = calls.of("POST", "/api/v1/namespaces/test-4f1b/events/one.17f3a9b2c4d5e6f8", {})

    assert first.target == second.target == "/api/v1/namespaces/NS/events/one.*"
    assert (first.occurrence, second.occurrence) == (1, 2)


@pytest.mark.parametrize("verb", WRITES)
def test_writes_are_told_from_reads_and_those_of_events_from_others(verb):
    assert Call(verb, WIDGETS, 1).writes
    assert not Call("WATCH", WIDGETS, 1).writes
    assert Call(verb, "/apis/events.k8s.io/v1/namespaces/ns/events", 1).of_event
    assert not Call(verb, WIDGETS, 1).of_event


def taken(rule: Rule, *calls: tuple[str, str]) -> list[bool]:
    return [rule.takes(Call(verb, target, 1), {}) for verb, target in calls]


def test_a_rule_lets_some_calls_pass_then_takes_so_many():
    rule = Rule(Answer(500), skip=1, times=2)

    assert taken(rule, *[("GET", "/a")] * 5) == [False, True, True, False, False]


def test_only_calls_that_match_are_counted():
    rule = Rule(Lose(), verbs=WRITES, target="*/widgets/*", unless="*/status", skip=1)
    calls = [
        ("PUT", f"{WIDGETS}/a"),
        ("GET", f"{WIDGETS}/a"),
        ("PUT", f"{WIDGETS}/a/status"),
        ("PUT", "/api/v1/nodes/a"),
        ("PATCH", f"{WIDGETS}/b"),
    ]

    assert taken(rule, *calls) == [False, False, False, False, True]


def test_a_rule_can_be_for_a_query():
    rule = Rule(Answer(410), query={"resourceVersion": "7"})
    call = Call("WATCH", WIDGETS, 1)

    assert not rule.takes(call, {})
    assert not rule.takes(call, {"resourceVersion": "8"})
    assert rule.takes(call, {"resourceVersion": "7", "watch": "true"})


def test_a_rule_says_when_it_struck():
    rule = Rule(Answer(500))

    assert rule.takes(Call("GET", "/a", 1), {})
    assert not rule.struck.is_set()
    rule.strike()
    assert rule.struck.is_set()
    assert rule.hits == 1
