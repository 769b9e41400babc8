"""Managers on a scripted API server, and parts of theirs that do nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.controller.scripted import ScriptedTransport

from hybridpg.controller.client.api import Client
from hybridpg.controller.manager import Manager
from hybridpg.controller.reconcile import Request


def now() -> float:
    return asyncio.get_running_loop().time()


async def forever() -> None:
    await asyncio.Event().wait()


async def idle(request: Request) -> None:
    """Reconcile nothing."""


def make(transport: ScriptedTransport | None = None, **options: Any) -> Manager:
    """A manager whose API server answers as it is told."""
    return Manager(Client(transport or ScriptedTransport()), name="test", **options)


async def run_for(manager: Manager, seconds: float) -> None:
    """Run it, and tell it to stop after so many seconds."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await manager.run(stop)
