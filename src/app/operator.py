"""The operator as a process of its own: client, backends and manager, until told to stop."""

from __future__ import annotations

import asyncio

from ..controller import Client, Manager, Transport
from .config import Config
from .install import install
from .wiring import prepare_backends


async def run_operator(config: Config, transport: Transport, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set; servers go on without us.

    Raises:
        ConfigError: the configuration cannot be used in this cluster.
        ManagerError: a task died; the process should end and be started again.
    """
    client = Client(transport)
    backends = await prepare_backends(config, client)
    try:
        manager = Manager(client, name="hybridpg")
        install(manager, config, backends)
        await manager.run(stop)
    finally:
        await backends.close()
