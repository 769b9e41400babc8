"""The admin's sessions on one server: few, reused, and never a trap for the workers.

A server gets at most :data:`SESSIONS` sessions of ours. A few callers wait a moment for one; who
finds even that queue full is told ``Busy`` at once, and its worker is free for another server. It
is also told when to come again: a crowd comes back no faster than it can be served, because each
pass that is turned away has cost as much as one that is not. A server that just refused or did not
answer is left alone for a moment, and meanwhile every call fails at once: one server that hangs
costs the workers one connect timeout, not one for each of its databases. Nobody writes before the
sessions of a replaced process are gone (``succession.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from ..errors import BackendError, Busy, Denied, Unknown
from ..values import (
    AdminLogin,
    Endpoint,
)
from .connection import MAINTENANCE_DATABASE, Session, describe
from .succession import LEAVING_SECONDS, Succession

SESSIONS: Final = 4
"""CREATE DATABASE is bound by the server: more than four at a time are not faster."""
WRITING: Final = SESSIONS - 1
"""How many may be taken by what writes: what only looks must not wait for a CREATE DATABASE."""
WAITING: Final = 4
"""How many callers wait for a session: enough that none is ever idle while there is work."""
WAIT_SECONDS: Final = 0.5
"""How long they wait: a few CREATE DATABASE."""
IDLE_SECONDS: Final = 30.0
"""An idle session is kept over the gaps of a busy spell, and is not held against the server."""
DOWN_SECONDS: Final = 5.0
"""How long a server that did not let us in is left alone; of the order of a connect timeout."""
BUSY_SECONDS: Final = (0.05, 0.2)
"""When a caller that found no session free comes again: a few statements later, spread out."""
CROWD_SECONDS: Final = 10.0
"""The latest moment at which one of a crowd comes again."""
EAGERNESS: Final = 1.25
"""How much faster a crowd is let back than it was served so far, so that no session is idle."""
WEIGHT: Final = 0.05
"""How much the newest use of a session counts in the mean of the last dozens."""

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
    :data:`SESSIONS`, and ``_writing`` those of writers, up to :data:`WRITING`; the sessions in
    ``_idle`` are all of the maintenance database.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connect: Connect,
        succession: Succession,
        now: Now = loop_time,
    ) -> None:
        if endpoint.admin is None:
            raise Unknown(f"there is no admin login for server {describe(endpoint)} yet")
        self.endpoint = endpoint
        self.used = now()
        """When a session was last taken."""
        self._admin = endpoint.admin
        self._connect = connect
        self._succession = succession
        self._succeeded = False  # whether the sessions of former processes are gone
        self._now = now
        self._taken = 0
        self._writing = 0
        self._queues: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}
        self._held = 0.0  # for how long a session is used, in the mean
        self._crowd = 0.0  # when the next of those comes again who were turned away
        self._idle: list[tuple[float, Session]] = []  # newest last, with the time of return
        self._down: tuple[float, BackendError] | None = None  # until when, and why
        self._closed = False
        self._sweeper: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def session(
        self, dbname: str = MAINTENANCE_DATABASE, *, looking: bool = False
    ) -> AsyncIterator[Session]:
        """Lend a session; raises ``Busy`` where too many wait, ``Unknown`` while it is down.

        One session is kept for those who are only ``looking``; before the others the sessions of
        former processes are ended, and while some are left it is ``Busy``. Sessions of the
        maintenance database are kept for the next caller; one in a tenant's database is closed, so
        that it neither blocks a DROP nor lives beside the tenant's code.
        """
        self.used = self._now()
        self._check()
        await self._take(looking)
        began = self._now()
        try:
            self._check()  # it may have gone down while we waited
            if not (looking or self._succeeded):
                await self._succeed()
            session = await self._open(dbname)
            try:
                yield session
            finally:
                self._give_back(session, dbname)
        finally:
            if not looking:
                self._held += (self._now() - began - self._held) * WEIGHT
            self._leave(looking)

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
            raise type(error)(str(error))

    def _free(self, looking: bool) -> bool:
        return self._taken < SESSIONS and (looking or self._writing < WRITING)

    async def _take(self, looking: bool) -> None:
        """Take a place, in the order of arrival, or raise ``Busy``."""
        queue = self._queues[looking]
        if not queue and self._free(looking):
            self._count(looking, 1)
        elif len(queue) >= WAITING:
            raise self._busy(looking)
        else:
            await self._wait(queue, looking)

    async def _wait(self, queue: deque[asyncio.Future[None]], looking: bool) -> None:
        """Wait for a place; who is called has it already, so that nobody comes in between."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await asyncio.wait({turn}, timeout=WAIT_SECONDS)
        except asyncio.CancelledError:
            if turn.done():
                self._leave(looking)
            raise
        finally:
            if not turn.done():
                queue.remove(turn)
        if not turn.done():
            raise self._busy(looking)

    def _count(self, looking: bool, places: int) -> None:
        self._taken += places
        self._writing += 0 if looking else places

    def _leave(self, looking: bool) -> None:
        """Give a place back, to the first who waits for such a one; those who look go first."""
        self._count(looking, -1)
        for looks, queue in self._queues.items():
            if queue and self._free(looks):
                self._count(looks, 1)
                queue.popleft().set_result(None)
                return

    def _busy(self, looking: bool) -> Busy:
        """Say when to come again: of the writers, each a little later than the one before."""
        ahead = 0.0
        if not looking:
            now, pace = self._now(), self._held / WRITING / EAGERNESS
            self._crowd = min(max(self._crowd, now) + pace, now + CROWD_SECONDS)
            ahead = self._crowd - now
        return Busy(
            f"all {SESSIONS} sessions on server {describe(self.endpoint)} are in use",
            retry_after=come_again() + ahead,
        )

    async def _succeed(self) -> None:
        """End the sessions of former processes; raise ``Busy`` until a look shows none."""
        session = await self._open(MAINTENANCE_DATABASE)
        try:
            left = await self._succession.end_others(session)
        finally:
            self._give_back(session, MAINTENANCE_DATABASE)
        if left:
            raise Busy(
                f"{left} sessions of a former process on server {describe(self.endpoint)} end",
                retry_after=LEAVING_SECONDS,
            )
        self._succeeded = True

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
                # not the error itself: it holds its frames, and they the broken connection
                self._down = (self._now() + DOWN_SECONDS, type(error)(str(error)))
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
