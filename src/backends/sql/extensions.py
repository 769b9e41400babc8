"""Extensions, created in the database that asks for them.

An extension that is no longer listed stays: dropping it would drop the columns that use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg import errors as pg
from psycopg import sql

from ..errors import BackendError, Rejected
from .connection import Session
from .errors import is_duplicate, translate
from .offer import ExtensionOffer, Offer

FIELD: Final = "database.extensions"
_SCRIPT_ERRORS: Final = (
    pg.DuplicateObject,  # the tenant has something of the name of one of the extension's objects
    pg.DuplicateTable,
    pg.DuplicateFunction,
    pg.InvalidSchemaName,  # the tenant dropped the schema public
    pg.ObjectNotInPrerequisiteState,  # it wants to be loaded when the server starts
    pg.RaiseException,
)
"""What the script of an extension stumbles over, until somebody changes something."""
NOT_INSTALLED: Final = "the server does not have it installed"


async def create_extensions(
    session: Session, names: Sequence[str], offer: Offer
) -> dict[str, BackendError]:
    """Create extensions in the session's database, each after what it requires.

    All that can be created are; returns why the others were not, by name.
    """
    refusals: dict[str, BackendError] = {
        name: Rejected(FIELD, f"extension {name!r} is refused: {NOT_INSTALLED}")
        for name in names
        if name not in offer.extensions
    }
    for extension in offer.ordered(names):
        try:
            await session.attempt(_create(extension))
        except psycopg.Error as error:
            if is_duplicate(error) and await _is_there(session, extension.name):
                continue  # somebody else made it at the same time
            refusals[extension.name] = _refusal(error, extension)
            if not session.usable:
                break
    return refusals


def _create(extension: ExtensionOffer) -> sql.Composed:
    # the pinned search_path begins with pg_catalog, which is not where a tenant's extension goes
    schema = sql.SQL("") if extension.schema else sql.SQL(" SCHEMA public")
    return sql.SQL("CREATE EXTENSION IF NOT EXISTS {}{}").format(
        sql.Identifier(extension.name), schema
    )


async def _is_there(session: Session, name: str) -> bool:
    query = sql.SQL("SELECT 1 FROM pg_catalog.pg_extension WHERE extname = {}")
    rows = await session.execute(
        query.format(sql.Literal(name)), doing=f"cannot look for extension {name!r}"
    )
    return bool(rows[0])


def _refusal(error: psycopg.Error, extension: ExtensionOffer) -> BackendError:
    doing = f"extension {extension.name!r} is refused"
    if isinstance(error, pg.InsufficientPrivilege):
        return Rejected(FIELD, f"{doing}: the admin of the server may not create it")
    if isinstance(error, pg.UndefinedObject) and extension.requires:
        return Rejected(FIELD, f"{doing}: list {', '.join(extension.requires)} as well")
    if isinstance(error, _SCRIPT_ERRORS):
        return Rejected(FIELD, str(translate(error, doing)))
    return translate(error, doing, FIELD)
