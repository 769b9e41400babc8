"""The string formats of structural schemas that the server checks; it ignores all others."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

_DATE_TIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})"
)
_DURATION: Final = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+|0")
_HOSTNAME: Final = re.compile(
    r"(?=.{1,255}$)[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*\.?"
)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


def _attempt(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def passes(text: str) -> bool:
        try:
            parse(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return passes


def _date_time(text: str) -> object:
    if not _DATE_TIME.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(re.sub(r"\.\d+", "", text).upper())


def _cidr(text: str) -> object:
    if "/" not in text:
        raise ValueError(text)
    return ipaddress.ip_network(text, strict=False)


def _uri(text: str) -> object:
    if not urlsplit(text).scheme and not text.startswith("/"):
        raise ValueError(text)
    return text


_CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    "date-time": _attempt(_date_time),
    "date": _attempt(date.fromisoformat),
    "duration": lambda text: bool(_DURATION.fullmatch(text)),
    "ipv4": _attempt(ipaddress.IPv4Address),
    "ipv6": _attempt(ipaddress.IPv6Address),
    "cidr": _attempt(_cidr),
    "hostname": lambda text: bool(_HOSTNAME.fullmatch(text)),
    "email": lambda text: bool(_EMAIL.fullmatch(text)),
    "uri": _attempt(_uri),
    "uuid": _attempt(uuid.UUID),
    "byte": _attempt(lambda text: base64.b64decode(text, validate=True)),
}


def passes(name: str, text: str) -> bool:
    """Whether a string has the named format; unknown formats accept everything."""
    check = _CHECKS.get(name)
    return check is None or check(text)
