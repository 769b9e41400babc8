"""Functions that rules may use beside the language's own: the server's list and string library.

Imported by the first rule that is compiled, since it needs cel-python.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

from celpy.celtypes import BoolType, IntType, ListType, StringType


def _value(optional: Any) -> Any:
    return optional[0]


def _or_value(optional: Any, default: Any) -> Any:
    return optional[0] if optional else default


def _has_value(optional: Any) -> Any:
    return BoolType(len(optional) > 0)


def _is_sorted(items: Any) -> Any:
    return BoolType(all(a <= b for a, b in pairwise(items)))


def _sum(items: Any) -> Any:
    total: Any = IntType(0)
    for item in items:
        total = total + item
    return total


def _index_of(value: Any, wanted: Any, start: Any = 0) -> Any:
    if isinstance(value, str):
        return IntType(value.find(wanted, start))
    return IntType(next((at for at, item in enumerate(value) if item == wanted), -1))


def _last_index_of(value: Any, wanted: Any) -> Any:
    if isinstance(value, str):
        return IntType(value.rfind(wanted))
    found = [at for at, item in enumerate(value) if item == wanted]
    return IntType(found[-1] if found else -1)


def _split(text: Any, by: Any, count: Any = -1) -> Any:
    limit = int(count)
    parts = text.split(by) if limit < 0 else text.split(by, max(limit - 1, 0))
    return ListType([StringType(part) for part in parts])


def _substring(text: Any, start: Any, end: Any = None) -> Any:
    return StringType(text[start:] if end is None else text[start:end])


def _replace(text: Any, old: Any, new: Any, count: Any = -1) -> Any:
    return StringType(text.replace(old, new, int(count)))


def _join(items: Any, by: Any = "") -> Any:
    return StringType(by.join(items))


def _is_ip(text: Any) -> Any:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return BoolType(False)
    return BoolType(True)


def _is_cidr(text: Any) -> Any:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return BoolType(False)
    return BoolType("/" in text)


def _is_url(text: Any) -> Any:
    parts = urlsplit(text)
    return BoolType(bool(parts.scheme and parts.netloc))


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "value": _value,
    "orValue": _or_value,
    "hasValue": _has_value,
    "isSorted": _is_sorted,
    "sum": _sum,
    "min": lambda items: min(items),
    "max": lambda items: max(items),
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "split": _split,
    "substring": _substring,
    "replace": _replace,
    "join": _join,
    "trim": lambda text: StringType(text.strip()),
    "lowerAscii": lambda text: StringType(text.lower()),
    "upperAscii": lambda text: StringType(text.upper()),
    "charAt": lambda text, at: StringType(text[at : at + 1]),
    "isIP": _is_ip,
    "isCIDR": _is_cidr,
    "isURL": _is_url,
}
