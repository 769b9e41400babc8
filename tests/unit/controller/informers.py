"""Informers of widgets, and handlers that note what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.unit.controller.scripted import WIDGETS, ScriptedTransport, obj

from hybridpg.controller._slices import SLICE
from hybridpg.controller.client.api import Client
from hybridpg.controller.informer import Informer
from hybridpg.controller.types import KubeObject

MANY = 4 * SLICE
"""Objects that are taken over in several slices."""


class Recorder:
    """A handler that notes what it was told, and what the store held at that moment."""

    def __init__(self, informer: Informer | None = None) -> None:
        self.seen: list[str] = []
        self.stored: list[list[str]] = []
        self._informer = informer

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        self._note(f"{'initial' if initial else 'add'} {obj.name}")

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        self._note(f"update {new.name} {old.resource_version}->{new.resource_version}")

    def on_delete(self, obj: KubeObject) -> None:
        self._note(f"delete {obj.name} {obj.uid}")

    def _note(self, text: str) -> None:
        self.seen.append(text)
        if self._informer is not None:
            self.stored.append([found.name for found in self._informer.store.list()])


class Failing(Recorder):
    """A recorder that fails on everything that it is told."""

    def _note(self, text: str) -> None:
        super()._note(text)
        raise RuntimeError("handler broke")


def make(transport: ScriptedTransport, **options: Any) -> Informer:
    """An informer of widgets, whose resyncs come on time."""
    return Informer(Client(transport), WIDGETS, **{"rand": lambda: 0.5, **options})


@asynccontextmanager
async def running(informer: Informer) -> AsyncIterator[None]:
    """Run it as a task, and cancel that at the end."""
    task = asyncio.create_task(informer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def many(count: int = MANY, version: int = 1) -> list[dict[str, object]]:
    """So many widgets, all of one version."""
    return [obj(f"n{number:05}", version) for number in range(count)]
