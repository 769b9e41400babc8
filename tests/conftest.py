"""Loads the fixture plugins, ``tests/fix_*.py``, and what all tests share without asking."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies

pytest_plugins = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("fix_*.py"))

# marked all at once: a plugin may import another one before pytest comes to load that
pytest.register_assert_rewrite(
    *pytest_plugins,
    "tests.integration.controller.fault_bench",
    "tests.integration.kill_witnesses",
)


@pytest.fixture(scope="session", autouse=True)
def _table_of_characters() -> None:
    """Have Hypothesis make its table of characters, which takes seconds in a fresh clone.

    Else the first test that draws a text would be taken for a slow one.
    """
    strategies.text().validate()
