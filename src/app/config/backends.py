"""The options of one backend, from its own section and the one that it shares with others.

``backends.azure`` and ``backends.aws`` are not backends: each option there is the default of the
same option of the backends of that cloud.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import ConfigError
from .model import Config, Path
from .problems import dotted, nested_model, option_names, problems_of

M = TypeVar("M", bound=BaseModel)

_SHARED: Final = {
    "awsaurora": "aws",
    "awsrds": "aws",
    "azurepostgres": "azure",
    "azurepostgresflexible": "azure",
}
BUILT_IN: Final = frozenset({*_SHARED, *_SHARED.values(), "helmbitnami", "helmyugabyte"})
"""Sections that configuration files have always had, whether their backend is installed or not."""


def members(section: str) -> tuple[str, ...]:
    """Return the backends whose options may stand in a section."""
    return tuple(name for name, shared in _SHARED.items() if shared == section) or (section,)


def backend_options(config: Config, name: str, model: type[M]) -> M:
    """Return the options of a backend.

    Raises:
        ConfigError: options are unknown, missing or of the wrong type; all of them are named. The
            backend is unavailable then, and the others are not concerned.
    """
    own = _without_nulls(config.backends.get(name, {}))
    shared_name = _SHARED.get(name)
    shared = _without_nulls(config.backends.get(shared_name, {})) if shared_name else {}
    try:
        return model.model_validate(_merged(shared, own, model))
    except ValidationError as error:

        def named(path: Path) -> str:
            written = shared_name if shared_name and _only_in(shared, own, path) else name
            return _described(config, ("backends", written, *path))

        raise ConfigError(problems_of(error, model, named)) from error


def _described(config: Config, path: Path) -> str:
    variable = config.variable(path)
    return f"{dotted(path)} ({variable})" if variable else dotted(path)


def _merged(shared: dict[str, Any], own: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return ``own`` filled up from ``shared``; a map such as the classes is one value."""
    result = {**shared, **own}
    names = option_names(model)
    for key in shared.keys() & own.keys() & names.keys():
        inner = nested_model(model.model_fields[names[key]].annotation)
        if inner and isinstance(shared[key], dict) and isinstance(own[key], dict):
            result[key] = _merged(shared[key], own[key], inner)
    return result


def _only_in(shared: dict[str, Any], own: dict[str, Any], path: Path) -> bool:
    return _holds(shared, path) and not _holds(own, path)


def _holds(section: Any, path: Path) -> bool:
    for key in path:
        if not isinstance(section, dict) or key not in section:
            return isinstance(section, list)
        section = section[key]
    return True


def _without_nulls(section: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in section.items()
        if value is not None
    }
