"""The ``x-kubernetes-validations`` of a schema, evaluated by cel-python.

cel-python belongs to the extra ``testing`` and is loaded by the first rule that is evaluated. Where
it is missing, no rule is enforced: the only gap of validation, and a real server closes it. A rule
that cel-python cannot read (it lacks optional types but those of ``oldSelf``, and some of the
server's extension functions) is not enforced either, and logged once.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from ..types import JsonObject
from ._schema import type_name
from ._status import Cause, forbidden_value, invalid_value, required

logger = logging.getLogger(__name__)

RULES: Final = "x-kubernetes-validations"
_OLD_SELF: Final = re.compile(r"\boldSelf\b")
_NO_KEY: Final = re.compile(r"no such member in mapping: '")
_Program = Callable[[Any], Any]


def available() -> bool:
    """Whether rules can be evaluated here."""
    return importlib.util.find_spec("celpy") is not None


def has_rules(schema: JsonObject) -> bool:
    """Whether a schema has a rule anywhere."""
    if schema.get(RULES):
        return True
    return any(has_rules(child) for child in _children(schema))


def _children(schema: JsonObject) -> Iterator[JsonObject]:
    yield from (schema.get("properties") or {}).values()
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield schema[name]


def check(value: Any, schema: JsonObject, old: Any, path: str = "") -> list[Cause]:
    """Return the rules that a valid object breaks; ``old`` is None where there is none."""
    if not available() or not has_rules(schema):
        return []
    causes = [
        cause
        for rule in schema.get(RULES) or ()
        for cause in _broken(rule, value, schema, old, path)
    ]
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        before = old if isinstance(old, dict) else {}
        for key, item in value.items():
            child = properties.get(key, additional)
            if isinstance(child, dict):
                here = f"{path}.{key}" if path else key
                causes += check(item, child, before.get(key), here)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for at, item in enumerate(value):
            before_item = _correlated(old, item, schema)
            causes += check(item, schema["items"], before_item, f"{path}[{at}]")
    return causes


def _correlated(old: Any, item: Any, schema: JsonObject) -> Any:
    """Return the old item of a keyed list; items of other lists have no identity."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return None
    keys = schema.get("x-kubernetes-list-map-keys") or []
    for other in old:
        if all(other.get(key) == item.get(key) for key in keys):
            return other
    return None


def _broken(
    rule: JsonObject, value: Any, schema: JsonObject, old: Any, path: str
) -> Iterator[Cause]:
    text = rule["rule"]
    transition = bool(_OLD_SELF.search(text))
    if transition and old is None and not rule.get("optionalOldSelf"):
        return
    names = {"self": _to_cel(value, schema)}
    if transition:
        names["oldSelf"] = _old_self(old, schema, optional=bool(rule.get("optionalOldSelf")))
    passed, problem = _evaluate(text, names)
    if passed:
        return
    where = (path + rule.get("fieldPath", "")).lstrip(".") or "<nil>"
    yield _cause(rule, where, value, problem or _message(rule, names))


def _old_self(old: Any, schema: JsonObject, *, optional: bool) -> Any:
    import celpy.celtypes

    value = None if old is None else _to_cel(old, schema)
    if optional:
        return celpy.celtypes.ListType([] if value is None else [value])
    return value


def _message(rule: JsonObject, names: JsonObject) -> str:
    expression = rule.get("messageExpression")
    if expression:
        program = _compiled(expression)
        if program is not None:
            try:
                return str(program(names))
            except _errors():
                logger.warning("messageExpression cannot be evaluated: %s", expression)
    return rule.get("message") or f"failed rule: {rule['rule']}"


def _cause(rule: JsonObject, where: str, value: Any, message: str) -> Cause:
    reason = rule.get("reason", "FieldValueInvalid")
    if reason == "FieldValueForbidden":
        return forbidden_value(where, message)
    if reason == "FieldValueRequired":
        return required(where, message)
    if reason == "FieldValueDuplicate":
        return Cause(where, f'Duplicate value: "{type_name(value)}"')
    return invalid_value(where, type_name(value), message)


def _evaluate(text: str, names: JsonObject) -> tuple[bool, str]:
    """Return whether the rule holds, and the error where it could not be evaluated."""
    program = _compiled(text)
    if program is None:
        return True, ""
    try:
        return bool(program(names)), ""
    except _errors() as error:
        problem = _NO_KEY.sub("no such key: ", str(error.args[0])).rstrip("'")
        return False, f"{problem} evaluating rule: {text}"


def _errors() -> type[Exception]:
    import celpy.evaluation

    error: type[Exception] = celpy.evaluation.CELEvalError
    return error


@lru_cache(maxsize=1024)
def _compiled(text: str) -> _Program | None:
    import celpy
    from celpy.celparser import CELParseError
    from celpy.evaluation import CELEvalError

    environment = celpy.Environment()
    try:
        program = environment.program(environment.compile(text), functions=_functions())
    except (CELParseError, CELEvalError, NotImplementedError) as error:
        logger.warning("rule is not enforced, cel-python cannot read it: %s: %s", text, error)
        return None
    evaluate: _Program = program.evaluate
    return evaluate


@lru_cache(maxsize=1)
def _functions() -> dict[str, Callable[..., Any]]:
    from ._celfunctions import FUNCTIONS

    return FUNCTIONS


_ESCAPES: Final = (
    ("__", "__underscores__"),
    (".", "__dot__"),
    ("-", "__dash__"),
    ("/", "__slash__"),
)
_RESERVED: Final = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for"),
        *("function", "if", "import", "let", "loop", "package", "namespace", "return", "var"),
        *("void", "while"),
    )
)


def escaped(name: str) -> str:
    """Return the name under which a rule reaches a property."""
    if name in _RESERVED:
        return f"__{name}__"
    for plain, code in _ESCAPES:
        name = name.replace(plain, code)
    return name


def _to_cel(value: Any, schema: JsonObject) -> Any:
    """Convert a JSON value by its schema: rules are typed, JSON is not."""
    import celpy.celtypes as types

    if isinstance(value, dict):
        return _map_to_cel(value, schema)
    if isinstance(value, list):
        items = schema.get("items")
        child = items if isinstance(items, dict) else {}
        return types.ListType([_to_cel(item, child) for item in value])
    if isinstance(value, bool):
        return types.BoolType(value)
    if isinstance(value, int) and schema.get("type") != "number":
        return types.IntType(value)
    if isinstance(value, int | float):
        return types.DoubleType(value)
    if value is None:
        return None
    return _string_to_cel(value, schema.get("format", ""))


def _map_to_cel(value: JsonObject, schema: JsonObject) -> Any:
    import celpy.celtypes as types

    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    is_map = isinstance(additional, dict)
    pairs: dict[Any, Any] = {}
    for key, item in value.items():
        child = properties.get(key, additional if is_map else {})
        name = key if is_map else escaped(key)
        pairs[types.StringType(name)] = _to_cel(item, child if isinstance(child, dict) else {})
    return types.MapType(pairs)


def _string_to_cel(value: str, format_: str) -> Any:
    import celpy.celtypes as types

    if format_ == "date-time":
        return types.TimestampType(value)
    if format_ == "duration":
        return types.DurationType(value)
    return types.StringType(value)
