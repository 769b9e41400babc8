"""The operator as a process of its own: client, backends and manager, until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..controller import Address, Client, LeaseConfig, Manager, Transport
from .config import Config
from .install import install, log_scope
from .wiring import prepare_backends

if TYPE_CHECKING:
    from ..controller.tracing import Tracing

T = TypeVar("T")

GRACE_SECONDS: Final = 5.0
"""What passes in progress get at the end: none waits, so this is many statements' time."""


async def run_operator(
    config: Config,
    transport: Transport,
    stop: asyncio.Event,
    *,
    lease: LeaseConfig | None = None,
    health: Address | None = None,
    tracing: Tracing | None = None,
    on_started: Callable[[], None] | None = None,
) -> None:
    """Run until ``stop`` is set; servers go on without us.

    With a ``lease`` this is one of several replicas, of which one works. ``on_started`` is called
    once all caches are complete, be it this one or not.

    Raises:
        ConfigError: the configuration cannot be used in this cluster.
        ManagerError: a task died; the process should end and be started again.
        LeaseLost: another replica may work now; the process has to end.
    """
    manager = Manager(
        Client(transport),
        name="hybridpg",
        leader_election=lease,
        health=health,
        tracing=tracing,
        grace=GRACE_SECONDS,
        scope=log_scope,
    )
    backends = await _unless_stopped(stop, prepare_backends(config, manager.client))
    if backends is None:
        await manager.client.close()
        return
    try:
        install(manager, config, backends)
        await manager.run(stop, on_started=on_started)
    finally:
        await backends.close()


async def _unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what ``work`` returns, or None if ``stop`` came first: a start may hang as well."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    return None if task.cancelled() else task.result()
