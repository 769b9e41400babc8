"""What OpenAPI cannot say by type alone, as markers for ``Annotated``.

A marker puts its Kubernetes extension into the JSON schema of the value it is written at, so that
a rule stands beside the field it is about. :class:`Format` also checks the value where the model
is read: an object that was stored before a rule existed is caught there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

RULES: Final = "x-kubernetes-validations"
PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_MAP_KEYS: Final = "x-kubernetes-list-map-keys"
MAP_TYPE: Final = "x-kubernetes-map-type"

Rule = dict[str, Any]
"""One entry of ``x-kubernetes-validations``."""


def rule(expression: str, message: str, *, also_on_create: bool = False) -> Rule:
    """Return a CEL rule.

    ``also_on_create`` is for a rule that has to know whether the object is new: ``oldSelf`` is an
    optional value then.
    """
    made: Rule = {"rule": expression, "message": message}
    if also_on_create:
        made["optionalOldSelf"] = True
    return made


def rules(*made: Rule) -> dict[str, Any]:
    """Return the ``json_schema_extra`` that puts rules on the whole of a model."""
    return {RULES: list(made)}


@dataclass(frozen=True)
class Format:
    """A string must match ``pattern`` as a whole; ``message`` says so in plain words.

    It becomes a CEL rule and not a ``pattern``, whose refusal would quote the regular expression.
    ``max_length`` lets the API server estimate what the rule costs.
    """

    pattern: str
    message: str
    max_length: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the string after it was read."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rule and the length."""
        expression = f"self.matches('^({self.pattern})$')"
        return {
            **handler(schema),
            "maxLength": self.max_length,
            RULES: [rule(expression, self.message)],
        }

    def _checked(self, value: str) -> str:
        if len(value) > self.max_length or not re.fullmatch(self.pattern, value):
            raise _refused(self.message)
        return value


@dataclass(frozen=True)
class KeyFormat:
    """Every key of a map must match ``pattern`` as a whole; ``message`` says so in plain words."""

    pattern: str
    message: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the keys after the map was read."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rule."""
        expression = f"self.all(key, key.matches('^({self.pattern})$'))"
        return {**handler(schema), RULES: [rule(expression, self.message)]}

    def _checked(self, value: dict[str, Any]) -> dict[str, Any]:
        if not all(re.fullmatch(self.pattern, key) for key in value):
            raise _refused(self.message)
        return value


def _refused(message: str) -> PydanticCustomError:
    return PydanticCustomError("format", "{message}", {"message": message})


@dataclass(frozen=True, eq=False)  # hashed by identity: what it adds need not be hashable
class Extended:
    """Adds keys to the schema of a value and takes others out of it."""

    add: tuple[tuple[str, Any], ...]
    without: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the changed schema."""
        made = {**handler(schema), **dict(self.add)}
        return {key: value for key, value in made.items() if key not in self.without}


def list_map(key: str) -> Extended:
    """Mark a list whose entries are told apart, and merged, by one of their fields."""
    return Extended(((LIST_TYPE, "map"), (LIST_MAP_KEYS, [key])))


def list_set() -> Extended:
    """Mark a list without duplicates whose order means nothing."""
    return Extended(((LIST_TYPE, "set"),))


def open_object() -> Extended:
    """Mark an object whose fields are not known here and are kept as they are."""
    return Extended((("type", "object"), (PRESERVE, True)), without=("additionalProperties",))
