"""Files that survive a crash: written whole, synced, and only then given their name.

A half-written mark would be a server that nobody owns, a half-written key a server that cannot
start. Everything that the backend keeps on disk goes through here. All of it blocks: callers on
the event loop use ``asyncio.to_thread``.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644


@dataclass(frozen=True, slots=True)
class FileOwner:
    """The user and group that a file is given to."""

    uid: int
    gid: int


def write_atomic(
    path: Path, content: str, *, mode: int = PRIVATE, owner: FileOwner | None = None
) -> None:
    """Replace ``path`` by ``content``; a crash leaves the old file or the new one, never a part.

    The mode is set before the first byte is written, so a secret is at no instant readable.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            os.fchmod(handle, mode)  # the umask may have taken bits away
            if owner is not None:
                os.fchown(handle, owner.uid, owner.gid)
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path, *, mode: int = 0o700, owner: FileOwner | None = None) -> None:
    """Ensure that a folder exists with this mode and owner; its parents are made as needed."""
    path.mkdir(parents=True, exist_ok=True)
    state = path.stat()
    if owner is not None and (state.st_uid, state.st_gid) != (owner.uid, owner.gid):
        os.chown(path, owner.uid, owner.gid)
    if state.st_mode & 0o7777 != mode:
        path.chmod(mode)


def read_text(path: Path) -> str | None:
    """Return the content of a file, or None where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
