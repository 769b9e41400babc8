"""Skips a test whose far end is missing here, or fails it where everything must be there.

A developer's machine may lack Go, Maven or root, and the tests that need them skip with a plain
reason. In CI a skip would hide a hole: ``REQUIRE_TESTENV=1`` turns each of them into a failure.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRE_ALL = "REQUIRE_TESTENV"


def require(condition: object, reason: str) -> None:
    """Go on if ``condition`` is true; otherwise skip, or fail under ``REQUIRE_TESTENV=1``."""
    if not condition:
        missing(reason)


def missing(reason: str) -> NoReturn:
    """Skip because of ``reason``, or fail under ``REQUIRE_TESTENV=1``."""
    if os.environ.get(REQUIRE_ALL, "") not in ("", "0"):
        pytest.fail(f"{reason} ({REQUIRE_ALL} is set, so this is a failure)", pytrace=False)
    pytest.skip(reason)
