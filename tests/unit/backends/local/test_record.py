"""The record of a server: whole or not there, and never guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybridpg.backends import Owner, Unknown
from hybridpg.backends.local.layout import Home
from hybridpg.backends.local.record import Record, load, save

OWNER = Owner("cluster", "uid", "team", "orders")
RECORD = Record(OWNER.mark(), "team-orders", 54320, 16, settings={"work_mem": "8MB"})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(Home(tmp_path), RECORD)
    assert load(Home(tmp_path)) == RECORD
    assert RECORD.parsed_owner() == OWNER


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    save(Home(tmp_path), RECORD)
    assert (tmp_path / "server.json").stat().st_mode & 0o777 == 0o600


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert load(Home(tmp_path)) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"owner": 1}', '{"unknown": true}', "\x00"]
)
def test_rubbish_is_unknown_and_never_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    with pytest.raises(Unknown, match=r"server\.json"):
        load(Home(tmp_path))


def test_a_record_of_a_newer_version_is_not_misread(tmp_path: Path) -> None:
    save(Home(tmp_path), RECORD)
    content = json.loads((tmp_path / "server.json").read_text())
    (tmp_path / "server.json").write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(Unknown, match="newer version"):
        load(Home(tmp_path))


def test_a_forged_mark_names_nobody() -> None:
    assert Record("somebody", "x", 1, 16).parsed_owner() is None
