"""Whether the server of a database is still the one that it was made on.

A name proves nothing: an object that lost its finalizer by force can be replaced by one of the same
name, whose server is another one, empty. So status keeps the UID of the server's object. Where it
differs, the mark of this very database decides, which is there if the new object took the old
server over, or made one of its backup. Else the owner says what is to become of the database.
"""

from __future__ import annotations

from enum import Enum

from ..backends import Absent
from .deletion import kept_earlier
from .kinds import ACCEPT_SERVER
from .runtime import Runtime, ServerEntry
from .status import StatusDraft
from .targets import database_target


class Content(Enum):
    """What is on a server by the name of a database."""

    OURS = "ours"
    THEIRS = "theirs"
    NOTHING = "nothing"


def is_another(draft: StatusDraft, uid: str) -> bool:
    """Return whether a server's object is not the one that the database was made with.

    A status of an earlier version does not say which that was.
    """
    accepted = draft.subject.annotations.get(ACCEPT_SERVER) == uid
    return draft.get("serverUID") not in (None, "", uid) and not accepted


async def content_of(runtime: Runtime, draft: StatusDraft, server: ServerEntry) -> Content:
    """Return whose database is there; its data alone proves it, a role without them does not.

    Raises:
        BackendError: no clear answer.
    """
    ref = await database_target(runtime, draft, server)
    observed = await runtime.backends.get(server.backend).observe_database(ref)
    if isinstance(observed, Absent):
        return Content.NOTHING
    owner = observed.state.owner
    if not ref.owner.same(owner) and not kept_earlier(ref.owner, owner):
        return Content.THEIRS
    return Content.OURS if observed.state.present else Content.NOTHING


def replaced(draft: StatusDraft, name: str, uid: str) -> str:
    """Return the words for a server that was replaced by another one without the database."""
    database = draft.get("externalName") or draft.subject.name
    return (
        f"server {name} is another one than {database} was made on, and {database} is not on it; "
        f"bring the former back, or set annotation {ACCEPT_SERVER}: {uid} to go on with this one"
    )
