"""Defects that are planted into the controller of a child, to see that the harness finds them."""

from __future__ import annotations

from collections.abc import Callable

MUTANTS: dict[str, Callable[[], None]] = {}


def plant(name: str) -> None:
    """Make this process defective; an empty name leaves it as it is."""
    if name:
        MUTANTS[name]()
