"""One lane: a namespace, a target for databases, the seams before both, and a controller.

Lanes share an API server and nothing else, so that several work at the same time. Between two
points a lane is emptied, never restarted. What the target is, subclasses say: a backend joins the
harness by one, and by a seam where it talks to a far end of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import psycopg
import yaml
from tests.faults import namespaces
from tests.faults.actions import NOTHING, PAIR, make_pair, pair_is_ready
from tests.faults.kube import KubeSeam
from tests.faults.sampler import Sampler
from tests.faults.seam import Seam, Trace
from tests.faults.snapshot import NUDGE, Administrator, Snapshot
from tests.faults.view import View
from tests.faults.workloads import Workload
from tests.faults.zygote import Child, Order, Zygote
from tests.fix_operator import DATABASES, SERVERS

from hybridpg.controller import (
    AiohttpTransport,
    Client,
    NotFound,
    load_kubeconfig,
)

PATIENCE = "FAULTS_PATIENCE"
"""The variable with a factor for all limits, for a machine that has other work as well."""
_FACTOR = float(os.environ.get(PATIENCE, "1"))
CAP_SECONDS = 20.0 * _FACTOR
"""What is not over by then never will be: a violation of liveness."""
QUIET_SECONDS = 0.25 * _FACTOR
"""A write that was refused as stale is repeated after 0.2 s; else calls follow at once."""
HANG_SECONDS = 30.0 + CAP_SECONDS
"""A statement without an answer is given up after 30 s, and nothing sets that shorter."""
LOOK_SECONDS = 0.025
SENTINEL = "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS value"
LISTS = ("WATCHLIST", "LIST")
CLUSTER = "faults"
STARTED = b"manager hybridpg has started"


class Stuck(Exception):
    """Something did not come to its end in time."""


@dataclass
class Lane(ABC):
    """Everything that the points of one process need."""

    number: int
    kubeconfig: Path
    folder: Path
    zygote: Zygote
    mutant: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    """Tells two runs on one API server apart."""
    trace: Trace = field(default_factory=Trace)
    setting: str = ""
    """What the world is now; empty: to be cleared."""
    child: Child | None = None
    starts: int = 0
    order: Order | None = None
    started_with: tuple[dict[str, Any], Order] | None = None
    cap: float = CAP_SECONDS
    deaths: int = 0
    """How often the controller ended without being killed."""

    async def __aenter__(self) -> Self:
        """Make the namespaces and listen."""
        self._stack = contextlib.AsyncExitStack()
        self.upstream = await load_kubeconfig(self.kubeconfig)
        self.client = Client(AiohttpTransport(self.upstream), field_manager="somebody")
        self._stack.push_async_callback(self.client.close)
        for name in (self.namespace, self.platform):
            await namespaces.make(self.client, name)
        self._far_ends = tuple(await self.open())
        self.view = await self._stack.enter_async_context(View(self.client, self.namespace))
        self.kube = await self._stack.enter_async_context(
            KubeSeam(self.upstream, self.trace, self.names)
        )
        self.sampler = await self._stack.enter_async_context(
            Sampler(self.sampled, self.trace.quiet_for)
        )
        self._stack.callback(self.kill)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything of the lane but its server."""
        await self._stack.aclose()

    @property
    def namespace(self) -> str:
        """Where the tenant's objects are."""
        return f"faults-{self.number}-{self.token}"

    @property
    def platform(self) -> str:
        """Where the administrator's Secret is."""
        return f"platform-{self.number}-{self.token}"

    # --- what the target is ----------------------------------------------------------------------

    backend: ClassVar[str]
    """What of the backends its servers ask for."""

    @abstractmethod
    async def open(self) -> Sequence[Seam]:
        """Make the target ready, to be closed with ``_stack``; return the seams before it."""

    @property
    @abstractmethod
    def names(self) -> dict[str, str]:
        """What is called otherwise in each lane, and its alias."""

    @property
    @abstractmethod
    def sql(self) -> Administrator:
        """Who looks at the databases, past the seams."""

    @property
    def secrets(self) -> set[str]:
        """Passwords that nobody published, and that must not show either."""
        return set()

    @abstractmethod
    async def sampled(self) -> psycopg.AsyncConnection[Any]:
        """Connect as who may read the verifiers of roles."""

    @abstractmethod
    def backends(self) -> dict[str, Any]:
        """Return the configuration of the backends."""

    @abstractmethod
    def begin_with(self, workload: Workload) -> None:
        """Make the target what a workload begins with, once its objects are there."""

    @abstractmethod
    def world(self) -> Snapshot:
        """Return what there is beside Kubernetes."""

    @abstractmethod
    def wipe(self) -> None:
        """Empty the target; the objects are gone already, and so is the controller."""

    # ---------------------------------------------------------------------------------------------

    @property
    def seams(self) -> tuple[Seam, ...]:
        """All seams, each with a letter of its own."""
        return (self.kube, *self._far_ends)

    @property
    def log(self) -> Path:
        """What the controllers of the present point say."""
        return self.folder / "controller.log"

    def configure(self, workload: Workload, *, silence: float = 90.0) -> None:
        """Write the configuration that the next controllers start with."""
        controller: dict[str, Any] = {
            "cluster_id": CLUSTER,
            "watch_namespaces": [self.namespace],
            "lease": {"enabled": False},
            "secret_check_seconds": 0.2 if workload.sweeps else 3600.0,
        }
        config = {**self.backends(), "controller": controller}
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        order = Order(
            config=str(path),
            api=self.kube.url,
            log=str(self.log),
            silence_seconds=silence,
            mutant=self.mutant,
        )
        if (config, order) != self.started_with:
            self.kill()  # it works with another configuration
        self.started_with = (config, order)
        self.kube.polls = workload.sweeps
        self.order = order

    def start(self) -> None:
        """Start a controller where none runs."""
        assert self.order is not None
        assert self.child is None
        self.starts += 1
        self.trace.child = self.starts
        self.child = self.zygote.spawn(self.order)

    def kill(self) -> None:
        """End the controller; it has made its last step when this returns."""
        if self.child is not None:
            self.child.kill()
            self.child = None

    def freeze(self) -> None:
        """Stop the controller where it is."""
        assert self.child is not None
        self.child.freeze()

    def thaw(self) -> None:
        """Let the controller go on."""
        assert self.child is not None
        self.child.thaw()

    def supervise(self) -> None:
        """Start the controller again if it is gone, as a kubelet does."""
        if self.child is not None and not self.child.alive:
            self.deaths += 1
            self.kill()
        if self.child is None:
            self.start()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Look until a condition holds; the controller is started again where it died."""
        deadline = time.monotonic() + self.cap
        while not condition():
            if time.monotonic() > deadline:
                raise Stuck(f"{what} is not over after {self.cap:.0f} s")
            self.supervise()
            await asyncio.sleep(LOOK_SECONDS)

    async def nudge(self) -> None:
        """Touch every object, as whoever grants a right that was missing can do."""
        for obj in tuple(self.view.objects()):
            kind = SERVERS if obj["kind"] == SERVERS.kind else DATABASES
            # another value each time: the setting may be one that was touched before
            body = {"metadata": {"annotations": {NUDGE: secrets.token_hex(4)}}}
            with contextlib.suppress(NotFound):
                await self.view.patch(kind, obj["metadata"]["name"], body)

    async def settled(self, workload: Workload) -> None:
        """Wait until a workload is over and nobody has anything to say any more."""
        await self.until(lambda: workload.over(self) and self.quiet(), workload.name)

    def quiet(self) -> bool:
        """Return whether the controller waits for nothing, and we have looked at the server."""
        waited_for = sum(seam.waited_for for seam in self.seams)
        if self.child is None or self.child.running or waited_for:
            self.trace.stir()
        return bool(self.sampler.samples) and self.trace.quiet_for() > QUIET_SECONDS

    async def set_up(self, workload: Workload) -> None:
        """Bring the world into the setting of a workload, with a controller at work."""
        self.kube.begin()
        wanted = f"{workload.setting} {workload.policy} {workload.spec}"
        if self.setting != wanted:
            self.kill()
            await self.clear()
            if workload.setting == PAIR:
                self.supervise()
                await make_pair(self, workload)
                await self.until(lambda: pair_is_ready(self) and self.quiet(), "setting")
                self.kill()
        if self.child is None:
            # what a controller remembers of its own deeds would make points differ
            await self.resync()
        self.begin_with(workload)
        if workload.cold:
            self.kill()
        self.setting = ""

    async def resync(self) -> int:
        """Start the controller anew, so that it looks at all again; return where that begins.

        That is its first call, which asks for a list: what arrives before is the former one's.
        """
        self.kill()
        begin, before = len(self.trace.seen), self._starts_told()
        self.start()
        await self.until(lambda: self._starts_told() > before and self.quiet(), "the start")
        seen = self.trace.seen
        listed = (at for at in range(begin, len(seen)) if seen[at].call.verb in LISTS)
        return next(listed, begin)

    def _starts_told(self) -> int:
        """Return how many controllers have said that their caches are complete."""
        return self.log.read_bytes().count(STARTED) if self.log.exists() else 0

    def begin(self) -> None:
        """Count anew: the action of the workload begins."""
        self.kube.begin()
        self.trace.begin()
        self.view.begin()
        self.sampler.begin()
        self.deaths = 0

    async def clear(self) -> None:
        """Empty namespace and server."""
        await self.view.clear()
        await namespaces.make_again(self.client, self.namespace)
        self.wipe()
        self.log.write_text("")
        self.setting = NOTHING


def keeps_setting(workload: Workload) -> str:
    """Return the setting that a run without violations leaves, empty where it leaves another."""
    if not workload.leaves:
        return ""
    return f"{workload.leaves} {workload.policy} {workload.spec}"
