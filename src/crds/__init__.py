"""The pydantic models of our kinds and the CRDs made from them."""

from .meta import set_fields
from .v1alpha1 import (
    GROUP,
    VERSION,
    CredentialRotation,
    DatabaseSpec,
    DatabaseStatus,
    PostgreSQLDatabase,
    PostgreSQLServer,
    ServerSpec,
    ServerStatus,
)

__all__ = [
    "CredentialRotation",
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
