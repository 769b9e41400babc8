"""What is seen of a server from outside: its record, its files and its process. No SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import Unknown
from ..values import (
    ServerState,
)
from .files import read_text
from .layout import Home, Layout
from .process import postmaster
from .record import Record, load
from .tls import Authority

SERVER_CERTIFICATE = "server.crt"


@dataclass(frozen=True, slots=True)
class LocalState(ServerState):
    """A server of this machine. Two looks at an unchanged server are equal."""

    major: int = 0
    port: int = 0
    storage_gb: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    initialized: bool = False
    """Whether its data folder is complete."""
    running: bool = False
    """Whether its process is there, answering or not."""
    administered: bool = False
    """Whether the published admin's role was made."""
    certified: bool = False
    """Whether its certificate is ours and good for a while."""
    refused: Sequence[Sequence[str]] = ()
    """Settings that it did not take; :attr:`.record.Record.refused`."""


def look(home: Home, authority: Authority) -> LocalState | None:
    """Return the state of a server, or None where nothing was made or only a part without mark.

    Blocks for a fraction of a millisecond. Raises ``Unknown`` where data lies without a record:
    somebody removed it, and nothing may be concluded.
    """
    record = load(home)
    if record is None:
        if home.root.exists():
            raise Unknown(
                f"{home.root} has no server.json, so nobody knows whose it is; move it away or "
                "restore the file"
            )
        return None
    process = postmaster(home.data)
    certificate = read_text(home.data / SERVER_CERTIFICATE)
    initialized = home.data.is_dir()
    ready = process is not None and process.status == "ready" and bool(record.admin)
    return LocalState(
        owner=record.parsed_owner(),
        ready=ready,
        message="" if ready else _why_not(record, initialized, process and process.status),
        version=record.version,
        admin_username=record.admin,
        effective=_effective(record),
        major=record.major,
        port=record.port,
        storage_gb=record.storage_gb,
        settings=record.settings,
        initialized=initialized,
        running=process is not None,
        administered=bool(record.admin),
        certified=certificate is not None and authority.vouches_for(certificate),
        refused=record.refused,
    )


def look_at_all(layout: Layout, authority: Authority) -> dict[str, LocalState]:
    """Return the states of all servers; one that cannot be read does not hide the others."""
    found: dict[str, LocalState] = {}
    for name in layout.names():
        try:
            state = look(layout.home(name), authority)
        except Unknown as error:
            state = LocalState(owner=None, ready=False, message=str(error))
        if state is not None:
            found[name] = state
    return found


def _effective(record: Record) -> dict[str, object]:
    effective: dict[str, object] = {"version": str(record.major), "port": record.port}
    if record.storage_gb:
        effective["storageGB"] = record.storage_gb
    if record.settings:
        effective["serverParameters"] = dict(record.settings)
    return effective


def _why_not(record: Record, initialized: bool, status: str | None) -> str:
    if not initialized:
        return "the data folder is being made"
    if status is None:
        return "the server does not run" if record.started else "the server was not started yet"
    return "its admin role is being made" if status == "ready" else f"the server is {status}"
