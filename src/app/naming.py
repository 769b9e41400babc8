"""External names: stable, within the limits of the target, and never silently shared.

The documented pattern is kept. It is not injective (``a/b-c`` and ``a-b/c`` make one name), so a
name proves nothing: ownership does, and the second claimant gets a Conflict.
"""

from __future__ import annotations

import hashlib
from typing import Final

DATABASE_NAME_LIMIT: Final = 63
"""Bytes of a PostgreSQL identifier (NAMEDATALEN - 1); the server cuts longer ones silently."""
_HASH_LENGTH: Final = 10
"""Hexadecimal digits (40 bits): two of 10,000 cut names collide with a chance of 1 in 20,000."""


def shorten(name: str, limit: int, identity: str) -> str:
    """Return ``name``, or where it is longer than ``limit`` bytes, its start and a hash.

    ``identity`` is what the hash is made of, so that two long names stay two.
    """
    encoded = name.encode()
    if len(encoded) <= limit:
        return name
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_HASH_LENGTH]
    start = encoded[: limit - _HASH_LENGTH - 1].decode(errors="ignore").rstrip("-_.")
    return f"{start}-{digest}"


def server_name(pattern: str, namespace: str, name: str, *, limit: int, cluster_id: str) -> str:
    """Return the external name of a server by the backend's documented pattern."""
    full = pattern.replace("{namespace}", namespace).replace("{name}", name)
    return shorten(full, limit, f"{cluster_id}/{namespace}/{name}")


def database_name(requested: str | None, namespace: str, name: str, *, cluster_id: str) -> str:
    """Return the name of a database and its role: as asked for, or the object's with underscores.

    The rule is the predecessor's (dashes become underscores), whose users' databases have it.
    """
    full = requested or name.replace("-", "_")
    return shorten(full, DATABASE_NAME_LIMIT, f"{cluster_id}/{namespace}/{name}")
