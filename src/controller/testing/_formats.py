"""The string formats of structural schemas that the server checks.

Formats that it does not know accept everything, and so do here those of books, payment cards,
colours and the like, which it does know.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATE_TIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})"
)
_GO_DURATION: Final = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+|0")
# beside Go's own durations, numbers with a word anywhere in the text will do
_WORDED_DURATION: Final = re.compile(
    r"\d+\s*((ns|us|µs|ms|s|m|h|hr|d|w|wk)(?![A-Za-zµ])|nano|micro|milli|sec|min|hour|day|week)",
    re.IGNORECASE,
)
_OCTET: Final = r"0*(25[0-5]|2[0-4]\d|1?\d{1,2})"
_IPV4: Final = re.compile(rf"{_OCTET}(\.{_OCTET}){{3}}")
# one label has at most one hyphen, in its second place; the last of several has letters only
_HOSTNAME: Final = re.compile(
    r"[^\W_](-?[^\W_]{0,62})?|([^\W_](([^\W_]|-){0,61}[^\W_])?\.)+[^\W\d_]{2,63}"
)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+|[^@<>]*<[^@\s]+@[^@\s]+>")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)


def _attempt(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def passes(text: str) -> bool:
        try:
            parse(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return passes


def _matched(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(text)
    return text


def _date_time(text: str) -> object:
    whole = re.sub(r"\.\d+", "", _matched(_DATE_TIME, text))
    return datetime.fromisoformat(whole.upper())


def _ipv6(text: str) -> object:
    # a zone is part of an address for Python only
    return ipaddress.IPv6Address(text.replace("%", "/"))


def _cidr(text: str) -> object:
    address, _, bits = text.partition("/")
    return ipaddress.ip_network(f"{address}/{int(bits)}", strict=False)


def _uri(text: str) -> object:
    parts = urlsplit(text)
    if not (parts.scheme or text.startswith("/")) or " " in parts.netloc:
        raise ValueError(text)
    return text


def _byte(text: str) -> object:
    if not text:
        raise ValueError(text)
    return base64.b64decode(text, validate=True)


def _duration(text: str) -> bool:
    return bool(_GO_DURATION.fullmatch(text) or _WORDED_DURATION.search(text))


_CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    "date-time": _attempt(_date_time),
    "date": _attempt(lambda text: date.fromisoformat(_matched(_DATE, text))),
    "duration": _duration,
    "ipv4": lambda text: bool(_IPV4.fullmatch(text)),
    "ipv6": _attempt(_ipv6),
    "cidr": _attempt(_cidr),
    "hostname": lambda text: bool(_HOSTNAME.fullmatch(text)),
    "email": lambda text: bool(_EMAIL.fullmatch(text)),
    "uri": _attempt(_uri),
    "uuid": lambda text: bool(_UUID.fullmatch(text)),
    "byte": _attempt(_byte),
}


def passes(name: str, text: str) -> bool:
    """Whether a string has the named format; unknown formats accept everything."""
    check = _CHECKS.get(name)
    return check is None or check(text)
