"""The work on one server, as a background job: every step looks first and may be repeated.

The order is what makes a crash harmless: mark → data folder → configuration → process → admin
role → record. Whatever step a controller died in, the next one does that step again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TypeVar

from ..errors import Conflict, Unknown
from ..sql.connection import Session
from ..values import (
    Change,
    Credentials,
    ServerRef,
)
from .admin import ensure_admin, needs_restart
from .claims import Claims
from .cluster import Cluster, StartFailed, port_is_free
from .layout import Home
from .parameters import restarts
from .plan import Certify, Configure, Create, Grow, Restart, TakeOver
from .process import postmaster
from .record import Record, load, save
from .stopping import stop

logger = logging.getLogger(__name__)

C = TypeVar("C", bound=Change)
OpenSession = Callable[[Record], AbstractAsyncContextManager[Session]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a job works with.

    ``cluster`` gives a server's folder its programs and its account; ``makers`` lets only as many
    data folders be made at once as there are cores, because each keeps one busy.
    """

    claims: Claims
    cluster: Callable[[Home, int], Cluster]
    session: OpenSession
    makers: asyncio.Semaphore


async def converge(
    tools: Tools, server: ServerRef, changes: tuple[Change, ...], admin: Credentials
) -> None:
    """Carry a plan out from wherever the server stands."""
    create = _find(changes, Create)
    if create is not None:
        await asyncio.to_thread(
            tools.claims.take, server, create.major, storage_gb=create.storage_gb
        )
    home = tools.claims.layout.home(server.external_name)
    with home.locked():
        record = await asyncio.to_thread(_own, home, server, changes)
        await _Job(tools, home, tools.cluster(home, record.major), record).run(changes, admin)


class _Job:
    """One pass over a server whose lock is held; ``record`` is what is on disk."""

    def __init__(self, tools: Tools, home: Home, cluster: Cluster, record: Record) -> None:
        self._tools = tools
        self._home = home
        self._cluster = cluster
        self._record = record

    async def run(self, changes: tuple[Change, ...], admin: Credentials) -> None:
        """Do the steps in their order."""
        if not self._home.data.is_dir():
            async with self._tools.makers:
                await self._cluster.initialize()
        else:
            await self._cluster.tidy()
        await self._forget(changes)
        settings = await self._accepted(self._asked(changes))
        if postmaster(self._home.data) is None:
            settings = await self._start(settings)
        else:
            await self._cluster.answers()
            await self._save(started=True)  # whoever started it may have died before this
            due = any(isinstance(change, (Certify, Configure, Restart)) for change in changes)
            if due:
                restart = _find(changes, Restart) is not None
                settings = await self._update(settings, restart=restart)
        await self._save(settings=dict(settings))
        if self._record.admin != admin.username:
            async with self._tools.session(self._record) as session:
                await ensure_admin(session, admin)
            await self._save(admin=admin.username)

    def _asked(self, changes: tuple[Change, ...]) -> Mapping[str, str]:
        """Return the settings to bring into effect; what was planned for a birth is for it only."""
        configure = _find(changes, Configure)
        if configure is not None:
            return configure.settings
        create = _find(changes, Create)
        return self._record.settings if self._record.started or create is None else create.settings

    async def _forget(self, changes: tuple[Change, ...]) -> None:
        """Let settings be tried that were refused as they were before."""
        configure = _find(changes, Configure)
        retried = frozenset() if configure is None else configure.retried
        await self._save(refused=_without(self._record.refused, retried))

    async def _accepted(self, settings: Mapping[str, str]) -> Mapping[str, str]:
        """Return the settings without those that the program refuses, and record them."""
        while reasons := await self._cluster.refused(self._record, settings):
            settings = await self._refuse(settings, reasons)
        return settings

    async def _refuse(
        self, settings: Mapping[str, str], reasons: Mapping[str, str]
    ) -> Mapping[str, str]:
        version = self._cluster.installation.version
        pairs = frozenset((name, settings[name]) for name in reasons)
        refused = [[name, settings[name], version, reason] for name, reason in reasons.items()]
        for name, reason in reasons.items():
            logger.warning("%s refuses parameter %s: %s", self._record.name, name, reason)
        await self._save(refused=[*_without(self._record.refused, pairs), *refused])
        return {name: value for name, value in settings.items() if name not in reasons}

    async def _start(self, settings: Mapping[str, str]) -> Mapping[str, str]:
        """Start the server; return the settings that it starts with.

        Where new settings keep it from starting, it starts without them.
        """
        await self._ensure_port()
        await self._configure(settings)
        await self._save(version=self._cluster.installation.version)
        try:
            await self._cluster.start()
        except StartFailed as error:
            suspects = self._suspects(settings)
            if not suspects or not port_is_free(self._cluster.address, self._record.port):
                raise
            rest = {name: value for name, value in settings.items() if name not in suspects}
            await self._configure(rest)
            await self._cluster.start()  # only now it is proven that the suspects were the cause
            settings = await self._refuse(settings, dict.fromkeys(suspects, str(error)))
        await self._save(started=True)
        return settings

    async def _update(self, settings: Mapping[str, str], *, restart: bool) -> Mapping[str, str]:
        """Bring settings and certificate into effect on a running server."""
        await self._configure(settings)
        if not restart:
            async with self._tools.session(self._record) as session:
                restart = await needs_restart(session)
        if not restart:
            self._cluster.reload()
            return settings
        await stop(self._home)
        return await self._start(settings)

    def _suspects(self, settings: Mapping[str, str]) -> set[str]:
        """Return the new settings that only a start brings into effect."""
        before = self._record.settings
        known = self._cluster.installation.parameters
        return {
            name
            for name, value in settings.items()
            if before.get(name) != value and restarts(name, known)
        }

    async def _ensure_port(self) -> None:
        """Take another port where a stranger has ours, as long as nobody was told of it."""
        if port_is_free(self._cluster.address, self._record.port):
            return
        if self._record.started:
            raise Unknown(
                f"port {self._record.port} is taken by another program; the server starts as soon "
                "as it is free"
            )
        port = await asyncio.to_thread(self._tools.claims.another_port, self._home)
        self._record = replace(self._record, port=port)

    async def _configure(self, settings: Mapping[str, str]) -> None:
        await asyncio.to_thread(self._cluster.configure, self._record, settings)

    async def _save(self, **changes: object) -> None:
        record = replace(self._record, **changes)  # type: ignore[arg-type]  # checked by its tests
        if record != self._record:
            await asyncio.to_thread(save, self._home, record)
            self._record = record


def _without(
    refused: Sequence[Sequence[str]], pairs: frozenset[tuple[str, str]]
) -> list[Sequence[str]]:
    return [entry for entry in refused if (entry[0], entry[1]) not in pairs]


def _own(home: Home, server: ServerRef, changes: tuple[Change, ...]) -> Record:
    """Check the mark at the last moment, take the server over if that is planned; blocks."""
    record = load(home)
    if record is None:
        raise Unknown(f"server {server.external_name} vanished; looking again")
    owner = record.parsed_owner()
    if not server.owner.same(owner):
        if _find(changes, TakeOver) is None or not server.adopt:
            raise Conflict(
                server.external_name,
                owner,
                f"server {server.external_name} belongs to {record.owner or 'nobody we know'}",
            )
        record = replace(record, owner=server.owner.mark())
        save(home, record)
    grow = _find(changes, Grow)
    if grow is not None and grow.storage_gb > record.storage_gb:
        record = replace(record, storage_gb=grow.storage_gb)
        save(home, record)
    return record


def _find(changes: tuple[Change, ...], kind: type[C]) -> C | None:
    return next((change for change in changes if isinstance(change, kind)), None)
