"""The operator as a process of its own: client, backends and manager, until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ..controller import Client, Manager, Transport
from .config import Config
from .install import install, log_scope
from .wiring import prepare_backends

GRACE_SECONDS: Final = 5.0
"""What passes in progress get at the end: none waits, so this is many statements' time."""


async def run_operator(
    config: Config,
    transport: Transport,
    stop: asyncio.Event,
    *,
    on_started: Callable[[], None] | None = None,
) -> None:
    """Run until ``stop`` is set; servers go on without us.

    ``on_started`` is called once all caches are complete.

    Raises:
        ConfigError: the configuration cannot be used in this cluster.
        ManagerError: a task died; the process should end and be started again.
    """
    client = Client(transport)
    backends = await prepare_backends(config, client)
    try:
        manager = Manager(client, name="hybridpg", grace=GRACE_SECONDS, scope=log_scope)
        install(manager, config, backends)
        async with manager:
            if on_started is not None:
                on_started()
            await manager.wait(stop)
    finally:
        await backends.close()
