"""The controller as a process that dies when a test says so, exactly there.

It speaks to the API server through the perturbing proxy, which counts its writes. A kill before a
write: the request left the controller and reached nobody. A kill after it: the API server keeps
the change, and nobody was told.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml
from tests.fix_operator import Stage
from tests.proxy.rules import WRITES, Do
from tests.proxy.server import Proxy, Recorded
from tests.unit.controller.client.pki import make_pki

from hybridpg.controller import load_kubeconfig

SOURCES = str(Path(__file__).parents[1] / "hack" / "import")
STOP_SECONDS = 10
"""H18: a stop of the controller takes less."""
EVENTS = "*/events*"
"""Those are lost without harm."""


@dataclass
class Kill:
    """An order to kill: at which write of the process."""

    at: int
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Controller:
    """``hybridpg run`` behind a proxy that counts its writes and ends it at one of them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.folder = stage.site.path / "controller"
        self.log = self.folder / "log.jsonl"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._begin = 0

    @property
    def writes(self) -> list[Recorded]:
        """The writes of this process, without its events."""
        calls = self.proxy.record[self._begin :]
        return [each for each in calls if each.call.writes and not each.call.of_event]

    @property
    def made(self) -> int:
        """How many writes of this process were not refused because their object had changed."""
        return sum(each.status != HTTPStatus.CONFLICT for each in self.writes)

    async def __aenter__(self) -> Self:
        """Listen; the controller itself is not started yet."""
        self.folder.mkdir()
        pki = make_pki(self.folder)
        upstream = await load_kubeconfig(self.stage.env.kubeconfig)
        self.proxy = Proxy(upstream, tls=pki.server_context(), authority=pki.ca)
        await self.proxy.__aenter__()
        self.proxy.write_kubeconfig(self.folder / "kubeconfig")
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.stage.config()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill what still runs."""
        self.kill()
        await self.proxy.__aexit__(kind, error, trace)

    def arm(self, at: int, *, committed: bool) -> Kill:
        """Order the kill at a write, counted from now: 1 is the next one."""
        order = Kill(len(self.writes) + at)

        def kill() -> None:
            self.kill()
            order.done.set()

        what = Do(kill, committed=committed)
        self.proxy.add(what, verbs=WRITES, unless=EVENTS, skip=at - 1)
        return order

    def start(self) -> None:
        """Start the controller, with no order to kill it."""
        assert self.process is None
        self.proxy.clear()
        self._begin = len(self.proxy.record)
        self.starts += 1
        variables = {k: v for k, v in os.environ.items() if not k.startswith("HYBRIDCLOUD_")}
        paths = [SOURCES, variables.get("PYTHONPATH", "")]
        command = [sys.executable, "-m", "hybridpg", "run"]
        command += ["--config", str(self.folder / "config.yaml")]
        command += ["--kubeconfig", str(self.folder / "kubeconfig")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End the controller as the kernel does when memory runs out."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def stop(self) -> int:
        """End the controller as Kubernetes does; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self.process.wait, STOP_SECONDS)
        finally:
            self.kill()
