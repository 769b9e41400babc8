"""Options from environment variables: ``HYBRIDCLOUD_BACKENDS_AZURE_SUBSCRIPTION_ID``.

The name is the path of the option in upper case. As options have underscores in their names too,
the known options decide how it is cut; where two are possible, the longer name wins. Lists and
maps are written as JSON, and what is not text gets the type of its option: ``false`` is a boolean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from ...crds.errors import YamlError
from ...crds.yaml import load_all
from .backends import BUILT_IN, members
from .model import Config, Path
from .problems import nested_model, option_names

PREFIX: Final = "HYBRIDCLOUD_"
_BACKENDS: Final = "BACKENDS_"
_SERVICE_LINK: Final = re.compile(
    r"\w+?_(?P<word>SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?|PORT)"
)


@dataclass(frozen=True)
class Variables:
    """What was found in the environment: values and variables by path, and what was wrong."""

    values: dict[Path, Any]
    names: dict[Path, str]
    problems: list[str]


@dataclass(frozen=True)
class _Option:
    """An option that a variable may set; ``annotation`` None means that its type is not known."""

    path: Path
    annotation: object


def read_environment(
    environ: Mapping[str, str],
    options: Mapping[str, type[BaseModel]],
    sections: Iterable[str],
) -> Variables:
    """Read every variable of ours; ``sections`` are the backends that the file names."""
    found = Variables({}, {}, [])
    names = {*options, *sections, *BUILT_IN}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        option = _option(variable.removeprefix(PREFIX), options, names)
        if option is None and _is_service_link(variable, environ[variable]):
            continue
        if option is None:
            found.problems.append(
                f"{variable}: there is no such option; a map or list is set as a whole, by JSON"
            )
            continue
        value = _typed(environ[variable], option.annotation)
        if value is not None:
            found.values[option.path] = value
            found.names[option.path] = variable
    return found


def _is_service_link(variable: str, value: str) -> bool:
    """Return whether the kubelet set it: a Service ``hybridcloud-x`` of the pod's namespace."""
    match = _SERVICE_LINK.fullmatch(variable)
    return match is not None and (match["word"] != "PORT" or "://" in value)


def overlaid(file: dict[str, Any], values: Mapping[Path, Any]) -> dict[str, Any]:
    """Return what the file says with the values of the environment in their places."""
    result = dict(file)
    for path in sorted(values, key=len):  # whole sections before single options of theirs
        _put(result, path, values[path])
    return result


def _put(section: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        inner = section.get(key)
        section[key] = dict(inner) if isinstance(inner, dict) else {}
        section = section[key]
    section[path[-1]] = value


def _option(
    words: str, options: Mapping[str, type[BaseModel]], sections: Iterable[str]
) -> _Option | None:
    if not words.startswith(_BACKENDS):
        return _in_model(words, Config)
    rest = words.removeprefix(_BACKENDS)
    for section in sorted(sections, key=len, reverse=True):
        name = _variable_name(section)
        if rest == name:
            return _Option(("backends", section), dict)
        if rest.startswith(f"{name}_"):
            return _in_section(section, rest[len(name) + 1 :], options)
    return None


def _in_section(section: str, words: str, options: Mapping[str, type[BaseModel]]) -> _Option | None:
    """Find an option of a backend, or of one of those that share a section."""
    models = [options[name] for name in members(section) if name in options]
    for model in models:
        found = _in_model(words, model)
        if found:
            return _Option(("backends", section, *found.path), found.annotation)
    # a backend that is not installed: what is wrong with it is said where it is used
    return None if models else _Option(("backends", section, words.lower()), None)


def _in_model(words: str, model: type[BaseModel]) -> _Option | None:
    names = option_names(model)
    for name in sorted(names, key=len, reverse=True):
        annotation = model.model_fields[names[name]].annotation
        start = _variable_name(name)
        if words == start:
            return _Option((name,), annotation)
        inner = nested_model(annotation)
        if inner and words.startswith(f"{start}_"):
            found = _in_model(words[len(start) + 1 :], inner)
            if found:
                return _Option((name, *found.path), found.annotation)
    return None


def _variable_name(option: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in option).upper()


def _typed(text: str, annotation: object) -> Any:
    """Return the value that is meant; text stays text where the option takes text."""
    structured = text.lstrip().startswith(("{", "["))
    if (
        annotation is not None
        and _takes_text(annotation)
        and not (structured and not _takes_only_text(annotation))
    ):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return _word(text)


def _word(text: str) -> Any:
    """Return what the text means in the file: ``False`` and ``1_000`` are no JSON."""
    try:
        return load_all(f"value: {text}")[0]["value"]
    except YamlError:
        return text  # of the wrong type then, and reported with its path


def _choices(annotation: object) -> tuple[object, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _choices(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(inner for choice in get_args(annotation) for inner in _choices(choice))
    return () if annotation is type(None) else (annotation,)


def _is_text(annotation: object) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(word, str) for word in get_args(annotation))
    return isinstance(annotation, type) and not issubclass(
        annotation, bool | int | float | list | tuple | dict | set | frozenset | BaseModel
    )


def _takes_text(annotation: object) -> bool:
    return any(map(_is_text, _choices(annotation)))


def _takes_only_text(annotation: object) -> bool:
    return all(map(_is_text, _choices(annotation)))
