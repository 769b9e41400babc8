"""PostgreSQLDatabase: one database with a role of its own on a server."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from ..markers import Format, list_set, rule, rules
from ..meta import ApiModel, AsTuple, Name, ObjectMeta
from .common import CommonStatus, CredentialRotation, ExtensionName


def reserved_names(separator: str) -> str:
    """Return the regular expression of the names of PostgreSQL, clouds and administrators.

    ``separator`` is ``_``, or the dash that becomes one where the object's name is the database's.
    """
    return f"postgres|template[01]|admin|pg{separator}.*|rds.*|azure{separator}.*"


_RESERVED: Final = (
    "{} is reserved: a database must not be named postgres, template0, template1 or admin, "
    "and its name must not begin with pg_, rds or azure_"
)

METADATA_NAME_RULE: Final = rule(
    # a new object alone: the name cannot change, and an old object must be able to go away
    "oldSelf.hasValue() || (has(self.spec.database) && has(self.spec.database.name)) || "
    f"!self.metadata.name.matches('^({reserved_names('-')})$')",
    _RESERVED.format("metadata.name"),
    also_on_create=True,
)
"""The name of the object is the name of the database where ``database.name`` is not set."""


def _unchanged(field: str) -> dict[str, str | bool]:
    """Return the rule that a field below ``spec.database`` stays as it was, or stays unset."""

    def value(of: str) -> str:
        path = f"{of}.database"
        return f"(has({path}) && has({path}.{field}) ? {path}.{field} : '')"

    return rule(f"{value('self')} == {value('oldSelf')}", f"database.{field} is immutable")


class ServerReference(ApiModel):
    """The server that the database is on."""

    name: Name
    """Name of a PostgreSQLServer in the same namespace."""


class DatabaseSettings(ApiModel):
    """The database itself."""

    name: (
        Annotated[
            str,
            Format(
                "[A-Za-z0-9_][A-Za-z0-9_.-]*",
                "must be 1 to 63 letters, digits, '_', '-' and '.', and begin with none of '-.'",
                63,  # the limit of a PostgreSQL identifier
            ),
        ]
        | None
    ) = Field(
        default=None,
        json_schema_extra=rules(
            rule(f"!self.matches('^({reserved_names('_')})$')", _RESERVED.format("database.name"))
        ),
    )
    """Name in PostgreSQL. The object's name with dashes as underscores when not set. Immutable."""
    charset: (
        Annotated[
            str,
            Format("[A-Za-z][A-Za-z0-9_-]*", "must be the name of a character set: UTF8", 63),
        ]
        | None
    ) = None
    """Character set, such as UTF8. The backend's default when not set. Immutable."""
    collation: (
        Annotated[
            str,
            Format("[A-Za-z][A-Za-z0-9_.@-]*", "must be the name of a collation: de-DE", 63),
        ]
        | None
    ) = None
    """Collation, such as de-DE. The backend's default when not set. Immutable."""
    extensions: Annotated[
        tuple[ExtensionName, ...],
        AsTuple,
        list_set(),
        Field(max_length=128),
    ] = ()
    """Extensions to create in this database; the server has to allow them."""


class DatabaseSpec(ApiModel):
    """What the database should be."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("self.serverRef == oldSelf.serverRef", "serverRef is immutable"),
            *(_unchanged(field) for field in ("name", "charset", "collation")),
        )
    )
    operator_fields: ClassVar[frozenset[str]] = frozenset(
        {"serverRef", "credentialsSecret", "deletionPolicy"}
    )

    server_ref: ServerReference
    """The server that the database is on. Immutable."""
    database: DatabaseSettings = DatabaseSettings()
    """The database itself."""
    credentials: CredentialRotation = CredentialRotation()
    """How the password is changed."""
    credentials_secret: Name
    """Name of the Secret, in the same namespace, that the login is written to."""
    deletion_policy: Literal["Delete", "Retain"] | None = None
    """What happens to the data when this object is deleted. The administrator's choice if unset."""


class DatabaseStatus(CommonStatus):
    """What was observed of the database, and what is being done about it."""

    server_uid: str = ""
    """UID of the PostgreSQLServer that the database was made on: its name could be another's."""


class PostgreSQLDatabase(ApiModel):
    """A database with a role of its own on a PostgreSQLServer."""

    metadata: ObjectMeta = ObjectMeta()
    spec: DatabaseSpec
    """What the database should be."""
    status: DatabaseStatus = DatabaseStatus()
    """What was observed of the database, and what is being done about it."""
