"""The command line: one module a verb, put together in ``root``."""

from .root import main

__all__ = ["main"]
