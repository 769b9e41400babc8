"""What separates a database from its spec; pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..values import (
    Absent,
    Change,
    DatabaseRef,
    DatabaseState,
    DesiredDatabase,
    Observed,
    Refused,
)
from .extensions import FIELD, NOT_INSTALLED
from .identifiers import check_name, encoding_key, same_locale
from .ownership import check_adoption, check_holder, conflict
from .state import (
    CloseSystems,
    CreateDatabase,
    CreateExtensions,
    OwnDatabase,
    OwnSchema,
    RepairRole,
    RestrictAccess,
    SqlDatabaseState,
    TakeRole,
)

DATABASE_OWNER = "pg_database_owner"
"""Stands for the owner of each database, and owns its schema ``public`` from PostgreSQL 15 on."""


def plan_database(
    database: DatabaseRef,
    desired: DesiredDatabase,
    observed: Observed[DatabaseState],
    extensions_allowed: frozenset[str] | None = None,
) -> tuple[Change, ...]:
    """Return the differences; raises ``Conflict`` and ``Rejected``.

    What cannot be done to a database that exists (another encoding or locale, an extension that
    is not allowed) is a ``Refused`` change, so that the rest is done all the same.
    ``extensions_allowed`` is the operator's list, beside the server's in ``desired``.
    """
    check_name(database.external_name)
    if isinstance(observed, Absent):
        state = SqlDatabaseState(owner=None, role=False, present=False)
    elif isinstance(observed.state, SqlDatabaseState):
        state = observed.state
    else:
        raise TypeError(f"{type(observed.state).__name__} was not observed by this class")
    changes = [*_role(database, state), *_database(database, desired, state)]
    changes += _extensions(desired, state, extensions_allowed)
    return tuple(changes)


def _role(database: DatabaseRef, state: SqlDatabaseState) -> Iterator[Change]:
    name = database.external_name
    if not state.role:
        return  # create_or_update_user comes first
    if not database.owner.same(state.owner):
        check_adoption(database, state.owner, reach=state.reach, is_admin=state.is_admin)
        yield TakeRole("", f"role {name!r} is taken over", takes_over=True)
    elif state.rights or not state.login or not state.held:
        yield RepairRole("", f"role {name!r} gets back the rights that it was made with")


def _database(
    database: DatabaseRef, desired: DesiredDatabase, state: SqlDatabaseState
) -> Iterator[Change]:
    name, spec = database.external_name, desired.spec.database
    if not state.present:
        yield CreateDatabase(
            "database",
            f"database {name!r} is created",
            encoding=spec.charset or "",
            collation=spec.collation or "",
        )
    elif state.database_role != name:
        if not database.adopt:
            raise conflict(database, None, "database")
        check_holder(database, state.holder)
        yield OwnDatabase(
            "database", f"database {name!r} is taken over from its owner", takes_over=True
        )
    if (
        spec.charset
        and state.present
        and encoding_key(spec.charset) != encoding_key(state.encoding)
    ):
        yield Refused(
            "database.charset",
            f"the database has {state.encoding}, which cannot be changed to {spec.charset}",
        )
    if spec.collation and state.present and not same_locale(spec.collation, state.collation):
        yield Refused(
            "database.collation",
            f"the database has {state.collation}, which cannot be changed to {spec.collation}",
        )
    if not state.private:
        yield RestrictAccess("", f"database {name!r} is closed to other roles")
    if state.open_systems:
        names = ", ".join(state.open_systems)
        yield CloseSystems("", f"databases {names} are closed to tenants", names=state.open_systems)
    if state.schema_held and state.schema_role not in ("", name, DATABASE_OWNER):
        yield OwnSchema("", f"schema public of database {name!r} is given to its role")


def _extensions(
    desired: DesiredDatabase, state: SqlDatabaseState, operator_allows: frozenset[str] | None
) -> Iterator[Change]:
    """Plan what is listed and missing; what is no longer listed stays, as its data would go."""
    present, refused = state.extensions or frozenset(), dict(state.refused)
    missing = [
        name for name in dict.fromkeys(desired.spec.database.extensions) if name not in present
    ]
    creatable = []
    for name in missing:
        # first the list that users cannot change: theirs may be cut down to it
        if operator_allows is not None and name not in operator_allows:
            yield _refuse(name, "the operator's configuration does not allow it")
        elif desired.allowed_extensions is not None and name not in desired.allowed_extensions:
            yield _refuse(name, "the server does not allow it (spec.extensions of the server)")
        elif state.offered is not None and name not in state.offered:
            yield _refuse(name, NOT_INSTALLED)
        elif name in refused:
            yield Refused(FIELD, refused[name])
        else:
            creatable.append(name)
    if creatable:
        yield CreateExtensions(
            FIELD,
            f"extensions {', '.join(creatable)} are created",
            names=tuple(creatable),
        )


def _refuse(name: str, reason: str) -> Refused:
    return Refused(FIELD, f"extension {name!r} is refused: {reason}")
