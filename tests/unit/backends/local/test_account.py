"""Who runs the servers: never root, and nobody else unless we are root."""

from __future__ import annotations

import os
import pwd

import pytest

from hybridpg.backends import Unavailable
from hybridpg.backends.local.account import ENVIRONMENT, resolve


def _users(monkeypatch: pytest.MonkeyPatch, euid: int, **uids: int) -> None:
    def getpwnam(name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", uids[name], uids[name] + 1, "", "/", "/bin/sh"))

    monkeypatch.setattr(os, "geteuid", lambda: euid)
    monkeypatch.setattr(pwd, "getpwnam", getpwnam)


@pytest.mark.parametrize(
    ("users", "name"),
    [({"postgres": 5, "nobody": 9}, "postgres"), ({"nobody": 9}, "nobody")],
)
def test_root_picks_an_unprivileged_user(
    monkeypatch: pytest.MonkeyPatch, users: dict[str, int], name: str
) -> None:
    _users(monkeypatch, 0, **users)
    account = resolve(None)
    uid = users[name]
    assert account.name == name
    assert account.identity() == {"user": uid, "group": uid + 1, "extra_groups": []}
    assert (account.files.uid, account.files.gid) == (uid, uid + 1)


@pytest.mark.parametrize("user", [None, "gone"])
def test_a_missing_user_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, user: str | None
) -> None:
    _users(monkeypatch, 0)
    with pytest.raises(Unavailable, match=r"no user .* set backends\.local\.user"):
        resolve(user)


def test_a_second_name_of_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _users(monkeypatch, 0, toor=0)
    with pytest.raises(Unavailable, match="does not run as root"):
        resolve("toor")


def test_anybody_else_runs_them_as_oneself(monkeypatch: pytest.MonkeyPatch) -> None:
    _users(monkeypatch, 1000, me=1000, other=1001)
    assert resolve(None).identity() == {}
    assert resolve("me").uid == 1000
    with pytest.raises(Unavailable, match="only root may choose"):
        resolve("other")


def test_the_environment_of_servers_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert set(ENVIRONMENT) == {"PATH", "LANG", "LC_MESSAGES"}
