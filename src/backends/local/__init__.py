"""The backend ``local``: real PostgreSQL servers as processes of this machine."""

from ..local_options import LocalOptions
from .backend import Local
from .tls import Authority

__all__ = ["Authority", "Local", "LocalOptions"]
