"""Backends by name: the built-in list, and what other packages bring by entry points.

A backend is imported when it is first asked for, so that nobody pays for a cloud's SDK that is
not used, and a package that cannot be imported disables itself and nothing else.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Final

from pydantic import BaseModel

from .errors import Retired, Unavailable
from .protocol import (
    BackendFactory,
)

GROUP: Final = "hybridpg.backends"
"""The group of entry points: ``name = "package.module:Factory"``."""

_BUILT_IN: Final = {
    "external": (".external", "External"),
    "local": (".local", "Local"),
}
_BUILT_IN_OPTIONS: Final = {
    "external": (".external", "ExternalOptions"),
    "local": (".local_options", "LocalOptions"),
}
"""Where the options of a built-in backend are: to read them, the backend is not needed."""
_NOT_BUILT: Final = frozenset(
    {"awsaurora", "awsrds", "azurepostgresflexible", "helmbitnami", "helmyugabyte"}
)
"""Names that objects of the predecessor may carry and no installed package serves."""


def available() -> tuple[str, ...]:
    """Return the names of all backends that are installed, sorted."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in _entry_points())}))


def factory(name: str) -> BackendFactory:
    """Return what makes the backend ``name``; raises ``Unavailable`` with what to do about it.

    A built-in name cannot be taken over by another package.
    """
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
        made: BackendFactory = getattr(import_module(module, __package__), attribute)
        return made
    for point in _entry_points():
        if point.name == name:
            return _load(point)
    if name == "azurepostgres":
        raise Retired(
            "backend 'azurepostgres' cannot be used: Azure has retired Single Server; move the "
            "databases to Flexible Server (azurepostgresflexible)"
        )
    if name in _NOT_BUILT:
        raise Unavailable(f"backend {name!r} is not built in this version; {_installed()}")
    raise Unavailable(f"there is no backend {name!r}; {_installed()}")


def options(name: str) -> type[BaseModel]:
    """Return the options model of a backend, of a built-in one without importing the backend.

    Raises ``Unavailable`` as :func:`factory` does.
    """
    if name not in _BUILT_IN_OPTIONS:
        return factory(name).options
    module, attribute = _BUILT_IN_OPTIONS[name]
    made: type[BaseModel] = getattr(import_module(module, __package__), attribute)
    return made


def _installed() -> str:
    return f"installed are {', '.join(available())}"


def _entry_points() -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=GROUP))


def _load(point: metadata.EntryPoint) -> BackendFactory:
    """Import what an entry point names; a foreign package may fail in any way."""
    where = f"backend {point.name!r} ({point.value})"
    try:
        loaded = point.load()
    except Exception as error:
        raise Unavailable(f"{where} cannot be imported: {error}") from error
    options = getattr(loaded, "options", None)
    if not (callable(loaded) and isinstance(options, type) and issubclass(options, BaseModel)):
        raise Unavailable(f"{where} is no factory: it must be callable and have a model `options`")
    result: BackendFactory = loaded
    return result
