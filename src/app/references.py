"""From our objects to the references by which a backend addresses their external things."""

from __future__ import annotations

from typing import Final

from ..backends import Backend, DatabaseRef, Owner, ServerRef
from .naming import database_name, server_name
from .runtime import ServerEntry
from .status import StatusDraft
from .subject import Subject

ADMIN_DATABASE: Final = "postgres"
"""The system database: the server Secret names it, and no tenant may use it for anything else."""


def owner_of(subject: Subject, cluster_id: str) -> Owner:
    """Return the mark that everything of this object carries."""
    return Owner(cluster_id, subject.uid, subject.namespace, subject.name)


def server_ref(draft: StatusDraft, backend: Backend, cluster_id: str) -> ServerRef:
    """Return the reference of a server; a name that was recorded once is kept for ever.

    Made of the stored object, not of a validated spec: a deletion must not fail on an old spec.
    """
    subject, limits = draft.subject, backend.capabilities
    name = draft.get("externalName") or server_name(
        limits.name_pattern,
        subject.namespace,
        subject.name,
        limit=limits.name_limit,
        cluster_id=cluster_id,
    )
    return ServerRef(
        owner_of(subject, cluster_id),
        name,
        adopt=subject.adopts(name),
        options=dict(subject.spec.get("backendOptions") or {}),
    )


def database_ref(draft: StatusDraft, server: ServerEntry, cluster_id: str) -> DatabaseRef:
    """Return the reference of a database; a name that was recorded once is kept for ever."""
    subject = draft.subject
    name = draft.get("externalName") or database_name(
        (subject.spec.get("database") or {}).get("name"),
        subject.namespace,
        subject.name,
        cluster_id=cluster_id,
    )
    return DatabaseRef(
        owner_of(subject, cluster_id),
        name,
        server.ref,
        server.endpoint,
        adopt=subject.adopts(name),
    )
