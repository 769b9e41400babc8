"""Loads the fixture plugins; the fixtures themselves are in ``tests/fix_*.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("fix_*.py"))

# marked all at once: a plugin may import another one before pytest comes to load that
pytest.register_assert_rewrite(
    *pytest_plugins,
    "tests.integration.controller.fault_bench",
    "tests.integration.kill_witnesses",
)
