"""What a server offers to a new database: extensions and locales.

Both come from the server's files and change with its packages, so they are read once and kept for
a while, unlike the catalogs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from ..errors import Rejected
from .connection import Session, statements
from .identifiers import encoding_key, locale_key, same_locale

_EXTENSIONS: Final = sql.SQL("""
SELECT v.name::text, v.schema::text, v.requires::text[]
FROM pg_catalog.pg_available_extension_versions() v
JOIN pg_catalog.pg_available_extensions() e ON e.name = v.name AND e.default_version = v.version
""")
# collations that initdb found; those of the server's own have the encoding -1 and serve any
_LOCALES: Final = sql.SQL("""
SELECT DISTINCT j.row ->> 'collprovider',
       COALESCE(j.row ->> 'colllocale', j.row ->> 'colliculocale', j.row ->> 'collcollate')
FROM pg_catalog.pg_collation c CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(c) AS row) j
WHERE c.collprovider IN ('c', 'i')
""")
_ICU_SINCE: Final = 150000
"""The first version whose databases may have an ICU locale."""
_HINT_LIMIT: Final = 20
"""Locales named in a message: a server may know hundreds."""


@dataclass(frozen=True, slots=True)
class ExtensionOffer:
    """An extension that can be created; ``schema`` where it insists on one."""

    name: str
    schema: str | None
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Locale:
    """A locale for a database, of libc (``c``) or ICU (``i``)."""

    provider: str
    name: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Extensions by name, and the locales of libc and ICU."""

    version: int
    extensions: Mapping[str, ExtensionOffer]
    libc: frozenset[str]
    icu: frozenset[str]

    def locale(self, wanted: str, charset: str) -> Locale:
        """Return the locale that a user means by ``wanted`` (``de-DE``, ``de_DE.utf8``).

        libc comes first, because it is the provider of every version; ICU where libc has nothing
        of that name and the server may use ICU for a database. A name that is not known but looks
        like one of libc is passed on: the system may have got it since initdb.
        """
        if wanted in self.libc:
            return Locale("c", wanted)
        encoding = encoding_key(charset) if charset else "utf8"
        for name in sorted(self.libc):
            if same_locale(wanted, name) and locale_key(name)[1] in ("", encoding):
                return Locale("c", name)
        if self.version >= _ICU_SINCE:
            for name in sorted(self.icu):
                if "." not in wanted and same_locale(wanted, name):
                    return Locale("i", name)
        if "." in wanted and "-" not in wanted.partition(".")[0]:
            return Locale("c", wanted)
        raise Rejected("database.collation", f"{self.no_locale(wanted)}")

    def no_locale(self, wanted: str) -> str:
        """Say that the server has no such locale, and what it has."""
        known = sorted(self.libc)
        more = f" and {len(known) - _HINT_LIMIT} more" if len(known) > _HINT_LIMIT else ""
        names = ", ".join(known[:_HINT_LIMIT])
        return f"the server has no locale {wanted!r}: use one of {names}{more}"

    def ordered(self, names: Iterable[str]) -> tuple[ExtensionOffer, ...]:
        """Return what is to be created, each after what it requires among ``names``."""
        wanted = set(names)
        result: dict[str, ExtensionOffer] = {}

        def add(name: str) -> None:
            if name in wanted and name not in result and name in self.extensions:
                wanted.discard(name)
                for required in self.extensions[name].requires:
                    add(required)
                result[name] = self.extensions[name]

        for name in sorted(names):
            add(name)
        return tuple(result.values())


async def read_offer(session: Session) -> Offer:
    """Read what the server offers, in one round trip."""
    extensions, locales = await session.execute(
        statements([_EXTENSIONS, _LOCALES]), doing="cannot read what the server offers"
    )
    return Offer(
        version=session.version,
        extensions={
            name: ExtensionOffer(name, schema, tuple(requires or ()))
            for name, schema, requires in extensions
        },
        libc=frozenset(name for provider, name in locales if provider == "c" and name),
        icu=frozenset(name for provider, name in locales if provider == "i" and name),
    )
