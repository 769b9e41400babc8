"""The backend ``local``: real PostgreSQL servers as processes of this machine."""

from .backend import Local
from .options import LocalOptions
from .tls import Authority

__all__ = ["Authority", "Local", "LocalOptions"]
