"""The program: ``acme-platform crd`` prints our definitions, ``acme-platform run`` runs it all."""

from __future__ import annotations

import argparse
import asyncio
import logging
from importlib.resources import files
from pathlib import Path

from hybridpg.app import Config, install, log_scope, prepare_backends
from hybridpg.backends import Credentials, Endpoint
from hybridpg.backends.sql import LoginResult
from hybridpg.controller import (
    AiohttpTransport,
    Client,
    Manager,
    load_default,
    load_kubeconfig,
    stop_on_signals,
)
from hybridpg.crds.manifest import crd_yaml

from .team import add_teams

CONFIG = {"backend": "shelf", "controller": {"cluster_id": "acme-1"}}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="acme-platform")
    parser.add_argument("verb", choices=["crd", "run"])
    parser.add_argument("--kubeconfig", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "crd":
        print(files(__package__).joinpath("teams.yaml").read_text(), crd_yaml(), sep="")
        return
    logging.basicConfig(level=logging.INFO)
    asyncio.run(run(arguments.kubeconfig))


async def run(kubeconfig: Path | None) -> None:
    """Run until told to stop: one client, one manager, three controllers."""
    connect = await (load_kubeconfig(kubeconfig) if kubeconfig else load_default())
    client = Client(AiohttpTransport(connect), field_manager="acme-platform")
    config = Config.model_validate(CONFIG)
    manager = Manager(client, name="acme-platform", scope=log_scope)
    # its client and not the one above: with leader election it guards their writes, too
    backends = await prepare_backends(config, manager.client)
    install(manager, config, backends, login=pretend_login)
    add_teams(manager)
    with stop_on_signals() as stop:
        try:
            await manager.run(stop)
        finally:
            await backends.close()


async def pretend_login(endpoint: Endpoint, login: Credentials, database: str) -> LoginResult:
    """Say that the login works: the servers on the shelf are none. Leave it out for real ones."""
    return LoginResult.PRIMARY
