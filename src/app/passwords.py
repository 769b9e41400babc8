"""Generated passwords: from the system's secure source, and valid on every backend."""

from __future__ import annotations

import secrets
import string
from typing import Final

from ..backends import Password

DEFAULT_LENGTH: Final = 32
"""190 bits with 65 characters; no target takes fewer than 41 characters (RDS)."""
_ALPHANUMERIC: Final = string.ascii_letters + string.digits
_SAFE_SPECIAL: Final = "-_."
"""Needs no quoting in a URL, YAML or a shell."""
_DOCUMENTED_SPECIAL: Final = "+-_.:<>?"
"""The set that the predecessor documents for ``special_characters: true``."""


def generate(length: int | None = None, *, special_characters: bool | None = None) -> Password:
    """Return a new password with every character class in it and a letter or digit in front.

    ``length`` None means the default of 32. ``special_characters`` True takes the documented
    set, False none, None the safe ones.
    """
    size = length or DEFAULT_LENGTH
    if size < 4:
        raise ValueError(f"a password of {size} characters cannot hold every character class")
    special = _specials(special_characters)
    while True:  # rejection keeps every allowed password equally likely; 2 rounds on average
        candidate = secrets.choice(_ALPHANUMERIC) + "".join(
            secrets.choice(_ALPHANUMERIC + special) for _ in range(size - 1)
        )
        if _has_every_class(candidate, special):
            return Password(candidate)


def _specials(wish: bool | None) -> str:
    if wish is None:
        return _SAFE_SPECIAL
    return _DOCUMENTED_SPECIAL if wish else ""


def _has_every_class(candidate: str, special: str) -> bool:
    classes = [string.ascii_lowercase, string.ascii_uppercase, string.digits, special]
    return all(any(c in group for c in candidate) for group in classes if group)
