"""What the controller is asked to do while things go wrong.

A workload begins in a setting (nothing, or a server with a database, both Ready), acts once as a
user does, and is over when its condition holds. What it leaves behind in an undisturbed run is what
it must leave behind in every run.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.faults.seam import CRASH, ERROR, GROUPS
from tests.fix_operator import DATABASES, SERVERS, is_settled

from hybridpg.controller import SECRETS, JsonObject, Resource
from hybridpg.crds import GROUP

if TYPE_CHECKING:
    from tests.faults.lane import Lane

SERVER, DATABASE = "pg", "app"
ADMIN = "postgres"
"""The login of a server that the backend ``local`` makes."""
SERVER_LOGIN, DATABASE_LOGIN = "pg-login", "app-login"
OTHER_LOGIN = "other-login"
NOTHING, PAIR = "nothing", "pair"
EXTERNAL, LOCAL = "external", "local"
"""Backends."""
UNTOUCHED = "untouched"
"""Nothing happens: what a changed field has to lead back to."""
SWEEP_SECONDS = 0.2
RESET = {"metadata": {"labels": {"operator/action": "reset-password"}}}


@dataclass(frozen=True)
class Workload:
    """One course of events.

    ``setting`` is where it begins; ``leaves`` is the setting that it ends in without a trace.
    """

    name: str
    setting: str
    act: Callable[[Lane], Awaitable[None]]
    over: Callable[[Lane], bool]
    leaves: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    """What the database's spec has beyond the usual in the setting."""
    policy: str = "Delete"
    cold: bool = False
    """Whether the controller starts when the user has acted, so that its start is looked at too."""
    sweeps: bool = False
    """Whether Secrets are looked at all the time: what is done by the clock has no number."""
    loses_secret: bool = False
    """Whether the user spoils the Secret: until it is mended nothing that works is published."""
    passwords: int = 1
    """How many verifiers the role of the database has, from the setting to the end."""
    logins: tuple[str, ...] = (DATABASE_LOGIN,)
    """The Secrets that publish the login of the database."""
    backend: str = EXTERNAL
    groups: tuple[str, ...] = GROUPS
    """The faults that it is struck by: what is alike for all backends is shown with one."""
    role: str = DATABASE
    """Whose password and login are followed."""

    @property
    def login(self) -> str:
        """The Secret whose passwords are counted."""
        return self.logins[0] if self.logins else DATABASE_LOGIN


def _manifest(kind: Resource, name: str, spec: dict[str, Any]) -> JsonObject:
    spec = {"credentialsSecret": f"{name}-login", **spec}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def server(policy: str = "Delete", backend: str = EXTERNAL) -> JsonObject:
    """Return the manifest of the server."""
    options = {"backendOptions": {"server": "main"}} if backend == EXTERNAL else {}
    spec = {"backend": backend, "deletionPolicy": policy, **options}
    return _manifest(SERVERS, SERVER, spec)


def database(policy: str = "Delete", **spec: Any) -> JsonObject:
    """Return the manifest of the database."""
    base = {"serverRef": {"name": SERVER}, "deletionPolicy": policy}
    return _manifest(DATABASES, DATABASE, base | spec)


async def make_pair(lane: Lane, workload: Workload) -> None:
    """Create both objects."""
    await lane.view.create(SERVERS, server(workload.policy, workload.backend))
    await lane.view.create(DATABASES, database(workload.policy, **workload.spec))


def pair_is_ready(lane: Lane) -> bool:
    """Return whether both objects are Ready as they are now, and the Secret is back."""
    found = [lane.view.get(SERVERS, SERVER), lane.view.get(DATABASES, DATABASE)]
    secret = lane.view.get(SECRETS, DATABASE_LOGIN)
    return secret is not None and all(obj is not None and is_settled(obj) for obj in found)


def nothing_owned_is_left(lane: Lane) -> bool:
    """Return whether all objects of ours are gone; Secrets may stay, if nobody owns them."""
    owned = (obj["metadata"].get("ownerReferences") for obj in lane.view.current.values())
    return not any(lane.view.objects()) and not any(owned)


def nothing_is_left(lane: Lane) -> bool:
    """Return whether all objects of ours are gone, and what they owned."""
    return not lane.view.current


async def _create(lane: Lane) -> None:
    await lane.view.create(SERVERS, server(backend=lane.backend))
    await lane.view.create(DATABASES, database())


async def _create_database_first(lane: Lane) -> None:
    await lane.view.create(DATABASES, database())
    await lane.view.create(SERVERS, server())


async def _extensions(lane: Lane) -> None:
    spec = {"database": {"extensions": ["hstore", "citext"]}}
    await lane.view.patch(DATABASES, DATABASE, {"spec": spec})


async def _update_server(lane: Lane) -> None:
    await lane.view.patch(SERVERS, SERVER, {"spec": {"size": {"storageGB": 7}}})


async def _rename_secret(lane: Lane) -> None:
    await lane.view.patch(DATABASES, DATABASE, {"spec": {"credentialsSecret": OTHER_LOGIN}})


def _renamed(lane: Lane) -> bool:
    found = [lane.view.get(SERVERS, SERVER), lane.view.get(DATABASES, DATABASE)]
    ready = all(obj is not None and is_settled(obj) for obj in found)
    other = lane.view.get(SECRETS, OTHER_LOGIN)
    return ready and other is not None and lane.view.get(SECRETS, DATABASE_LOGIN) is None


async def _reset(lane: Lane) -> None:
    await lane.view.patch(DATABASES, DATABASE, RESET)


async def _reset_server(lane: Lane) -> None:
    await lane.view.patch(SERVERS, SERVER, RESET)


async def _configure_server(lane: Lane) -> None:
    # the first takes effect in the running server, the second with its next start
    parameters = {"work_mem": "8MB", "max_connections": "57"}
    await lane.view.patch(SERVERS, SERVER, {"spec": {"serverParameters": parameters}})


async def _delete_database(lane: Lane) -> None:
    await lane.view.delete(DATABASES, DATABASE)


def _database_gone(lane: Lane) -> bool:
    names = {name for _, name in lane.view.current}
    return names == {SERVER, SERVER_LOGIN}


def _database_retained(lane: Lane) -> bool:
    secret = lane.view.get(SECRETS, DATABASE_LOGIN)
    gone = lane.view.get(DATABASES, DATABASE) is None
    return gone and secret is not None and not secret["metadata"].get("ownerReferences")


async def _delete_both(lane: Lane) -> None:
    await lane.view.delete(SERVERS, SERVER)
    await lane.view.delete(DATABASES, DATABASE)


async def _make_again(lane: Lane) -> None:
    await lane.view.delete(DATABASES, DATABASE)
    await lane.until(lambda: lane.view.get(DATABASES, DATABASE) is None, "the deletion")
    await lane.view.create(DATABASES, database())


async def _lose_secret(lane: Lane) -> None:
    await lane.view.delete(SECRETS, DATABASE_LOGIN)
    await lane.until(lambda: lane.view.get(SECRETS, DATABASE_LOGIN) is None, "the loss")


async def _edit_secret(lane: Lane) -> None:
    # another one each time: the setting may be what this workload left before
    typed = f"somebody-typed-{secrets.token_hex(4)}"
    wrong = {"stringData": {"password": typed, "host": "nowhere"}}
    await lane.view.patch(SECRETS, DATABASE_LOGIN, wrong)


def login_is_back(lane: Lane) -> bool:
    """Return whether the Secret of the database was mended, after somebody spoilt it."""
    last = next((v for v in reversed(lane.view.history) if v.name == DATABASE_LOGIN), None)
    values = (last.values if last else None) or {}
    return values.get("host") == "127.0.0.1" and "next-password" not in values


def _login_is_right(lane: Lane) -> bool:
    return pair_is_ready(lane) and login_is_back(lane)


async def _create_beside_stranger(lane: Lane) -> None:
    lane.sql.run(f"CREATE ROLE {DATABASE} LOGIN PASSWORD 'of-a-stranger'")
    lane.sql.run(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")
    await _create(lane)


def _in_conflict(lane: Lane) -> bool:
    server, database = lane.view.get(SERVERS, SERVER), lane.view.get(DATABASES, DATABASE)
    if server is None or database is None:
        return False
    conditions = (database.get("status") or {}).get("conditions") or []
    refused = any(c["type"] == "Ready" and c["reason"] == "Conflict" for c in conditions)
    return is_settled(server) and refused


async def _touch_nothing(lane: Lane) -> None:
    await lane.view.up_to_date()


async def _adopt(lane: Lane) -> None:
    obj = database("Retain")
    obj["metadata"]["annotations"] = {f"{GROUP}/adopt": DATABASE}
    await lane.view.delete(DATABASES, DATABASE)
    # the Secret is let go of before: whether it was is what the new object shows
    await lane.until(lambda: lane.view.get(DATABASES, DATABASE) is None, "the deletion")
    await lane.view.create(DATABASES, obj)


def _of_local() -> Iterator[Workload]:
    """Yield the workloads in which a server is made, changed and removed."""
    local = partial(Workload, backend=LOCAL, groups=(CRASH, ERROR))
    yield local("local-create", NOTHING, _create, pair_is_ready, PAIR)
    yield local("local-server-update", PAIR, _configure_server, pair_is_ready)
    yield local(
        "local-server-rotate",
        *(PAIR, _reset_server, pair_is_ready),
        passwords=2,
        logins=(SERVER_LOGIN,),
        role=ADMIN,
    )
    yield local("local-delete", PAIR, _delete_both, nothing_is_left, NOTHING)
    yield local("local-retain", PAIR, _delete_both, nothing_owned_is_left, policy="Retain")


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("create", NOTHING, _create, pair_is_ready, PAIR),
        Workload("create-while-down", NOTHING, _create, pair_is_ready, PAIR, cold=True),
        Workload("create-database-first", NOTHING, _create_database_first, pair_is_ready, PAIR),
        Workload("beside-stranger", NOTHING, _create_beside_stranger, _in_conflict, logins=()),
        Workload(UNTOUCHED, PAIR, _touch_nothing, pair_is_ready, PAIR),
        Workload("server-update", PAIR, _update_server, pair_is_ready),
        Workload("database-extensions", PAIR, _extensions, pair_is_ready),
        Workload("database-rotate", PAIR, _reset, pair_is_ready, passwords=2),
        Workload(
            "secret-renamed", PAIR, _rename_secret, _renamed, logins=(DATABASE_LOGIN, OTHER_LOGIN)
        ),
        Workload("database-delete", PAIR, _delete_database, _database_gone),
        Workload("database-retain", PAIR, _delete_database, _database_retained, policy="Retain"),
        Workload("both-delete", PAIR, _delete_both, nothing_is_left, NOTHING),
        Workload(
            "database-again",
            PAIR,
            _make_again,
            pair_is_ready,
            PAIR,
            passwords=2,
        ),
        # who takes a role over sets its password anew, to the same one
        Workload("database-adopt", PAIR, _adopt, pair_is_ready, policy="Retain", passwords=2),
        Workload(
            "secret-lost",
            PAIR,
            _lose_secret,
            pair_is_ready,
            PAIR,
            sweeps=True,
            loses_secret=True,
            passwords=2,
        ),
        Workload(
            "secret-edited",
            PAIR,
            _edit_secret,
            _login_is_right,
            PAIR,
            sweeps=True,
            loses_secret=True,
            passwords=2,
        ),
        *_of_local(),
    )
}
