"""Installations, wishes and states for the tests of pure code."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybridpg.backends import Owner, ServerRef, Unavailable
from hybridpg.backends.local.installations import Installation, Installations
from hybridpg.backends.local.parameters import Parameter
from hybridpg.backends.local.state import LocalState
from hybridpg.backends.local.wanted import Wishes
from hybridpg.backends.local_options import LocalOptions
from hybridpg.crds import ServerSpec

OWNER = Owner("cluster", "uid-1", "team", "orders")
REF = ServerRef(OWNER, "team-orders")
PARAMETERS = {
    "work_mem": Parameter("user", "Resource Usage / Memory"),
    "shared_buffers": Parameter("postmaster", "Resource Usage / Memory"),
    "port": Parameter("postmaster", "Connections and Authentication / Connection Settings"),
}


class Shelf(Installations):
    """Installations that were found already."""

    def __init__(self, *versions: str, folder: Path = Path("/nowhere/bin")) -> None:
        found = [version.split(".") for version in versions]
        self._offered = {
            int(major): Installation(int(major), int(minor), folder, PARAMETERS)
            for major, minor in found
        }

    def offered(self) -> Mapping[int, Installation]:
        """Return them."""
        return self._offered or {}

    def newest(self) -> Installation:
        """Return the newest of them."""
        if not self._offered:
            raise Unavailable("no postgresql")
        return self._offered[max(self._offered)]


def wishes(shelf: Shelf, **options: Any) -> Wishes:
    """Return wishes over these installations."""
    return Wishes(LocalOptions.model_validate(options), shelf)


def spec(**fields: Any) -> ServerSpec:
    """Return a spec, in the API's words."""
    return ServerSpec.model_validate({"credentialsSecret": "login", **fields})


def state(**changes: Any) -> LocalState:
    """Return a server that is as it should be, but for the changes."""
    fine = LocalState(
        owner=OWNER,
        ready=True,
        version="16.4",
        admin_username="postgres",
        major=16,
        port=54320,
        initialized=True,
        running=True,
        administered=True,
        certified=True,
    )
    return replace(fine, **changes)


def false_server(folder: Path) -> str:
    """Return a program that sleeps and that the kernel knows as ``postgres``."""
    program = folder / "postgres"
    if not program.exists():
        shutil.copy("/bin/sleep", program)
    return str(program)
