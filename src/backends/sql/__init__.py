"""What every target that speaks PostgreSQL shares: databases, roles, extensions and grants."""

from .base import SqlDatabases
from .login import LoginResult, check_login

__all__ = ["LoginResult", "SqlDatabases", "check_login"]
