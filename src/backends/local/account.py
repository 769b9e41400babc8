"""Who runs the servers: PostgreSQL refuses to run as root, and tenants' code runs inside it."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TypedDict

from ..errors import Unavailable
from .files import FileOwner

# Nothing of the controller's environment reaches a server: it may hold the keys of a cloud.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_MESSAGES": "C"}


class Identity(TypedDict, total=False):
    """The arguments that make ``subprocess`` change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user of this machine that servers run as."""

    name: str
    uid: int
    gid: int
    switch: bool
    """Whether the controller has to change to it (it is root)."""

    @property
    def files(self) -> FileOwner:
        """The owner of what the server must read or write."""
        return FileOwner(self.uid, self.gid)

    def identity(self) -> Identity:
        """Return the arguments that start a process as this user, with no further groups."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def resolve(user: str | None) -> Account:
    """Find the account: the option, else ``postgres`` or ``nobody``; oneself when not root."""
    me = os.geteuid()
    if me != 0:
        own = _entry(user) if user else None
        if own is not None and own.pw_uid != me:
            raise Unavailable(
                f"servers cannot run as {user}: only root may choose; remove backends.local.user"
            )
        return Account(user or str(me), me, os.getegid(), switch=False)
    names = [user] if user else ["postgres", "nobody"]
    entry = next((found for name in names if (found := _entry(name))), None)
    if entry is None:
        raise Unavailable(
            f"no user {' or '.join(names)} on this machine to run servers as; "
            "set backends.local.user"
        )
    if entry.pw_uid == 0:
        raise Unavailable("postgresql does not run as root; set another backends.local.user")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
