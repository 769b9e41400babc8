"""Names, labels and finalizers: what the server accepts, and how it says no."""

from __future__ import annotations

import re
from typing import Final

SUBDOMAIN_LIMIT: Final = 253
LABEL_LIMIT: Final = 63

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_PART: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE: Final = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")

SUBDOMAIN_PROBLEM: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_PROBLEM: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
NAME_PART_PROBLEM: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
QUALIFIED_NAME_PROBLEM: Final = (
    "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
    "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain "
    "prefix and '/' (e.g. 'example.com/MyName')"
)
LABEL_VALUE_PROBLEM: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
CONFIG_KEY_PROBLEM: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _too_long(text: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} characters"] if len(text) > limit else []


def subdomain_problems(name: str) -> list[str]:
    """Return what is wrong with the name of an object."""
    problems = _too_long(name, SUBDOMAIN_LIMIT)
    if not _SUBDOMAIN.fullmatch(name):
        problems.append(SUBDOMAIN_PROBLEM)
    return problems


def label_problems(name: str) -> list[str]:
    """Return what is wrong with the name of a namespace."""
    problems = _too_long(name, LABEL_LIMIT)
    if "." in name:
        problems.append("must not contain dots")
    elif not _LABEL.fullmatch(name):
        problems.append(LABEL_PROBLEM)
    return problems


def qualified_name_problems(name: str) -> list[str]:
    """Return what is wrong with the key of a label or annotation, or with a finalizer."""
    prefix, slash, part = name.partition("/")
    if not slash:
        prefix, part = "", name
    elif "/" in part:
        return [QUALIFIED_NAME_PROBLEM]
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        problems += [f"prefix part {problem}" for problem in subdomain_problems(prefix)]
    if not part:
        problems.append("name part must be non-empty")
    elif len(part) > LABEL_LIMIT:
        problems.append(f"name part must be no more than {LABEL_LIMIT} characters")
    if not _NAME_PART.fullmatch(part):
        problems.append(NAME_PART_PROBLEM)
    return problems


def label_value_problems(value: str) -> list[str]:
    """Return what is wrong with the value of a label."""
    problems = _too_long(value, LABEL_LIMIT)
    if not _LABEL_VALUE.fullmatch(value):
        problems.append(LABEL_VALUE_PROBLEM)
    return problems


def config_key_problems(key: str) -> list[str]:
    """Return what is wrong with a key of a Secret or ConfigMap."""
    problems = _too_long(key, SUBDOMAIN_LIMIT)
    if key in (".", ".."):
        problems.append(f"must not be '{key}'")
    elif not _CONFIG_KEY.fullmatch(key):
        problems.append(CONFIG_KEY_PROBLEM)
    return problems
