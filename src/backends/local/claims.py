"""Taking names and ports: the first thing written of a server is whose it is."""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import Quota, Unknown
from ..local_options import PortRange
from ..values import (
    ServerRef,
)
from .cluster import port_is_free
from .files import make_folder, sync_folder
from .layout import Home, Layout
from .record import Record, load, save

logger = logging.getLogger(__name__)

OPEN_FOLDER = 0o711  # the servers' user passes through and cannot list


@dataclass(frozen=True, slots=True)
class Claims:
    """Gives out names and ports; safe against other controllers on the same folder. Blocks."""

    layout: Layout
    address: str
    ports: PortRange

    def take(self, server: ServerRef, major: int, *, storage_gb: int) -> None:
        """Make the folder of a server with its mark in one step, unless there is one."""
        home = self.layout.home(server.external_name)
        with self.layout.claims():
            self._sweep_halves()
            if home.record.exists():
                return
            half = self.layout.servers / f".{secrets.token_hex(8)}"
            make_folder(half, mode=OPEN_FOLDER)
            record = Record(
                owner=server.owner.mark(),
                name=server.external_name,
                port=self._free_port(),
                major=major,
                storage_gb=storage_gb,
            )
            save(Home(half), record)
            half.rename(home.root)
            sync_folder(self.layout.servers)

    def another_port(self, home: Home) -> int:
        """Give a server that never ran a new port, and record it."""
        with self.layout.claims():
            record = load(home)
            if record is None:
                raise Unknown(f"{home.root.name} vanished; looking again")
            port = self._free_port()
            save(home, replace(record, port=port))
            return port

    def _free_port(self) -> int:
        taken = {record.port for record in self._records()}
        for port in range(self.ports.first, self.ports.last + 1):
            if port not in taken and port_is_free(self.address, port):
                return port
        raise Quota(
            f"all ports {self.ports.first}-{self.ports.last} are taken; widen backends.local.ports"
        )

    def _records(self) -> Iterable[Record]:
        for name in self.layout.names():
            record = load(self.layout.home(name))
            if record is not None:
                yield record

    def _sweep_halves(self) -> None:
        """Remove folders that a crash left without a name; nobody else makes one now."""
        for half in self.layout.servers.glob(".*"):
            shutil.rmtree(half)


def prepare(path: Path) -> Layout:
    """Make the folders of the backend, so that the servers' user can pass through; blocks."""
    if not path.exists():
        make_folder(path, mode=OPEN_FOLDER)  # one that exists keeps its mode: it is not ours
    layout = Layout(path.resolve())
    for folder in (layout.servers, layout.snapshots, layout.deleted):
        make_folder(folder, mode=OPEN_FOLDER)
    return layout
