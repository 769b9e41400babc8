"""Turns a model into the structural schema of a CRD.

A CRD takes a small part of OpenAPI: no references, no unions, no titles. What pydantic writes is
inlined and reduced to that part; what has no equivalent is refused here, when the CRD is generated
and not when it is installed.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from .errors import NotStructural
from .markers import RULES

Schema = dict[str, Any]

_KEPT: Final = (
    "description",
    "type",
    "format",
    "nullable",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)
"""What is copied as it is, in the order in which it is written."""
_DROPPED: Final = frozenset({"title", "$defs"})
_NULL: Final[Schema] = {"type": "null"}


def structural(model: type[BaseModel]) -> Schema:
    """Return the schema of a model, everything inlined.

    Defaults of the models are left out: the API server would write them into the objects of users,
    where a value that is not set must stay recognisable.

    Raises:
        NotStructural: the model says something that a CRD cannot; the message has the path.
    """
    whole = model.model_json_schema(by_alias=True, mode="validation")
    return _Inliner(whole.get("$defs", {})).node(whole, model.__name__)


class _Inliner:
    """Rewrites one node after the other; ``_open`` are the models it is inside of."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions
        self._open: list[str] = []

    def node(self, written: Schema, path: str) -> Schema:
        """Return the structural form of one node and everything below it."""
        if "$ref" in written:
            return self._reference(written, path)
        if "anyOf" in written:
            return self._optional(written, path)
        schema: Schema = {key: written[key] for key in _KEPT if key in written}
        if "const" in written:
            schema["enum"] = [written["const"]]
        schema |= self._children(written, path)
        schema |= {key: value for key, value in written.items() if key.startswith("x-")}
        self._check(written, schema, path)
        return schema

    def _reference(self, written: Schema, path: str) -> Schema:
        name = written["$ref"].rpartition("/")[2]
        if name in self._open:
            raise NotStructural(f"{path}: {name} holds itself, which a CRD cannot say")
        self._open.append(name)
        beside = {key: value for key, value in written.items() if key != "$ref"}
        made = self.node(_merged(self._definitions[name], beside), path)
        self._open.pop()
        return made

    def _optional(self, written: Schema, path: str) -> Schema:
        choices = [choice for choice in written["anyOf"] if choice != _NULL]
        if len(choices) != 1:
            raise NotStructural(f"{path}: a CRD has no unions; use one type")
        beside = {key: value for key, value in written.items() if key != "anyOf"}
        return self.node(_merged(choices[0], beside), path)

    def _children(self, written: Schema, path: str) -> Schema:
        made: Schema = {}
        if written.get("required"):
            made["required"] = sorted(written["required"])
        if "properties" in written:
            made["properties"] = {
                name: self.node(child, f"{path}.{name}")
                for name, child in written["properties"].items()
            }
        elif isinstance(written.get("additionalProperties"), dict):
            made["additionalProperties"] = self.node(
                written["additionalProperties"], f"{path}[key]"
            )
        if "items" in written:
            made["items"] = self.node(written["items"], f"{path}[]")
        return made

    @staticmethod
    def _check(written: Schema, schema: Schema, path: str) -> None:
        known = {*schema, *_DROPPED, "default", "const", "additionalProperties"}
        unknown = sorted(key for key in written if key not in known and written[key] != [])
        if unknown:
            raise NotStructural(f"{path}: a CRD cannot say {', '.join(unknown)}")
        if "type" not in schema:
            raise NotStructural(f"{path}: a type is missing")


def _merged(inner: Schema, outer: Schema) -> Schema:
    """Return what is said at the type and at its use: the use wins, rules add up."""
    both = [*inner.get(RULES, []), *outer.get(RULES, [])]
    return {**inner, **outer, **({RULES: both} if both else {})}
