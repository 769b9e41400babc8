"""Label and field selectors, parsed and matched as the server does, its complaints included."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from ..types import JsonObject
from ._kinds import Kind
from ._names import label_value_problems, qualified_name_problems
from ._status import StatusError, bad_request, shown

Match = Callable[[JsonObject], bool]

_WORD: Final = re.compile(r"\s*(!=|==|=|!|<|>|\(|\)|,|[^\s!=<>(),]+)")
_SYMBOLS: Final = frozenset({"!=", "==", "=", "<", ">", "(", ")", ","})
_OPERATORS: Final = {"=", "==", "!=", "in", "notin", "<", ">"}
_UNESCAPED_COMMA: Final = re.compile(r"(?<!\\),")
EVERY_KIND: Final = frozenset({"metadata.name", "metadata.namespace"})


def label_selector(text: str) -> Match:
    """Parse ``a=b,c!=d,e in (f,g),h notin (i),j,!k``.

    Errors: a 400 with the server's words for what does not parse.
    """
    parser = _Parser(text)
    rules = parser.rules()
    return lambda obj: _all(rules, (obj.get("metadata") or {}).get("labels") or {})


def field_selector(text: str, kind: Kind) -> Match:
    """Parse ``metadata.name=x,involvedObject.uid!=y`` for the fields that a kind supports."""
    rules: list[tuple[str, bool, str]] = []
    for part in filter(None, _UNESCAPED_COMMA.split(text)):
        found = re.fullmatch(r"(.*?)(!=|==|=)(.*)", part)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        name, operator, value = found.groups()
        if name not in kind.fields | EVERY_KIND:
            raise _unknown_field(name, kind)
        rules.append((name, operator != "!=", re.sub(r"\\(.)", r"\1", value)))
    return lambda obj: all((_dotted(obj, name) == value) is equal for name, equal, value in rules)


def _unknown_field(name: str, kind: Kind) -> StatusError:
    if kind.custom or kind.fields:
        return bad_request(f"field label not supported: {name}")
    return bad_request(
        f'{shown(name)} is not a known field selector: only "metadata.name", "metadata.namespace"'
    )


def _dotted(obj: JsonObject, path: str) -> str:
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


_Rule = Callable[[Mapping[str, str]], bool]


def _all(rules: list[_Rule], labels: Mapping[str, str]) -> bool:
    return all(rule(labels) for rule in rules)


class _Parser:
    """Recursive descent over the tokens of one label selector."""

    def __init__(self, text: str) -> None:
        self._tokens = _WORD.findall(text)
        self._at = 0

    def rules(self) -> list[_Rule]:
        found: list[_Rule] = []
        while self._peek():
            if self._peek() in _SYMBOLS:
                raise bad_request(
                    f"found '{self._peek()}', expected: !, identifier, or 'end of string'"
                )
            found.append(self._requirement())
            word = self._next()
            if word and word != ",":
                raise bad_request(f"found '{word}', expected: ',' or 'end of string'")
            if word == "," and (not self._peek() or self._peek() in _SYMBOLS):
                raise bad_request(f"found '{self._peek()}', expected: identifier after ','")
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        word = self._peek()
        self._at += 1
        return word

    def _identifier(self) -> str:
        word = self._next()
        if not word or word == "!" or word in _SYMBOLS:
            raise _unreadable(f"found '{word}', expected: identifier")
        return word

    def _requirement(self) -> _Rule:
        if self._peek() == "!":
            self._next()
            missing = self._key()
            return lambda labels: missing not in labels
        key = self._key()
        if self._peek() in ("", ","):
            return lambda labels: key in labels
        return self._compare(key, self._operator())

    def _key(self) -> str:
        word = self._identifier()
        problems = qualified_name_problems(word)
        if problems:
            raise _unreadable(f"<nil>: Invalid value: {shown(word)}: {problems[0]}")
        return word

    def _operator(self) -> str:
        operator = self._next()
        if operator not in _OPERATORS:
            raise _unreadable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
        return operator

    def _compare(self, key: str, operator: str) -> _Rule:
        if operator in ("in", "notin"):
            values = self._values()
            for value in sorted(values):
                _check_value(key, value)
            if operator == "in":
                return lambda labels: labels.get(key) in values
            return lambda labels: labels.get(key) not in values
        value = "" if self._peek() in ("", ",") else self._identifier()
        if operator in ("<", ">"):
            bound = _bound(value)
            return lambda labels: _ordered(labels.get(key), operator, bound)
        _check_value(key, value)
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value

    def _values(self) -> set[str]:
        word = self._next()
        if word != "(":
            raise _unreadable(f"found '{word}' expected: '('")
        values: set[str] = set()
        expect_value = True
        while (word := self._next()) != ")":
            if word == ",":
                if expect_value:
                    values.add("")
                expect_value = True
            elif word and expect_value:
                values.add(word)
                expect_value = False
            else:
                raise _unreadable(f"found '{word}', expected: ',' or ')'")
        if expect_value:
            values.add("")
        return values


def _unreadable(problem: str) -> StatusError:
    return bad_request(f"unable to parse requirement: {problem}")


def _check_value(key: str, value: str) -> None:
    for problem in label_value_problems(value):
        raise _unreadable(f"values[0][{key}]: Invalid value: {shown(value)}: {problem}")


def _bound(value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        problem = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise _unreadable(f"values[0]: Invalid value: {shown(value)}: {problem}") from error


def _ordered(label: str | None, operator: str, bound: int) -> bool:
    try:
        value = int(label or "")
    except ValueError:
        return False
    return value < bound if operator == "<" else value > bound
