"""Owns everything that runs: starts it in order, notices when a part dies, stops it in order.

The order itself is in :mod:`._lifecycle`. There is no global state: several managers in one
process do not know of each other, and one runs in whatever event loop it is entered in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from . import _checks
from ._clock import WallClock, loop_time, wall_time
from ._lifecycle import Added, Lifecycle, Parts, either
from .client.api import Client
from .client.measured import MeasuredTransport
from .client.transport import AiohttpTransport
from .errors import ManagerError
from .events import EventRecorder
from .fence import FencedTransport
from .health import Address, HealthServer
from .informer import Informer
from .leader import LeaderElector
from .lease import LeaseConfig
from .loop import SYNC_SECONDS, Controller, Scope
from .protocols import EventSink, Now, RateLimiter, Runnable
from .reconcile import Reconcile, Request, Result
from .transforms import Transform
from .types import ObjectKey, Resource

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from .tracing import Tracing

GRACE_SECONDS: Final = 30.0
"""What runs in progress get to finish: the time that Kubernetes gives a pod."""

_InformerKey = tuple[Resource, tuple[str, ...], str, str, Transform | None, bool]


class Manager:
    """The one thing to run; see :meth:`run`, or use it as a context manager.

    With ``leader_election``, controllers and runnables wait until this process holds the Lease,
    and every write through ``client`` (that of the manager, not the one it was made with) is
    refused with :class:`~.errors.LeaseLost` while it is not provably held. With ``health``, the
    state of the process and its metrics are served there over HTTP. ``metrics`` has the requests
    counted for ``registry``; they are with ``health``, too.

    The client is closed at the end unless ``close_client`` is false. ``scope`` is entered around
    every run of every controller's reconcile function. With ``tracing``, each run and each request
    has a span. At the end runs in progress get ``grace`` seconds to finish: none with 0, as many as
    they take with ``math.inf``.

    Errors: ``ValueError`` for a grace that is no time.
    """

    def __init__(
        self,
        client: Client,
        *,
        name: str = "hybridpg",
        leader_election: LeaseConfig | None = None,
        health: Address | None = None,
        metrics: bool = False,
        tracing: Tracing | None = None,
        now: Now = loop_time,
        wall: WallClock = wall_time,
        grace: float = GRACE_SECONDS,
        sync_timeout: float = SYNC_SECONDS,
        scope: Scope | None = None,
        close_client: bool = True,
    ) -> None:
        if not grace >= 0:
            raise ValueError(f"manager {name}: a grace of {grace} s, give it 0 or more, or inf")
        self.name = name
        self._now = now
        self._scope = scope
        self._tracing = tracing
        self._elector: LeaderElector | None = None
        self._registry: CollectorRegistry | None = None
        self._measured: MeasuredTransport | None = None
        host = _host_of(client)
        if metrics or health is not None:
            self._measured = MeasuredTransport(client.transport, host=host, now=now)
            client = client.over(self._measured)
        if tracing is not None:
            client = client.over(tracing.transport(client.transport, host=host))
        self.client = client
        if leader_election is not None:
            self._elector = elector = LeaderElector(client, leader_election, now=now, wall=wall)
            self.client = client.over(FencedTransport(client.transport, elector.check))
        self._parts = Parts(
            name=name,
            # events of a process that has lost its lease are how one learns of that
            recorder=EventRecorder(client, controller=name, now=now, wall=wall),
            close=client.close if close_client else None,
            grace=grace,
            sync_timeout=sync_timeout,
            elector=self._elector,
        )
        if health is not None:
            self._parts.health = self._health_server(health)
        self._shared: dict[_InformerKey, Informer] = {}
        self._lifecycle = Lifecycle(self._parts)
        self._started = False
        # ends a start that waits for caches; of ``run`` only
        self._stop = asyncio.Event()

    @property
    def events(self) -> EventSink:
        """Where reconcile functions record events; works without the lease, too."""
        return self._parts.recorder

    @property
    def elector(self) -> LeaderElector | None:
        """The candidate of this process, or None without leader election."""
        return self._elector

    @property
    def health(self) -> HealthServer | None:
        """The server of the checks, or None."""
        return self._parts.health

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics of this manager's parts, for prometheus_client; to be read in its loop."""
        if self._registry is None:
            # here: who does not ask for metrics does not pay for the library
            from .metrics import make_registry

            self._registry = make_registry(
                controllers=lambda: self.controllers,
                informers=lambda: self.informers,
                elector=self._elector,
                client=self._measured,
                now=self._now,
            )
        return self._registry

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All informers."""
        return tuple(self._shared.values())

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """All controllers."""
        return tuple(self._parts.controllers.values())

    def informer(
        self,
        resource: Resource,
        *,
        namespaces: Sequence[str] = (),
        label_selector: str = "",
        field_selector: str = "",
        transform: Transform | None = None,
        metadata_only: bool = False,
    ) -> Informer:
        """Return the shared informer of a kind and selection; the same arguments share it.

        One that is asked for while the manager runs starts at once: ``wait_synced`` tells when
        it is complete.
        """
        scopes = tuple(sorted(set(namespaces)))
        key = (resource, scopes, label_selector, field_selector, transform, metadata_only)
        informer = self._shared.get(key)
        if informer is not None:
            return informer
        running = self._lifecycle.running
        if not running:
            self._not_started("informers")
        informer = self._shared[key] = Informer(
            self.client,
            resource,
            namespaces=scopes,
            label_selector=label_selector,
            field_selector=field_selector,
            transform=transform,
            metadata_only=metadata_only,
            now=self._now,
        )
        self._parts.informers.append(informer)
        if running:
            self._lifecycle.start_informer(informer)
        return informer

    async def stop_informer(self, informer: Informer) -> None:
        """End an informer and forget it: the next one of the same arguments is a new one.

        Its handlers hear nothing more, so no controller may still watch it.
        """
        if informer not in self._parts.informers:
            raise ManagerError(f"manager {self.name} has no such informer of {informer.resource}")
        self._parts.informers.remove(informer)
        self._shared = {key: each for key, each in self._shared.items() if each is not informer}
        await self._lifecycle.stop_informer(informer)

    def controller(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        workers: int = 1,
        reconcile_timeout: float | None = None,
        limiter: RateLimiter[ObjectKey] | None = None,
    ) -> Controller:
        """Add a controller; its sources are added to what this returns."""
        self._not_started("controllers")
        controllers = self._parts.controllers
        if name in controllers:
            raise ManagerError(f"manager {self.name} has a controller {name!r} already")
        if self._elector is not None:
            reconcile = _in_leader(self._elector, name, reconcile)
        if self._tracing is not None:
            reconcile = self._tracing.reconcile(name, reconcile)
        controller = controllers[name] = Controller(
            name,
            reconcile,
            workers=workers,
            reconcile_timeout=reconcile_timeout,
            limiter=limiter,
            sync_timeout=self._parts.sync_timeout,
            scope=self._scope,
        )
        return controller

    def add(self, name: str, runnable: Runnable, *, leader_only: bool = True) -> None:
        """Add a task that runs from when the caches are complete until it is cancelled.

        It runs where the lease is held; with ``leader_only`` false in every replica, where it may
        read but not write through the manager's client.
        """
        self._not_started("runnables")
        if name in self._parts.runnables:
            raise ManagerError(f"manager {self.name} has a runnable {name!r} already")
        self._parts.runnables[name] = Added(runnable, leader_only)

    async def run(
        self, stop: asyncio.Event, *, on_started: Callable[[], None] | None = None
    ) -> None:
        """Start everything, and stop it when ``stop`` is set; cancelling stops it without grace.

        A stop also ends a start that still waits for caches. ``on_started`` is called when they
        are complete, be this process the leader or not.

        Errors: :class:`~.errors.ManagerError` if a part died, could not start or did not stop in
        time; it names the part. :class:`~.errors.LeaseLost` if the lease was lost.
        """
        self._stop = stop
        async with self:
            if on_started is not None and not stop.is_set():
                on_started()
            await self.wait(stop)

    async def wait(self, stop: asyncio.Event) -> None:
        """Wait until ``stop`` is set.

        Errors: :class:`~.errors.ManagerError` if a part dies before,
        :class:`~.errors.LeaseLost` if the lease is lost.
        """
        tasks = self._lifecycle.tasks
        if not tasks.names:
            raise ManagerError(f"manager {self.name} does not run")
        await either(stop.wait(), tasks.died())
        failure = self._lifecycle.failure()
        if failure is not None:
            raise failure

    async def __aenter__(self) -> Self:
        """Start everything; the caches are complete afterwards.

        Errors: :class:`~.errors.ManagerError` if they are not in time.
        """
        self._not_started("another run")
        self._started = True
        try:
            await self._lifecycle.start(self._stop)
        except BaseException:
            await self._lifecycle.finish()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything; without grace where the block was cancelled or the lease is lost.

        Errors: :class:`~.errors.ManagerError` if a part died or did not stop in time,
        :class:`~.errors.LeaseLost` if the lease was lost.
        """
        lifecycle = self._lifecycle
        failure = lifecycle.failure()
        late: list[str] = []
        try:
            if not isinstance(error, asyncio.CancelledError) and not lifecycle.lost:
                late = await lifecycle.drain()
                failure = failure or lifecycle.failure()
        finally:
            await lifecycle.finish()
        if error is not None:
            return
        if failure is not None:
            raise failure
        if late:
            raise ManagerError(f"{', '.join(late)} did not stop within {self._parts.grace:g} s")
        if lifecycle.stuck:
            stuck = ", ".join(lifecycle.stuck)
            raise ManagerError(f"{stuck} did not stop when it was cancelled, and goes on")

    def _health_server(self, address: Address) -> HealthServer:
        return HealthServer(
            address,
            live=lambda: _checks.live(self._lifecycle.failure(), self._elector),
            ready=lambda: _checks.ready(self.informers, self._elector, self._now()),
            metrics=self._page,
        )

    def _page(self) -> bytes:
        from prometheus_client import generate_latest

        return generate_latest(self.registry)

    def _not_started(self, what: str) -> None:
        if self._started:
            raise ManagerError(f"manager {self.name} was started: {what} cannot be added any more")


def _host_of(client: Client) -> str:
    """Name the API server as client-go does in its metrics."""
    transport = client.transport
    return urlsplit(transport.config.host).netloc if isinstance(transport, AiohttpTransport) else ""


def _in_leader(elector: LeaderElector, name: str, reconcile: Reconcile) -> Reconcile:
    """Begin no run without the lease: what it does need not be a request that is refused."""

    async def run(request: Request) -> Result | None:
        elector.check(f"{name} of {request.key}")
        return await reconcile(request)

    return run
