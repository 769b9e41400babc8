"""The kinds of version v1alpha1."""

from .common import GROUP, VERSION, CredentialRotation
from .database import DatabaseSpec, DatabaseStatus, PostgreSQLDatabase
from .server import PostgreSQLServer, ServerSpec, ServerStatus

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
]
