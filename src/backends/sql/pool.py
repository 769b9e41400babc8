"""The admin's sessions on one server: few, reused, and never a trap for the workers.

A server gets at most :data:`SESSIONS` sessions of ours. Nobody queues for one: a caller that finds
all of them taken is told ``Busy`` and its worker is free for another server. A server that just
refused or did not answer is left alone for a moment, and meanwhile every call fails at once: one
server that hangs costs the workers one connect timeout, not one for each of its databases.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from ..errors import BackendError, Busy, Denied, Unknown
from ..values import (
    AdminLogin,
    Endpoint,
)
from .connection import MAINTENANCE_DATABASE, Session, describe

SESSIONS: Final = 4
"""CREATE DATABASE is bound by the server: more than four at a time are not faster."""
IDLE_SECONDS: Final = 30.0
"""An idle session is kept over the gaps of a busy spell, and is not held against the server."""
DOWN_SECONDS: Final = 5.0
"""How long a server that did not let us in is left alone; of the order of a connect timeout."""
BUSY_SECONDS: Final = (0.05, 0.2)
"""When a caller that found no session free comes again: a few statements later, spread out."""

Now = Callable[[], float]
Connect = Callable[[Endpoint, AdminLogin, str], Awaitable[Session]]


def loop_time() -> float:
    """Return the running loop's time: the clock of everything here unless a test injects one."""
    return asyncio.get_running_loop().time()


def come_again(between: tuple[float, float] = BUSY_SECONDS) -> float:
    """Return the seconds after which a caller that was turned away comes again."""
    return random.uniform(*between)  # noqa: S311 - spreads load, protects nothing


class Pool:
    """The sessions of one admin login on one server.

    Invariants: ``_taken`` counts the sessions in use or being opened and never exceeds
    :data:`SESSIONS`; the sessions in ``_idle`` are all of the maintenance database.
    """

    def __init__(
        self, endpoint: Endpoint, *, connect: Connect = Session.open, now: Now = loop_time
    ) -> None:
        if endpoint.admin is None:
            raise Unknown(f"there is no admin login for server {describe(endpoint)} yet")
        self.endpoint = endpoint
        self.used = now()
        """When a session was last taken."""
        self._admin = endpoint.admin
        self._connect = connect
        self._now = now
        self._taken = 0
        self._idle: list[tuple[float, Session]] = []  # newest last, with the time of return
        self._down: tuple[float, BackendError] | None = None  # until when, and why
        self._closed = False
        self._sweeper: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def session(self, dbname: str = MAINTENANCE_DATABASE) -> AsyncIterator[Session]:
        """Lend a session; raises ``Busy`` where all are taken, ``Unknown`` while it is down.

        Sessions of the maintenance database are kept for the next caller; one in a tenant's
        database is closed, so that it neither blocks a DROP nor lives beside the tenant's code.
        """
        self.used = self._now()
        self._check()
        self._taken += 1
        try:
            session = await self._open(dbname)
            try:
                yield session
            finally:
                self._give_back(session, dbname)
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Close the idle sessions; the ones in use are closed when they come back."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._idle:
            self._idle.pop()[1].close()

    def _check(self) -> None:
        if self._down is not None and self._now() < self._down[0]:
            error = self._down[1]
            raise type(error)(str(error)) from error
        if self._taken >= SESSIONS:
            raise Busy(
                f"all {SESSIONS} sessions on server {describe(self.endpoint)} are in use",
                retry_after=come_again(),
            )

    async def _open(self, dbname: str) -> Session:
        while dbname == MAINTENANCE_DATABASE and self._idle:
            _, session = self._idle.pop()
            if session.usable:
                return session
            session.close()
        try:
            session = await self._connect(self.endpoint, self._admin, dbname)
        except Busy:
            raise  # it answers, and says when to come again
        except (Unknown, Denied) as error:
            if dbname == MAINTENANCE_DATABASE:  # a tenant's database may refuse for itself
                self._down = (self._now() + DOWN_SECONDS, error)
            raise
        self._down = None
        return session

    def _give_back(self, session: Session, dbname: str) -> None:
        if dbname != MAINTENANCE_DATABASE or self._closed or not session.usable:
            session.close()
            return
        self._idle.append((self._now(), session))
        if self._sweeper is None:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Close what nobody used for :data:`IDLE_SECONDS`, and look again while some is left."""
        limit = self._now() - IDLE_SECONDS
        for returned, session in self._idle:
            if returned <= limit:
                session.close()
        self._idle = [entry for entry in self._idle if entry[0] > limit]
        self._sweeper = None
        if self._idle:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(IDLE_SECONDS, self._sweep)
