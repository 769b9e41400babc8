"""What a user can do between two writes of the controller, and what may come of it.

Each kind says in :class:`Interference` what is allowed afterwards; all else is a violation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from tests.faults import namespaces
from tests.faults.actions import DATABASE, DATABASE_LOGIN, SERVER, database
from tests.faults.seam import USER, Fault, Seen
from tests.fix_operator import DATABASES, SERVERS

from hybridpg.controller import SECRETS, NotFound

if TYPE_CHECKING:
    from tests.faults.lane import Lane

CONFLICTS: Final = frozenset({"Conflict", "SecretConflict"})
WITHOUT_FINALIZER: Final = {"metadata": {"finalizers": None}}


@dataclass(frozen=True)
class Interference:
    """One thing that somebody does, and what it excuses."""

    act: Callable[[Lane], Awaitable[None]]
    ends: frozenset[str] = frozenset()
    """The reasons for which the database may stay unready for ever."""
    spoils_login: bool = False
    """Whether the published password may fail, or be another one, until it is mended."""
    forbids_login: bool = False
    """Whether a role that stays behind without its object may not log in, as the user wanted."""
    drops_rows: bool = False
    """Whether it was the user who destroyed the data."""
    deletes: bool = False
    """Whether the database's object may be gone afterwards, by policy, with what belongs to it."""
    abandons: bool = False
    """Whether things may stay behind on the server, because nobody waits for their end."""
    empties: bool = False
    """Whether no object of ours is left in the end."""


async def _delete_secret(lane: Lane) -> None:
    await lane.view.delete(SECRETS, DATABASE_LOGIN)


async def _edit_secret(lane: Lane) -> None:
    wrong = {"stringData": {"password": "somebody-typed-this", "host": "nowhere"}}
    with contextlib.suppress(NotFound):
        await lane.view.patch(SECRETS, DATABASE_LOGIN, wrong)


async def _drop_database(lane: Lane) -> None:
    lane.sql.run(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


async def _alter_password(lane: Lane) -> None:
    _on_role(lane, f"ALTER ROLE {DATABASE} PASSWORD 'set-by-hand'")


async def _forbid_login(lane: Lane) -> None:
    _on_role(lane, f"ALTER ROLE {DATABASE} NOLOGIN")


def _on_role(lane: Lane, statement: str) -> None:
    with contextlib.suppress(psycopg.errors.UndefinedObject):  # it is not made yet, or dropped
        lane.sql.run(statement)


async def _delete_database(lane: Lane) -> None:
    await lane.view.delete(DATABASES, DATABASE)


async def _delete_server(lane: Lane) -> None:
    await lane.view.delete(SERVERS, SERVER)


async def _take_finalizer_off(lane: Lane) -> None:
    with contextlib.suppress(NotFound):
        await lane.view.patch(DATABASES, DATABASE, WITHOUT_FINALIZER)


async def _delete_namespace(lane: Lane) -> None:
    await namespaces.delete(lane.client, lane.namespace)


async def recreate(lane: Lane) -> None:
    """Remove the database's object, whoever holds it, and make it anew: another UID."""
    before = lane.view.get(DATABASES, DATABASE)
    if before is None:
        return
    await _delete_database(lane)
    await _take_finalizer_off(lane)
    uid = before["metadata"]["uid"]

    def gone() -> bool:
        now = lane.view.get(DATABASES, DATABASE)
        return now is None or now["metadata"]["uid"] != uid

    await lane.until(gone, "the deletion by hand")
    if lane.view.get(DATABASES, DATABASE) is None:
        await lane.view.create(DATABASES, database(before["spec"]["deletionPolicy"]))


INTERFERENCES: Final = {
    "secret-deleted": Interference(_delete_secret, spoils_login=True),
    "secret-edited": Interference(_edit_secret, spoils_login=True),
    "database-dropped": Interference(_drop_database, drops_rows=True),
    "role-password": Interference(_alter_password, spoils_login=True),
    "role-nologin": Interference(_forbid_login, spoils_login=True, forbids_login=True),
    "database-deleted": Interference(_delete_database, deletes=True),
    "server-deleted": Interference(
        _delete_server, frozenset({"ServerNotFound", "WaitingForServer"}), deletes=True
    ),
    "namespace-deleted": Interference(
        _delete_namespace, spoils_login=True, deletes=True, empties=True
    ),
    "finalizer-removed": Interference(
        _take_finalizer_off, CONFLICTS, spoils_login=True, deletes=True, abandons=True
    ),
}
RECREATION: Final = Interference(
    recreate, CONFLICTS, spoils_login=True, deletes=True, abandons=True
)
KINDS: Final = tuple(Fault(USER, name) for name in INTERFERENCES)


def faults(seen: Seen) -> Sequence[Fault]:
    """Return what somebody can do behind a call of a clean run: anything, behind a write."""
    return KINDS if seen.writes and "/events" not in seen.call.target else ()


def of(fault: Fault) -> Interference:
    """Return what a fault does."""
    return INTERFERENCES[fault.kind] if fault.group == USER else RECREATION
