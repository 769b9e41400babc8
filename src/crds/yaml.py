"""Reads YAML the way kubectl does.

YAML 1.1 takes ``03:00`` for a number to the base of sixty and ``2026-01-01`` for a date; manifests
are JSON in another dress, and kubectl reads both as strings. Keys are always strings, and a key
that stands twice in a mapping is refused: one of the two would be lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any, Final

import yaml

from .errors import YamlError

_NULL: Final = "tag:yaml.org,2002:null"
_BOOL: Final = "tag:yaml.org,2002:bool"
_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
_MERGE: Final = "tag:yaml.org,2002:merge"

_NOT_IN_JSON: Final = ("binary", "omap", "pairs", "set", "timestamp")
_NUMBER_START: Final = list("-+.0123456789")
_PLAIN: Final[tuple[tuple[str, str, list[str]], ...]] = (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
     list("yYnNtTfFoO")),
    (_INT, r"[-+]?(0|[1-9][0-9_]*|0[0-7]+|0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*)", _NUMBER_START),
    (_FLOAT, r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+)", _NUMBER_START),
    (_MERGE, r"<<", ["<"]),
)  # fmt: skip
"""Tag, pattern and first characters of what an unquoted word can mean besides a string."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the plain words of JSON."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make a dict whose keys are strings; merged keys give way to written ones."""
        _refuse_doubles(node)
        self.flatten_mapping(node)
        return {_key(key): self.construct_object(value, deep=True) for key, value in node.value}


_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag not in {f"tag:yaml.org,2002:{word}" for word in _NOT_IN_JSON}
}
for _tag, _pattern, _first in _PLAIN:
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)


def load_all(text: str) -> list[dict[str, Any]]:
    """Return the documents of a text; empty ones are left out.

    Raises:
        YamlError: the text is not YAML, has a doubled key, or a document is not a mapping.
    """
    return list(_mappings(text))


def _mappings(text: str) -> Iterator[dict[str, Any]]:
    try:
        for document in yaml.load_all(text, Loader=_Loader):
            if document is None:
                continue
            if not isinstance(document, dict):
                kind = type(document).__name__
                raise YamlError(f"a document must be a mapping of keys to values, not a {kind}")
            yield document
    except yaml.YAMLError as error:
        raise YamlError(_one_line(error)) from error
    except RecursionError as error:
        raise YamlError("the text is nested too deeply, or an alias holds itself") from error


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(
            None, None, "a key must be a word, not a list or a mapping", node.start_mark
        )
    return str(node.value)


def _refuse_doubles(node: yaml.MappingNode) -> None:
    seen = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE:
            continue
        key = _key(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands twice in the same mapping", key_node.start_mark
            )
        seen.add(key)


def _one_line(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark or error.context_mark
    words = " ".join(part for part in (error.context, error.problem) if part)
    return f"line {mark.line + 1}: {words}" if mark else words
