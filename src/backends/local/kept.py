"""Servers and snapshots that outlived their objects, by their records."""

from __future__ import annotations

from ..errors import Unknown
from ..retained import Retained, RetainedThings
from .layout import Home, Layout
from .record import Record, load


def kept_servers(layout: Layout) -> tuple[RetainedThings, dict[str, Record]]:
    """Return what was kept of this machine's servers, and all records by name; blocks."""
    found: list[Retained] = []
    problems: list[str] = []
    records: dict[str, Record] = {}
    homes = [(name, layout.home(name)) for name in layout.names()]
    for name, home in homes:
        record = _read(home, problems)
        if record is None:
            continue
        records[name] = record
        owner = record.parsed_owner()
        if owner is not None and owner.retained:
            found.append(Retained("server", name, owner, str(home.root)))
    for folder in sorted(layout.snapshots.glob("*")):
        record = _read(Home(folder), problems)
        owner = record.parsed_owner() if record else None
        if record is not None and owner is not None:
            found.append(Retained("snapshot", record.name, owner, str(folder)))
    return RetainedThings(tuple(found), tuple(problems)), records


def _read(home: Home, problems: list[str]) -> Record | None:
    try:
        return load(home)
    except Unknown as error:
        problems.append(str(error))
        return None
