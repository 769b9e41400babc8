"""The file ``server.json``: whose a server is, and what was last made of it.

It is written before the first byte of data, so a crash at any moment leaves either nothing or a
folder that says whose it is. Only the controller can read or write it: a server that was taken
over from inside cannot forge it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import Unknown
from ..values import (
    Owner,
)
from .files import read_text, write_atomic
from .layout import Home

FORMAT = 1  # raised when an older controller could misread the file


@dataclass(frozen=True, slots=True)
class Record:
    """What the controller knows of a server."""

    owner: str
    """The mark."""
    name: str
    port: int
    """Kept for the server's life: it is published."""
    major: int
    version: str = ""
    """The full version that its last start was with; written before that start."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The user's part of the configuration that is in effect; written after it is."""
    storage_gb: int = 0
    admin: str = ""
    """The published admin, once its role is made."""
    started: bool = False
    """Whether it ever ran: until then its port may change."""
    refused: Sequence[Sequence[str]] = ()
    """Settings that the program did not take: name, value, its version and its reason. Kept here,
    as to find it out may have stopped the server, which no restart of the controller may repeat."""
    format: int = FORMAT

    def parsed_owner(self) -> Owner | None:
        """Return whose it is."""
        return Owner.parse(self.owner)


def load(home: Home) -> Record | None:
    """Read the record of a server; None where there is none, ``Unknown`` where it is no record."""
    text = read_text(home.record)
    if text is None:
        return None
    try:
        record = Record(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise Unknown(f"{home.record} cannot be read; restore it from a backup") from error
    if record.format > FORMAT:
        raise Unknown(f"{home.record} was written by a newer version of this program")
    return record


def save(home: Home, record: Record) -> None:
    """Write the record so that a crash leaves the old one or the new one."""
    fields = dataclasses.asdict(record)
    if not record.refused:
        del fields["refused"]  # a former controller knows no such field
    content = json.dumps(fields, indent=1, sort_keys=True)
    write_atomic(home.record, content + "\n")
