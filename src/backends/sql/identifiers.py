"""Which names databases and roles may have, and how encodings and locales compare.

Quoting is the business of ``psycopg.sql``; here is decided what may be quoted at all. Names are
never cut: PostgreSQL does so silently, and two objects would share one database.
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import Rejected

NAME_LIMIT: Final = 63
"""Bytes of a PostgreSQL identifier (NAMEDATALEN - 1)."""
HEIR_PREFIX: Final = "hybridpg_left_"
"""How the names of roles begin that were made for what a dropped role owned elsewhere."""
_RESERVED: Final = frozenset(
    # "public" and "none" are refused by CREATE ROLE even in quotes
    {"postgres", "template0", "template1", "admin", "public", "none", "azuresu"}
)
_RESERVED_PREFIXES: Final = ("pg_", "rds", "azure_", "cloudsql", "alloydb", HEIR_PREFIX)
_ENCODING_ALIASES: Final = {"unicode": "utf8", "88591": "latin1", "iso88591": "latin1"}


def check_name(name: str) -> str:
    """Return ``name`` if a database and its role may have it; raises ``Rejected``."""
    lower = name.lower()
    if not name or "\0" in name:
        raise Rejected("database.name", "the name is empty or holds a NUL character")
    if lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
        raise Rejected(
            "database.name", f"{name!r} is reserved for the server itself: choose another name"
        )
    size = len(name.encode())
    if size > NAME_LIMIT:
        raise Rejected(
            "database.name", f"{name!r} has {size} bytes: choose a name of at most {NAME_LIMIT}"
        )
    return name


def encoding_key(name: str) -> str:
    """Return the form in which two names of one encoding are equal, as PostgreSQL compares."""
    key = re.sub(r"[^a-z0-9]", "", name.lower())
    return _ENCODING_ALIASES.get(key, key)


def locale_key(name: str) -> tuple[str, str]:
    """Return language and territory, and the encoding or an empty string, for comparison.

    ``de-DE``, ``de_DE`` and ``de_DE.UTF-8`` agree in the first; an empty second agrees with all.
    """
    base, _, encoding = name.partition(".")
    modifier = ""
    if "@" in encoding:
        encoding, _, modifier = encoding.partition("@")
    base = base.lower().replace("-", "_")
    return (f"{base}@{modifier}" if modifier else base), encoding_key(encoding)


def same_locale(wanted: str, present: str) -> bool:
    """Return whether a locale that a user wrote is the one that a database has."""
    if wanted == present:
        return True
    (base, encoding), (other, other_encoding) = locale_key(wanted), locale_key(present)
    if {base, other} <= {"c", "posix"}:
        return encoding == other_encoding  # two names of one locale; C.UTF-8 is another
    return base == other and (not encoding or not other_encoding or encoding == other_encoding)
