"""The pydantic models of our kinds and the CRDs made from them."""

from .meta import set_fields
from .v1alpha1 import (
    GROUP,
    VERSION,
    DatabaseSpec,
    DatabaseStatus,
    PostgreSQLDatabase,
    PostgreSQLServer,
    ServerSpec,
    ServerStatus,
)

__all__ = [
    "DatabaseSpec",
    "DatabaseStatus",
    "GROUP",
    "PostgreSQLDatabase",
    "PostgreSQLServer",
    "ServerSpec",
    "ServerStatus",
    "VERSION",
    "set_fields",
]
