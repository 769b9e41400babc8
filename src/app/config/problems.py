"""Words for what is wrong with a configuration: one line each, path first.

Values are never quoted: a configuration may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .model import Path

_SUBJECT = re.compile(r"^[A-Z]\w* should\b")
"""How pydantic begins its messages: Input should, String should."""

Namer = Callable[[Path], str]
"""Makes the words that name an option from its path."""


def dotted(path: Iterable[str | int]) -> str:
    """Return a path as it is written in the documentation: ``backends.azure.tags``."""
    return ".".join(str(key) for key in path)


def problems_of(error: ValidationError, model: type[BaseModel], name: Namer = dotted) -> list[str]:
    """Return one line for each thing that ``model`` found wrong."""
    return [
        f"{name(tuple(map(str, found['loc'])))}: {_words(found['type'], found, model)}"
        for found in error.errors(include_url=False, include_input=False)
    ]


def _words(kind: str, found: Any, model: type[BaseModel]) -> str:
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return f"unknown option{_suggestion(found['loc'], model)}"
    if kind in {"dict_type", "model_type", "model_attributes_type"}:
        return "must be a mapping of keys to values"
    if kind == "tuple_type":
        return "must be a list"
    message = str(found["msg"]).removeprefix("Value error, ")
    return _SUBJECT.sub("must", message)


def _suggestion(path: tuple[str | int, ...], model: type[BaseModel]) -> str:
    """Return the option that was probably meant."""
    inner: type[BaseModel] | None = model
    for key in path[:-1]:
        field = inner.model_fields.get(str(key)) if inner else None
        inner = nested_model(field.annotation) if field else None
    close = get_close_matches(str(path[-1]), option_names(inner) if inner else [], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def option_names(model: type[BaseModel]) -> dict[str, str]:
    """Return the options of a model as they are written, with the attribute of each."""
    return {
        str(field.validation_alias or field.alias or attribute): attribute
        for attribute, field in model.model_fields.items()
    }


def nested_model(annotation: object) -> type[BaseModel] | None:
    """Return the model that an option holds, itself or optionally; None where it is a value."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    models = [nested_model(choice) for choice in get_args(annotation) if choice is not type(None)]
    return models[0] if len(models) == 1 else None
