"""The simple JSONPath of printer columns: fields, indexes, ``[*]`` and one kind of filter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

_STEP: Final = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\\])+)
      | \[\?\(\s*@\.(?P<key>[^=!\s]+)\s*(?P<op>==|!=)
            \s*(?P<quote>["'])(?P<value>.*?)(?P=quote)\s*\)\]
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[(?P<q>["'])(?P<name>.*?)(?P=q)\]""",
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[re.Match[str], ...]:
    return tuple(_STEP.finditer(path))


def find(path: str, value: Any) -> list[Any]:
    """Return everything that a path finds, in the order of the document."""
    found = [value]
    for step in _steps(path):
        found = [item for one in found for item in _walk(step, one)]
    return found


def _walk(step: re.Match[str], value: Any) -> Iterator[Any]:
    field = step["field"] or step["name"]
    if field is not None:
        name = re.sub(r"\\(.)", r"\1", field)
        if isinstance(value, dict) and name in value:
            yield value[name]
    elif step["all"]:
        yield from value.values() if isinstance(value, dict) else _items(value)
    elif step["index"] is not None:
        items, at = _items(value), int(step["index"])
        if -len(items) <= at < len(items):
            yield items[at]
    else:
        wanted = step["op"] == "=="
        for item in _items(value):
            if any((str(key) == step["value"]) is wanted for key in find(f".{step['key']}", item)):
                yield item


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
