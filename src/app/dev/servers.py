"""PostgreSQL on this machine: is it there, where does its data go, and who stops it.

The ``local`` backend leaves its servers running when the controller ends, as it must; ``dev`` ends
for good, so it stops what lies in its own folder, and nothing else.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import yaml

from ...backends import Unavailable
from ...backends.local.account import resolve
from ...backends.local.installations import Installations
from ...backends.local.layout import Layout
from ...backends.local.stopping import stop
from ..config import Config
from .state import State, write_private
from .steps import StepFailed

ROOT_DATA: Final = Path("/var/lib/hybridpg-dev")
"""Where root's data goes when the servers' unprivileged user cannot reach the state folder."""


def find_postgres() -> str:
    """Return what was found, for people; fails with the command that installs it."""
    try:
        found = Installations((), resolve(None))
        newest = found.newest()
    except Unavailable as error:
        raise StepFailed("initdb not found", fix="sudo apt-get install postgresql") from error
    return f"{newest.version} in {newest.folder}"


def data_folder(state: State) -> Path:
    """Return where the data lies: in the state folder if the servers' user can get there."""
    inside = state.folder.resolve() / "postgres"
    if os.geteuid() != 0 or all(_passable(parent) for parent in inside.parents):
        return inside
    return ROOT_DATA / state.settings.cluster_id


def dev_config(state: State) -> Config:
    """Return the configuration of the controller, and write it down for other verbs.

    The environment has no say in it.
    """
    options = {
        "path": str(data_folder(state)),
        "address": "127.0.0.1",
        "ports": state.settings.server_ports,
    }
    config = {
        "backend": "local",
        "backends": {"local": options},
        "controller": {"cluster_id": state.settings.cluster_id},
    }
    write_private(state.config_file, yaml.safe_dump(config, sort_keys=False))
    return Config.model_validate(config)


async def stop_servers(state: State) -> None:
    """Stop every server whose data lies in the state folder."""
    layout = Layout(data_folder(state))
    for name in layout.names():
        await stop(layout.home(name))


def _passable(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)
