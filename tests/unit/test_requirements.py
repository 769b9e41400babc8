"""A missing far end skips on a laptop and fails where nothing may be missing."""

from __future__ import annotations

import pytest
from tests.requirements import REQUIRE_ALL, missing, require


@pytest.mark.parametrize("value", [None, "", "0"])
def test_a_missing_requirement_skips_with_its_reason(monkeypatch, value: str | None):
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    if value is not None:
        monkeypatch.setenv(REQUIRE_ALL, value)

    with pytest.raises(pytest.skip.Exception, match="no Maven"):
        require(False, "no Maven")
    with pytest.raises(pytest.skip.Exception, match="no Maven"):
        missing("no Maven")


def test_where_all_is_required_a_missing_requirement_fails(monkeypatch):
    monkeypatch.setenv(REQUIRE_ALL, "1")

    with pytest.raises(pytest.fail.Exception, match="no Maven"):
        require(None, "no Maven")


def test_a_requirement_that_is_met_changes_nothing(monkeypatch):
    monkeypatch.setenv(REQUIRE_ALL, "1")

    require("/usr/bin/mvn", "no Maven")
