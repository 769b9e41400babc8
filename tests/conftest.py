"""Loads the fixture plugins; the fixtures themselves are in ``tests/fix_*.py``."""

from __future__ import annotations

from pathlib import Path

pytest_plugins = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("fix_*.py"))
