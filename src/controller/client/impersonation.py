"""In whose name a kubeconfig wants its requests to be made, where that is not the login's own.

Who logs in with many rights and works as somebody with few must never work with the many: what of
it cannot be sent is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ..errors import ConfigError
from ..types import Headers

USER: Final = "as"
UID: Final = "as-uid"
GROUPS: Final = "as-groups"
EXTRA: Final = "as-user-extra"

_LEGAL_IN_NAMES: Final = "!#$&'*+^`|"
"""Beside letters, digits and ``_.-~``; a percent sign is escaped, or it would be taken for one."""


def impersonation(user: Any) -> Headers:
    """Return the headers that a user of a kubeconfig asks for, as client-go sends them.

    Errors: :class:`~..errors.ConfigError` for what cannot be sent, and where there is something
    of a user that is not named.
    """
    if not isinstance(user, Mapping):
        raise ConfigError("a user must be a map in a kubeconfig")
    name = _text(user, USER)
    for other in (UID, GROUPS, EXTRA):
        if user.get(other) and not name:
            raise ConfigError(f"the kubeconfig has {other} without {USER}: name the user, too")
    if not name:
        return ()
    headers = [("Impersonate-User", name)]
    if uid := _text(user, UID):
        headers.append(("Impersonate-Uid", uid))
    headers += [("Impersonate-Group", group) for group in _texts(user.get(GROUPS), GROUPS)]
    extra = user.get(EXTRA) or {}
    if not isinstance(extra, dict):
        raise ConfigError(f"{EXTRA} must be a map of lists of texts in a kubeconfig")
    for key, values in extra.items():
        header = f"Impersonate-Extra-{quote(str(key), safe=_LEGAL_IN_NAMES)}"
        headers += [(header, value) for value in _texts(values, EXTRA)]
    return tuple(headers)


def _text(user: Mapping[str, Any], field: str) -> str:
    value = user.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigError(f"{field} must be a text in a kubeconfig")
    return _sendable(value, field)


def _texts(values: Any, field: str) -> list[str]:
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"{field} must be a list of texts in a kubeconfig")
    return [_sendable(value, field) for value in values]


def _sendable(value: str, field: str) -> str:
    if not value.isprintable():
        raise ConfigError(f"{field} holds a character that no header can have in a kubeconfig")
    return value
