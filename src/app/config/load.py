"""Reads the configuration of a process, and says everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from ...crds.errors import YamlError
from ...crds.yaml import load_all
from ..errors import ConfigError
from . import model
from .backends import BUILT_IN
from .environment import overlaid, read_environment
from .model import Config, variable_of
from .problems import dotted, problems_of

PATH_VARIABLE: Final = "OPERATOR_CONFIG"
DEFAULT_PATH: Final = Path("config.yaml")

_NO_BACKEND: Final = (
    "backend: is required: name the backend that is used where an object names none, "
    "in the file or by HYBRIDCLOUD_BACKEND"
)


def load_config(
    path: Path | None,
    environ: Mapping[str, str],
    options: Mapping[str, type[BaseModel]] | None = None,
) -> Config:
    """Return the configuration of the file, overridden by the environment.

    Without ``path`` the file is named by ``OPERATOR_CONFIG``, or ``./config.yaml`` where that
    exists; without any, the environment alone has to do. ``options`` are the models of the
    installed backends, which say how the names of variables are cut.

    Raises:
        ConfigError: something is wrong; all of it is named.
    """
    options = options or {}
    file = _read(_chosen(path, environ))
    sections = file.get("backends")
    variables = read_environment(environ, options, sections if isinstance(sections, dict) else ())
    problems = list(variables.problems)
    try:
        config = Config.model_validate(overlaid(file, variables.values))
    except ValidationError as error:

        def named(where: model.Path) -> str:
            variable = variable_of(where, variables.names)
            return f"{dotted(where)} ({variable})" if variable else dotted(where)

        found = problems_of(error, Config, named)
        raise ConfigError(
            [_NO_BACKEND if line == "backend: is required" else line for line in found] + problems
        ) from error
    problems += _unknown_names(config, options)
    if problems:
        raise ConfigError(problems)
    return config.with_variables(variables.names)


def _chosen(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = environ.get(PATH_VARIABLE)
    if path is None and named:
        path = Path(named)
    return path or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        documents = load_all(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text in UTF-8"
        raise ConfigError([f"the configuration file {path} cannot be read: {reason}"]) from error
    except YamlError as error:
        raise ConfigError([f"the configuration file {path} is not valid: {error}"]) from error
    if len(documents) > 1:
        raise ConfigError([f"the configuration file {path} must hold one document"])
    return documents[0] if documents else {}


def _unknown_names(config: Config, options: Mapping[str, type[BaseModel]]) -> list[str]:
    """Name the backends that are neither installed nor have a section: they are misspelt."""
    known = {*options, *config.backends, *BUILT_IN} - {"aws", "azure"}
    named = [("backend", config.backend)]
    named += [("allowed_backends", name) for name in config.allowed_backends]
    return [
        f"{path}: there is no backend {name!r}; there are: {', '.join(sorted(known))}"
        for path, name in named
        if options and name not in known
    ]
