"""The page about security: every threat has a row, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = dict(re.findall(r"^\| (M\d+) \|(.*)\|$", PAGE, re.MULTILINE))
THREATS = [f"M{number}" for number in range(1, 15)]


def test_every_threat_has_a_row():
    assert list(ROWS) == THREATS


@pytest.mark.parametrize("threat", THREATS)
def test_every_named_test_exists(threat):
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+?)_…)?`", ROWS[threat])
    assert named
    for file, prefix in named:
        (path,) = (ROOT / "tests").rglob(file)
        tests = re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
        assert [name for name in tests if name.startswith(prefix)], f"{file}::{prefix}"


@pytest.mark.parametrize("threat", THREATS)
def test_every_threat_is_attacked_with_a_tenants_rights(threat):
    attacks = re.findall(r"test_threats\w*\.py::test_(m\d+)_", ROWS[threat])
    assert threat.lower() in attacks
