"""The status draft: nothing changed, nothing written; what users read is consistent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hybridpg.app.kinds import DATABASES
from hybridpg.app.reasons import MEANING, Condition, Reason
from hybridpg.app.status import StatusDraft
from hybridpg.app.subject import Subject

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


class Sink:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def event(self, about: object, type_: str, reason: str, message: str) -> None:
        self.events.append((type_, reason, message))


class Server:
    """The far end: takes status patches and counts them."""

    def __init__(self, obj: dict[str, Any]) -> None:
        self.obj = obj
        self.patches: list[dict[str, Any]] = []

    async def patch(self, resource: object, key: object, patch: Any, *, subresource: str) -> Any:
        assert subresource == "status"
        self.patches.append(patch.body)
        version = int(self.obj["metadata"]["resourceVersion"]) + 1
        metadata = {**self.obj["metadata"], "resourceVersion": str(version)}
        status = apply_merge_patch(self.obj.get("status") or {}, patch.body["status"])
        self.obj = {**self.obj, "metadata": metadata, "status": status}
        return self.obj


def apply_merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, by the letter."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), value)
    return result


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    metadata = {"namespace": "team", "name": "app", "uid": "u", "resourceVersion": "7"}
    return Server({"metadata": {**metadata, "generation": 3}, "spec": {}, "status": None})


@pytest.fixture
def draft_of(clock: Clock) -> Callable[[Server], StatusDraft]:
    return lambda server: StatusDraft(Subject(DATABASES, server.obj), clock)


async def test_a_converged_object_costs_no_write(server, draft_of, clock):
    """D19, D81: and no time stamp makes a difference."""
    draft = draft_of(server)
    draft.ready("usable")
    await draft.write(server)
    clock.time += timedelta(days=1)
    again = draft_of(server)
    again.ready("usable")
    await again.write(server)
    assert len(server.patches) == 1


async def test_a_write_names_the_version_that_was_read(server, draft_of):
    draft = draft_of(server)
    draft.ready("usable")
    await draft.write(server)
    assert server.patches[0]["metadata"] == {"resourceVersion": "7"}


async def test_a_second_write_of_the_same_pass_builds_on_the_first(server, draft_of):
    draft = draft_of(server)
    draft.set("backend", "local")
    await draft.write(server)
    draft.set("externalName", "app")
    await draft.write(server)
    assert server.patches[1] == {
        "metadata": {"resourceVersion": "8"},
        "status": {"externalName": "app"},
    }


async def test_the_status_says_which_generation_it_is_about(server, draft_of):
    draft = draft_of(server)
    draft.ready("usable")
    await draft.write(server)
    assert server.obj["status"]["observedGeneration"] == 3
    assert server.obj["status"]["conditions"][0]["observedGeneration"] == 3


async def test_ready_moves_its_time_only_when_it_flips(server, draft_of, clock):
    draft = draft_of(server)
    draft.ready("usable")
    await draft.write(server)
    clock.time += timedelta(hours=1)
    draft = draft_of(server)
    draft.ready("usable, and renamed")
    await draft.write(server)
    condition = server.obj["status"]["conditions"][0]
    assert condition["message"] == "usable, and renamed"
    assert condition["lastTransitionTime"] == "2026-01-01T12:00:00Z"


def types(server: Server) -> set[str]:
    return {c["type"] for c in server.obj["status"]["conditions"]}


async def test_reconciling_and_stalled_are_there_only_while_true(server, draft_of):
    draft = draft_of(server)
    draft.progressing(Reason.CREATING, "being made")
    await draft.write(server)
    assert types(server) == {"Ready", "Reconciling"}
    draft = draft_of(server)
    draft.failed(Reason.CONFLICT, "taken", stalled=True)
    await draft.write(server)
    assert types(server) == {"Ready", "Stalled"}
    draft = draft_of(server)
    draft.ready("usable")
    await draft.write(server)
    assert types(server) == {"Ready"}


async def test_progress_of_a_usable_object_leaves_ready_untouched(server, draft_of):
    draft = draft_of(server)
    draft.ready("usable")
    draft.progressing(Reason.PASSWORD_RESET, "under way", ready=True)
    assert draft.met(Condition.READY)
    assert draft.met(Condition.RECONCILING)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        pytest.param(lambda d: d.ready("usable"), "finished", id="ready"),
        pytest.param(lambda d: d.progressing(Reason.CREATING, "m"), "working", id="working"),
        pytest.param(lambda d: d.failed(Reason.DENIED, "m", stalled=True), "failed", id="stalled"),
    ],
)
async def test_the_predecessors_deployment_state_is_kept(server, draft_of, change, state):
    """S17."""
    draft = draft_of(server)
    change(draft)
    await draft.write(server)
    deployment = server.obj["status"]["deployment"]
    assert deployment["status"] == state
    assert deployment["latest-update"] == "2026-01-01T12:00:00Z"
    assert bool(deployment["reason"]) == (state != "finished")


def test_a_transition_is_one_event_and_no_change_is_none(server, draft_of):
    sink = Sink()
    draft = draft_of(server)
    draft.progressing(Reason.CREATING, "being made")
    draft.announce(sink)
    draft.progressing(Reason.CREATING, "still being made")
    draft.announce(sink)
    draft.ready("usable")
    draft.announce(sink)
    assert sink.events == [("Normal", "Creating", "being made"), ("Normal", "Available", "usable")]


def test_a_failure_is_a_warning(server, draft_of):
    """D45."""
    sink = Sink()
    draft = draft_of(server)
    draft.failed(Reason.SECRET_CONFLICT, "foreign", stalled=True)
    draft.announce(sink)
    assert sink.events == [("Warning", "SecretConflict", "foreign")]


def test_a_note_that_warns_is_a_warning(server, draft_of):
    """D45."""
    sink = Sink()
    draft = draft_of(server)
    draft.note("UnsupportedFields", "not supported here: size", warning=True)
    draft.announce(sink)
    assert sink.events == [("Warning", "UnsupportedFields", "not supported here: size")]


def test_notes_are_told_once(server, draft_of):
    sink = Sink()
    draft = draft_of(server)
    draft.note("Retained", "stays")
    draft.announce(sink)
    draft.announce(sink)
    assert sink.events == [("Normal", "Retained", "stays")]


def test_being_in_sync_is_not_news_and_falling_out_of_it_is(server, draft_of):
    sink = Sink()
    draft = draft_of(server)
    draft.condition(Condition.SYNCED, True, Reason.AVAILABLE, "as asked")
    draft.announce(sink)
    draft.condition(Condition.SYNCED, False, Reason.INVALID_SPEC, "cannot shrink")
    draft.announce(sink)
    assert sink.events == [("Warning", "InvalidSpec", "cannot shrink")]


def test_an_empty_list_is_removed_rather_than_stored(server, draft_of):
    draft = draft_of(server)
    draft.set("unsupportedFields", ["backup"])
    draft.set("unsupportedFields", [])
    assert draft.get("unsupportedFields") is None


def test_every_reason_says_what_it_means():
    assert set(MEANING) == set(Reason)
    assert all(text.endswith(".") for text in MEANING.values())
