"""How a server goes: kept where it is, kept as a snapshot, or removed.

A folder leaves ``servers/`` by one rename, after its process is gone. From then on the server is
absent, and what is left to do is found by the folder's new name.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ..errors import Conflict
from ..values import (
    Policy,
    ServerRef,
)
from .files import sync_folder
from .layout import Home, Layout, spelling
from .record import Record, load, save
from .stopping import kill_below, stop


def retain(home: Home, server: ServerRef) -> None:
    """Mark a server as retained; it keeps running. Repeating it is harmless; blocks."""
    with home.locked():
        record = load(home)
        if record is None:
            return
        kept = replace(server.owner, retained=True).mark()
        if record.owner != kept:
            check_owner(server, record)
            save(home, replace(record, owner=kept))


async def remove(layout: Layout, server: ServerRef, policy: Policy) -> None:
    """Stop a server, then keep its folder as a snapshot or remove it."""
    home = layout.home(server.external_name)
    with home.locked():
        record = await asyncio.to_thread(load, home)
        if record is None:
            return
        check_owner(server, record)
        await stop(home)
        await kill_below(home.root)
        if policy is Policy.SNAPSHOT:
            name = f"{spelling(server.external_name)}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
            target = layout.snapshots / name
        else:
            target = layout.tombstone(server.external_name)
        await asyncio.to_thread(_move, home.root, target)
    if policy is not Policy.SNAPSHOT:
        await bury(layout, server.external_name)


async def bury(layout: Layout, name: str) -> None:
    """Remove what is left of deleted servers of this name."""
    for tombstone in layout.tombstones(name):
        await asyncio.to_thread(_remove, tombstone)


def check_owner(server: ServerRef, record: Record) -> None:
    """Raise ``Conflict`` unless the mark on disk is this very object's."""
    owner = record.parsed_owner()
    if not server.owner.same(owner):
        raise Conflict(
            server.external_name,
            owner,
            f"server {server.external_name} belongs to {record.owner or 'nobody we know'}",
        )


def snapshots_of(layout: Layout, server: ServerRef) -> list[Path]:
    """Return the snapshots that this very object left; blocks."""
    found = []
    for folder in sorted(layout.snapshots.glob(f"{spelling(server.external_name)}-[0-9]*T[0-9]*Z")):
        record = load(Home(folder))
        if record is not None and server.owner.same(record.parsed_owner()):
            found.append(folder)
    return found


def _move(source: Path, target: Path) -> None:
    source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:  # another controller was faster
        return
    sync_folder(folder.parent)
