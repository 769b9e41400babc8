"""References: recorded names are kept, marks name cluster and UID, adoption names the thing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hybridpg.app.kinds import ADOPT, DATABASES, SERVERS
from hybridpg.app.references import database_ref, server_ref
from hybridpg.app.runtime import ServerDirectory, ServerEntry
from hybridpg.app.status import StatusDraft
from hybridpg.app.subject import Subject
from hybridpg.backends import Endpoint, Owner, ServerRef
from hybridpg.controller import ObjectKey, Resource

from .memory import MemoryBackend, MemoryTarget

BACKEND = MemoryBackend(MemoryTarget())
SERVER = ServerEntry(
    ServerRef(Owner("c", "s", "team", "pg"), "team-pg"), "memory", Endpoint("h", 1)
)
KEY = ObjectKey("team", "pg")


def draft(kind: Resource, name: str = "foo-bar", **parts: Any) -> StatusDraft:
    metadata = {"namespace": "team", "name": name, "uid": "u", "resourceVersion": "1"}
    metadata["annotations"] = parts.pop("annotations", {})
    return StatusDraft(Subject(kind, {"metadata": metadata, **parts}), lambda: datetime.now(UTC))


def test_a_server_is_named_by_the_pattern_of_its_backend():
    ref = server_ref(draft(SERVERS), BACKEND, "c")
    assert ref.external_name == "team-foo-bar"
    assert ref.owner == Owner("c", "u", "team", "foo-bar")


def test_a_recorded_name_is_kept_whatever_the_pattern_says_now():
    recorded = draft(SERVERS, status={"externalName": "as-it-was"})
    assert server_ref(recorded, BACKEND, "c").external_name == "as-it-was"
    recorded = draft(DATABASES, status={"externalName": "old_name"})
    assert database_ref(recorded, SERVER, "c").external_name == "old_name"


def test_options_of_the_object_reach_the_backend():
    ref = server_ref(draft(SERVERS, spec={"backendOptions": {"server": "x"}}), BACKEND, "c")
    assert ref.options == {"server": "x"}


@pytest.mark.parametrize(("bound", "recorded"), [("memory", {"site": "x"}), ("other", {})])
def test_what_a_backend_said_of_a_server_reaches_that_backend_only(
    bound: str, recorded: dict[str, str]
):
    """Another one would take it for something of its own."""
    status = {"backend": bound, "externalName": "n", "effective": {"site": "x"}}
    assert server_ref(draft(SERVERS, status=status), BACKEND, "c").recorded == recorded


@pytest.mark.parametrize(
    ("named", "adopts"), [("foo_bar", True), ("foo-bar", False), ("", False), ("*", False)]
)
def test_adoption_names_the_external_thing_exactly(named: str, adopts: bool):
    ref = database_ref(draft(DATABASES, annotations={ADOPT: named}), SERVER, "c")
    assert ref.adopt is adopts


def test_a_database_knows_its_server():
    ref = database_ref(draft(DATABASES), SERVER, "c")
    assert ref.server == SERVER.ref
    assert ref.endpoint == SERVER.endpoint
    assert ref.external_name == "foo_bar"


def test_the_directory_tells_when_a_server_appears_changes_and_goes():
    directory = ServerDirectory()
    told: list[ObjectKey] = []
    directory.subscribe(told.append)
    directory.publish(KEY, SERVER)
    directory.publish(KEY, SERVER)
    assert told == [KEY]
    directory.withdraw(KEY)
    directory.withdraw(KEY)
    assert told == [KEY, KEY]
    assert directory.get(KEY) is None


def test_doubt_tells_once_and_takes_nothing_away():
    directory = ServerDirectory()
    told: list[ObjectKey] = []
    directory.subscribe(told.append)
    assert not directory.seen(KEY)
    directory.doubt(KEY)
    directory.doubt(KEY)
    assert told == [KEY]
    assert directory.seen(KEY)
    directory.publish(KEY, SERVER)
    directory.doubt(KEY)
    assert directory.get(KEY) == SERVER
    assert told == [KEY, KEY]


@pytest.mark.parametrize(
    "owner",
    [Owner("c", "u", "team", "pg"), Owner("c-1", "u-2", "team", "a.b", retained=True)],
    ids=["live", "retained"],
)
def test_a_mark_is_read_as_it_was_written(owner: Owner):
    assert Owner.parse(owner.mark()) == owner


@pytest.mark.parametrize(
    "text",
    [None, "", "hybridpg:c/u", "hybridpg:c team/pg", "hybridpg:c/u team", "x hybridpg:c/u team/pg",
     "hybridpg:c/u team/pg forged", "hybridpg:c/u/x team/pg", "hybridpg:/u team/pg"],
)  # fmt: skip
def test_what_is_no_mark_of_ours_names_nobody(text: str | None):
    assert Owner.parse(text) is None


def test_a_retained_thing_is_nobodys():
    owner = Owner("c", "u", "team", "pg")
    assert owner.same(Owner("c", "u", "elsewhere", "renamed"))
    assert not owner.same(Owner("c", "u", "team", "pg", retained=True))
    assert not owner.same(Owner("other", "u", "team", "pg"))
    assert not owner.same(Owner("c", "recreated", "team", "pg"))
    assert not owner.same(None)
