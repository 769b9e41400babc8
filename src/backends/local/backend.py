"""The backend ``local``: real PostgreSQL servers on this machine, the server half.

Everything that takes longer than a look is a background job; a reconcile function starts it, is
told ``Pending`` and looks again. Servers do not end with the controller, and it finds them again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from ...crds import ServerSpec
from ..errors import Unknown
from ..fence import Fence
from ..local_options import LocalOptions
from ..protocol import (
    BackendContext,
    Capabilities,
    Inventory,
)
from ..retained import RetainedThings
from ..sql.base import SqlDatabases
from ..sql.connection import MAINTENANCE_DATABASE, Session, closing
from ..values import (
    Absent,
    Change,
    Credentials,
    Done,
    Endpoint,
    Observed,
    Outcome,
    Pending,
    Policy,
    Present,
    Problem,
    Refused,
    ServerRef,
    ServerState,
)
from .account import resolve
from .admin import ensure_admin
from .cluster import Cluster
from .failures import translated
from .installations import Installations
from .inventory import LocalInventory
from .jobs import Job, Jobs
from .kept import kept_servers
from .layout import Home
from .plan import TakeOver, plan
from .record import Record, load
from .removal import bury, check_owner, remove, retain, snapshots_of
from .site import SITE, Site, open_site
from .state import LocalState, look
from .wanted import HONOURED, Wishes
from .work import Tools, converge

LOOK_AGAIN = 0.2  # seconds; making a server takes about one
NAME_LIMIT = 63  # bytes; spelled as a folder that is at most 189, file systems take 255


class Local(SqlDatabases):
    """PostgreSQL servers as processes of this machine."""

    options = LocalOptions

    def __init__(self, context: BackendContext) -> None:
        if not isinstance(context.options, LocalOptions):
            raise TypeError("the backend local needs LocalOptions")
        super().__init__(context)
        self.name = context.name
        self._fence = context.fence
        self._options = context.options
        self._account = resolve(context.options.user)
        self._installations = Installations(context.options.binaries, self._account)
        self._wishes = Wishes(context.options, self._installations)
        self._jobs = Jobs()
        self._makers = asyncio.Semaphore(os.cpu_count() or 1)
        self._asked: dict[str, tuple[Change, ...]] = {}
        self._opening: asyncio.Task[Site] | None = None
        self.inventory: Inventory | None = LocalInventory(self._open, self._installations)
        self.capabilities = Capabilities(
            server_fields=HONOURED,
            deletion_policies=frozenset(Policy),
            admin_username=context.options.admin_username,
            name_limit=NAME_LIMIT,
            name_pattern=context.options.name_pattern,
        )

    def server_spec_valid(self, spec: ServerSpec) -> tuple[Problem, ...]:
        """Return what of the spec cannot be honoured here; the first call scans for programs."""
        return self._wishes.judge(spec)

    async def observe_server(self, server: ServerRef) -> Observed[ServerState]:
        """Read the server's record, files and process; no SQL."""
        site = await self._open()
        state = await self._look(site, server)
        if state is None:
            await self._prove_absence(site, server)
            return Absent()
        state = replace(state, effective={**state.effective, SITE: site.identity})
        trouble = self._jobs.trouble(server.external_name)
        if trouble is not None and not state.ready:
            state = replace(state, message=f"{state.message}: {trouble.error}")
        return Present(state)

    def plan_server(
        self, server: ServerRef, desired: ServerSpec, observed: Observed[ServerState]
    ) -> tuple[Change, ...]:
        """Return the differences; raises ``Conflict`` where the server is not ours."""
        return plan(server, desired, _ours(observed), (self._wishes, self._installations))

    async def create_or_update_server(
        self, server: ServerRef, changes: tuple[Change, ...], admin: Credentials
    ) -> Outcome:
        """Start carrying the changes out; the work goes on in the background."""
        changes = tuple(change for change in changes if not isinstance(change, Refused))
        if not changes:
            return Done()
        site = await self._open()
        name = server.external_name
        record = await self._record(site, server)
        if record is None:
            await self._prove_absence(site, server)
        taking = server.adopt and any(isinstance(change, TakeOver) for change in changes)
        if record is not None and not taking:
            check_owner(server, record)
        if self._asked.get(name) != changes:
            self._asked[name] = changes
            self._jobs.forgive(name)
        tools = self._tools(site)
        reason = "Creating" if record is None or not record.admin else "Updating"
        return self._background(name, reason, lambda: converge(tools, server, changes, admin))

    async def update_admin_password(
        self, server: ServerRef, observed: ServerState, admin: Credentials
    ) -> Outcome:
        """Give the published admin this password, over the operator's own login."""
        site = await self._open()
        record = await self._record(site, server)
        if record is None:
            raise Unknown(f"server {server.external_name} is gone; looking again")
        check_owner(server, record)
        async with _session(site, record, self._fence) as session:
            await ensure_admin(session, admin)
        return Done()

    async def delete_server(
        self, server: ServerRef, observed: Observed[ServerState], policy: Policy
    ) -> Outcome:
        """Retain the server where it is, or stop it and move its folder out of the way."""
        site = await self._open()
        name = server.external_name
        record = await self._record(site, server)
        if record is None:
            await self._prove_absence(site, server)
            return await self._deleted(site, server)
        if policy is Policy.RETAIN:
            home = site.layout.home(name)
            self._fence(f"retaining server {name}")
            with translated():
                await asyncio.to_thread(retain, home, server)
            return Done((f"the server keeps running; its data is in {home.root}",))
        check_owner(server, record)
        if name in self._asked:  # what was being made has to make way, and is not asked for again
            del self._asked[name]
            self._jobs.cancel(name)
            self._jobs.forgive(name)
        return self._background(name, "Deleting", lambda: remove(site.layout, server, policy))

    async def endpoint(self, server: ServerRef, observed: ServerState) -> Endpoint:
        """Return where the server is reached, and the operator's own way in."""
        if not isinstance(observed, LocalState):
            raise Unknown(f"server {server.external_name} was not looked at by this backend")
        return (await self._open()).endpoint(observed.port)

    async def retained(self) -> RetainedThings:
        """Return the servers, databases and snapshots of this machine that outlived objects."""
        site = await self._open()
        things, records = await asyncio.to_thread(kept_servers, site.layout)
        for name, record in records.items():
            things += await self.retained_databases(site.endpoint(record.port), f"server {name}")
        return things

    async def close(self) -> None:
        """End jobs and connections; servers stay."""
        await self._jobs.close()
        if self._opening is not None:
            await asyncio.wait({self._opening})
        await super().close()

    async def _open(self) -> Site:
        """Return the site; the first call makes folders and certificates, and scans programs.

        A folder that was mounted meanwhile is opened anew: its authority is another one.
        """
        while True:
            if self._opening is None or (self._opening.done() and self._opening.exception()):
                self._opening = asyncio.create_task(self._make_site(), name=f"{self.name} site")
            opening = self._opening
            site = await asyncio.shield(opening)
            with translated():
                if await asyncio.to_thread(site.is_current):
                    return site
            if self._opening is opening:
                self._opening = None

    async def _prove_absence(self, site: Site, server: ServerRef) -> None:
        """Raise ``Unknown`` unless a server that was not found in ``site`` is proven to be none."""
        with translated():
            await asyncio.to_thread(site.check_absence, server)
        if await self._open() is not site:
            raise Unknown(f"{site.layout.path} is another folder now; looking again")

    async def _make_site(self) -> Site:
        with translated():
            await self._installations.refresh()
            return await asyncio.to_thread(open_site, self._options, self._account)

    async def _look(self, site: Site, server: ServerRef) -> LocalState | None:
        home = site.layout.home(server.external_name)
        with translated():
            return await asyncio.to_thread(look, home, site.authority)

    async def _record(self, site: Site, server: ServerRef) -> Record | None:
        with translated():
            return await asyncio.to_thread(load, site.layout.home(server.external_name))

    async def _deleted(self, site: Site, server: ServerRef) -> Outcome:
        """Answer for a server that is not in its place (any more)."""
        name = server.external_name
        with translated():
            home_exists, graves, kept = await asyncio.to_thread(_remains, site, server)
        if home_exists:
            raise Unknown(f"the folder of server {name} has no record; restore or remove it")
        if graves or self._jobs.running(name):
            return self._background(name, "Deleting", lambda: bury(site.layout, name))
        self._asked.pop(name, None)
        return Done(tuple(f"its data is kept in {folder}" for folder in kept))

    def _background(self, name: str, reason: str, job: Job) -> Pending:
        """Start a job where none runs; say what is going on, or why nothing does."""
        self._fence(f"work on server {name}")
        self._jobs.start(name, job)
        trouble = self._jobs.trouble(name)
        if trouble is None or self._jobs.running(name):
            return Pending(reason, f"work on server {name} is under way", LOOK_AGAIN)
        if not isinstance(trouble.error, Unknown):
            raise trouble.error.with_traceback(None)
        pause = trouble.not_before - asyncio.get_running_loop().time()
        return Pending(reason, str(trouble.error), max(pause, LOOK_AGAIN))

    def _tools(self, site: Site) -> Tools:
        def cluster(home: Home, major: int) -> Cluster:
            installation = self._installations.get(major)
            return Cluster(home, installation, self._account, site.authority, site.address)

        def session(record: Record) -> AbstractAsyncContextManager[Session]:
            return _session(site, record, self._fence)

        return Tools(site.claims, cluster, session, self._makers)


@asynccontextmanager
async def _session(site: Site, record: Record, fence: Fence) -> AsyncIterator[Session]:
    """Log in as the operator: by certificate, so no password is needed or can be lost."""
    endpoint = site.endpoint(record.port)
    if endpoint.admin is None:
        raise AssertionError("a site's endpoint has the operator's login")
    opened = await Session.open(endpoint, endpoint.admin, MAINTENANCE_DATABASE, fence=fence)
    async with closing(opened) as session:
        yield session


def _ours(observed: Observed[ServerState]) -> Observed[LocalState]:
    if isinstance(observed, Absent):
        return observed
    if not isinstance(observed.state, LocalState):
        raise TypeError("the backend local plans for what it observed itself")
    return Present(observed.state)


def _remains(site: Site, server: ServerRef) -> tuple[bool, bool, list[Path]]:
    """Return what is left of a server without record: its folder, graves, snapshots; blocks."""
    name = server.external_name
    home_exists = site.layout.home(name).root.exists()
    return home_exists, bool(site.layout.tombstones(name)), snapshots_of(site.layout, server)
