"""What a user does in the workloads, and how it is seen that it is over."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from tests.fix_operator import DATABASES, SERVERS, is_settled

from hybridpg.controller import SECRETS, JsonObject, Resource
from hybridpg.crds import GROUP

if TYPE_CHECKING:
    from tests.faults.lane import Lane
    from tests.faults.workloads import Workload

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


async def create(lane: Lane) -> None:
    """Create both objects."""
    await lane.view.create(SERVERS, server(backend=lane.backend))
    await lane.view.create(DATABASES, database())


async def create_database_first(lane: Lane) -> None:
    """Create the database before its server."""
    await lane.view.create(DATABASES, database())
    await lane.view.create(SERVERS, server())


async def extensions(lane: Lane) -> None:
    """Ask for extensions."""
    spec = {"database": {"extensions": ["hstore", "citext"]}}
    await lane.view.patch(DATABASES, DATABASE, {"spec": spec})


async def update_server(lane: Lane) -> None:
    """Ask for more storage."""
    await lane.view.patch(SERVERS, SERVER, {"spec": {"size": {"storageGB": 7}}})


async def rename_secret(lane: Lane) -> None:
    """Ask for another name of the Secret."""
    await lane.view.patch(DATABASES, DATABASE, {"spec": {"credentialsSecret": OTHER_LOGIN}})


def renamed(lane: Lane) -> bool:
    """Return whether the login is published under the new name alone."""
    found = [lane.view.get(SERVERS, SERVER), lane.view.get(DATABASES, DATABASE)]
    ready = all(obj is not None and is_settled(obj) for obj in found)
    other = lane.view.get(SECRETS, OTHER_LOGIN)
    return ready and other is not None and lane.view.get(SECRETS, DATABASE_LOGIN) is None


async def reset(lane: Lane) -> None:
    """Ask for a new password of the database's login."""
    await lane.view.patch(DATABASES, DATABASE, RESET)


async def reset_server(lane: Lane) -> None:
    """Ask for a new password of the server's login."""
    await lane.view.patch(SERVERS, SERVER, RESET)


async def configure_server(lane: Lane) -> None:
    """Change parameters of the server."""
    # the first takes effect in the running server, the second with its next start
    parameters = {"work_mem": "8MB", "max_connections": "57"}
    await lane.view.patch(SERVERS, SERVER, {"spec": {"serverParameters": parameters}})


async def delete_database(lane: Lane) -> None:
    """Delete the database."""
    await lane.view.delete(DATABASES, DATABASE)


def database_gone(lane: Lane) -> bool:
    """Return whether the server is all that is left."""
    names = {name for _, name in lane.view.current}
    return names == {SERVER, SERVER_LOGIN}


def database_retained(lane: Lane) -> bool:
    """Return whether the object is gone and its Secret is nobody's."""
    secret = lane.view.get(SECRETS, DATABASE_LOGIN)
    gone = lane.view.get(DATABASES, DATABASE) is None
    return gone and secret is not None and not secret["metadata"].get("ownerReferences")


async def delete_both(lane: Lane) -> None:
    """Delete the server and the database."""
    await lane.view.delete(SERVERS, SERVER)
    await lane.view.delete(DATABASES, DATABASE)


async def make_again(lane: Lane) -> None:
    """Delete the database and create it once more."""
    await _delete_wholly(lane)
    await lane.view.create(DATABASES, database())


async def lose_secret(lane: Lane) -> None:
    """Delete the Secret of the database."""
    await lane.view.delete(SECRETS, DATABASE_LOGIN)
    await lane.until(lambda: lane.view.get(SECRETS, DATABASE_LOGIN) is None, "the loss")


async def edit_secret(lane: Lane) -> None:
    """Write something else into the Secret of the database."""
    # another one each time: the setting may be what this workload left before
    typed = f"somebody-typed-{secrets.token_hex(4)}"
    wrong = {"stringData": {"password": typed, "host": "nowhere"}}
    await lane.view.patch(SECRETS, DATABASE_LOGIN, wrong)


def login_is_back(lane: Lane) -> bool:
    """Return whether the Secret of the database was mended, after somebody spoilt it."""
    last = next((v for v in reversed(lane.view.history) if v.name == DATABASE_LOGIN), None)
    values = (last.values if last else None) or {}
    return values.get("host") == "127.0.0.1" and "next-password" not in values


def login_is_right(lane: Lane) -> bool:
    """Return whether both objects are Ready, and the Secret was mended."""
    return pair_is_ready(lane) and login_is_back(lane)


async def create_beside_stranger(lane: Lane) -> None:
    """Create both objects where somebody has that database already."""
    lane.sql.run(f"CREATE ROLE {DATABASE} LOGIN PASSWORD 'of-a-stranger'")
    lane.sql.run(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")
    await create(lane)


def in_conflict(lane: Lane) -> bool:
    """Return whether the server is Ready and the database is refused."""
    server, database = lane.view.get(SERVERS, SERVER), lane.view.get(DATABASES, DATABASE)
    if server is None or database is None:
        return False
    conditions = (database.get("status") or {}).get("conditions") or []
    refused = any(c["type"] == "Ready" and c["reason"] == "Conflict" for c in conditions)
    return is_settled(server) and refused


async def touch_nothing(lane: Lane) -> None:
    """Do nothing."""
    await lane.view.up_to_date()


async def adopt(lane: Lane) -> None:
    """Delete a database that is retained, and take it over by another object."""
    obj = database("Retain")
    obj["metadata"]["annotations"] = {f"{GROUP}/adopt": DATABASE}
    # the Secret is let go of before: whether it was is what the new object shows
    await _delete_wholly(lane)
    await lane.view.create(DATABASES, obj)


async def _delete_wholly(lane: Lane) -> None:
    """Delete the database and wait until that object is gone, whoever makes another meanwhile."""
    before = lane.view.get(DATABASES, DATABASE)
    await lane.view.delete(DATABASES, DATABASE)

    def gone() -> bool:
        now = lane.view.get(DATABASES, DATABASE)
        return now is None or before is None or now["metadata"]["uid"] != before["metadata"]["uid"]

    await lane.until(gone, "the deletion")
