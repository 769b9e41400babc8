"""From our objects to the references by which a backend addresses their external things."""

from __future__ import annotations

from typing import Final

from ..backends import Backend, DatabaseRef, Owner, ServerRef
from ..controller import ObjectKey
from .naming import database_name, server_name
from .runtime import ServerEntry
from .status import StatusDraft
from .subject import Subject

ADMIN_DATABASE: Final = "postgres"
"""The system database: the server Secret names it, and no tenant may use it for anything else."""


def server_of(subject: Subject) -> ObjectKey | None:
    """Return the server that a database names; None for a server."""
    name = (subject.spec.get("serverRef") or {}).get("name")
    return ObjectKey(subject.namespace, str(name)) if name else None


def owner_of(subject: Subject, cluster_id: str) -> Owner:
    """Return the mark that everything of this object carries."""
    return Owner(cluster_id, subject.uid, subject.namespace, subject.name)


def own_server_name(subject: Subject, backend: Backend, cluster_id: str) -> str:
    """Return what a new server of an object is called, by the backend's pattern."""
    limits = backend.capabilities
    return server_name(
        limits.name_pattern,
        subject.namespace,
        subject.name,
        limit=limits.name_limit,
        cluster_id=cluster_id,
    )


def own_database_name(subject: Subject, cluster_id: str) -> str:
    """Return what a new database of an object is called: as its spec asks for, or as the object."""
    wanted = (subject.spec.get("database") or {}).get("name")
    return database_name(wanted, subject.namespace, subject.name, cluster_id=cluster_id)


def server_ref(
    draft: StatusDraft, backend: Backend, cluster_id: str, *, name: str = ""
) -> ServerRef:
    """Return the reference of a server by ``name``, else by the recorded name, else by its own.

    Made of the stored object, not of a validated spec: a deletion must not fail on an old spec.
    """
    subject = draft.subject
    name = name or draft.get("externalName") or own_server_name(subject, backend, cluster_id)
    recorded = draft.get("effective") if draft.get("backend") == backend.name else None
    return ServerRef(
        owner_of(subject, cluster_id),
        name,
        adopt=subject.adopts(name),
        options=dict(subject.spec.get("backendOptions") or {}),
        recorded=dict(recorded or {}),
    )


def database_ref(
    draft: StatusDraft, server: ServerEntry, cluster_id: str, *, name: str = ""
) -> DatabaseRef:
    """Return the reference of a database: by ``name``, by the recorded one, or by its own."""
    subject = draft.subject
    name = name or draft.get("externalName") or own_database_name(subject, cluster_id)
    return DatabaseRef(
        owner_of(subject, cluster_id),
        name,
        server.ref,
        server.endpoint,
        adopt=subject.adopts(name),
    )
