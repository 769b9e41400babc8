"""Conditions: nothing changes but what is said to change."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from hybridpg.controller._clock import wall_time
from hybridpg.controller.conditions import (
    Status,
    find_condition,
    remove_condition,
    set_condition,
    timestamp,
)
from hybridpg.controller.types import JsonObject

NOON = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def ready(
    conditions: list[JsonObject], status: Status = "True", *, now: datetime = NOON, **changes: Any
) -> list[JsonObject]:
    options = {"reason": "Available", "message": "all is well", "observed_generation": 1, **changes}
    return set_condition(conditions, "Ready", status, now=lambda: now, **options)


def test_a_new_condition_is_complete():
    assert ready([]) == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Available",
            "message": "all is well",
            "lastTransitionTime": "2026-01-01T12:00:00Z",
            "observedGeneration": 1,
        }
    ]


def test_the_transition_time_moves_with_the_status():
    changed = ready(ready([]), "False", now=LATER)
    assert changed[0]["lastTransitionTime"] == "2026-01-01T13:00:00Z"


@pytest.mark.parametrize(
    "change", [{"reason": "Other"}, {"message": "other"}, {"observed_generation": 2}]
)
def test_the_transition_time_stays_while_anything_else_changes(change):
    changed = ready(ready([]), now=LATER, **change)
    assert changed[0]["lastTransitionTime"] == "2026-01-01T12:00:00Z"
    assert changed != ready([])


def test_the_same_again_is_equal_so_that_no_write_is_needed():
    assert ready(ready([]), now=LATER) == ready([])


def test_the_input_is_not_changed():
    before = [*ready([]), {"type": "Other", "status": "True"}]
    frozen = copy.deepcopy(before)
    ready(before, "False", now=LATER)
    remove_condition(before, "Ready")
    assert before == frozen


def test_a_condition_keeps_its_place_and_a_new_one_goes_to_the_end():
    conditions = [{"type": "First", "status": "True"}, *ready([]), {"type": "Last"}]
    assert [each["type"] for each in ready(conditions, "False")] == ["First", "Ready", "Last"]
    assert [each["type"] for each in ready(conditions[:1])] == ["First", "Ready"]


def test_a_condition_without_a_transition_time_gets_one():
    assert ready([{"type": "Ready", "status": "True"}])[0]["lastTransitionTime"]


def test_a_generation_that_is_not_given_is_not_written():
    assert "observedGeneration" not in ready([], observed_generation=None)[0]


def test_a_message_is_cut_where_the_schema_ends():
    assert len(ready([], message="x" * 40_000)[0]["message"]) == 32768


def test_conditions_are_found_and_removed_by_type():
    conditions = [*ready([]), {"type": "Stalled", "status": "True"}]
    assert find_condition(conditions, "Stalled") == {"type": "Stalled", "status": "True"}
    assert find_condition(conditions, "Paused") is None
    assert remove_condition(conditions, "Ready") == [{"type": "Stalled", "status": "True"}]
    assert remove_condition(conditions, "Paused") == conditions


def test_times_are_written_in_utc():
    tokyo = datetime(2026, 1, 1, 9, 0, tzinfo=timezone(timedelta(hours=9)))
    assert timestamp(tokyo) == "2026-01-01T00:00:00Z"
    assert timestamp(wall_time()).endswith("Z")
