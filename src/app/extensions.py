"""Which extensions a database may have: what its server's spec and the administrator allow."""

from __future__ import annotations

from ..controller import ObjectKey
from ..crds import DatabaseSpec
from .runtime import Runtime
from .subject import Subject


def allowed_extensions(
    runtime: Runtime, subject: Subject, spec: DatabaseSpec
) -> frozenset[str] | None:
    """Return the allowed extensions; None allows whatever the server offers.

    A server that lists extensions allows only those; one that lists none leaves it to the
    administrator's list.
    """
    by_admin = runtime.config.extensions.allowed
    allowed = None if by_admin is None else frozenset(by_admin)
    server = runtime.servers.get(ObjectKey(subject.namespace, spec.server_ref.name))
    listed = (server.decode().get("spec") or {}).get("extensions") if server else None
    if not listed:
        return allowed
    return frozenset(listed) if allowed is None else allowed & frozenset(listed)
