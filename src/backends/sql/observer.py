"""One view of a server, shared by all reconciles of its databases.

A thousand databases are read by one round trip: whoever asks first reads for all, and the others
take what was read up to :data:`TTL_SECONDS` ago. A name that we wrote to since then is read by
itself, so that a thousand new databases do not make a thousand reads of them all.
Waiting for a read is short, for whoever began it as well: on a server that hangs, the worker goes
on elsewhere and comes again. What the read came to is told to who comes first afterwards.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from ..errors import BackendError, Busy, Unknown
from .catalog import Catalog, DatabaseFacts, read_catalog
from .connection import describe, statements
from .offer import Offer, read_offer
from .pool import DOWN_SECONDS, Pool, come_again

TTL_SECONDS: Final = 1.0
"""How old a shared view may be: a burst of reconciles is much shorter, a person much slower."""
WAIT_SECONDS: Final = 1.0
"""How long a reconcile waits for a read, which usually takes milliseconds: fifty servers that hang
must not hold sixteen workers for a connect timeout each."""
SLOW_SECONDS: Final = (0.5, 1.5)
"""When those come again who found the server slow: before its connect timeout, but not in haste.
Twice as late where the read is under way for twice as long, up to :data:`SLOWEST`-fold. For so much
longer is kept what a slow read brought, or they would only ever begin the next one."""
SLOWEST: Final = 2.0
"""Nobody may miss what the read came to: it is told for :data:`~.pool.DOWN_SECONDS`."""
OFFER_SECONDS: Final = 600.0
"""How long extensions and locales are kept: they change when packages are installed."""
INSIDE_SECONDS: Final = (2700.0, 4500.0)
"""How long the look into a database is kept: about an hour, spread so that they do not meet."""

_INSIDE: Final = (
    sql.SQL("SELECT e.extname::text FROM pg_catalog.pg_extension e"),
    sql.SQL("""
SELECT pg_catalog.pg_get_userbyid(n.nspowner)::text, pg_catalog.pg_has_role(n.nspowner, 'USAGE')
FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'
"""),
)


@dataclass(frozen=True, slots=True)
class Inside:
    """What only a session in the database itself can see.

    ``public_owner`` is the role that owns the schema ``public``, empty where there is no such
    schema; ``public_held`` is whether the admin may change that.
    """

    extensions: frozenset[str]
    public_owner: str
    public_held: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """A catalog, when its reading began (writes before that are in it) and when it ended."""

    began: float
    ended: float
    catalog: Catalog


class Observer:
    """The shared view of one server.

    Invariants: at most one read of the whole catalog is under way; ``_written`` holds names whose
    last write is younger than the read in ``_last``.
    """

    def __init__(self, pool: Pool, *, now: Callable[[], float], ttl: float = TTL_SECONDS) -> None:
        self._pool = pool
        self._now = now
        self._ttl = ttl
        self._last: _Read | None = None
        self._flight: asyncio.Task[_Read] | None = None
        self._began = 0.0  # when that read began
        self._slow = False  # somebody waited in vain for the read that began last
        # why that read failed, while nobody knows, and until when that counts
        self._untold: tuple[float, BackendError] | None = None
        self._written: dict[str, float] = {}
        self._offer: tuple[float, Offer] | None = None
        self._insides: dict[int, tuple[float, Inside]] = {}
        self._refused: dict[int, tuple[float, dict[str, str]]] = {}

    def touch(self, name: str, oid: int = 0) -> None:
        """Note that we wrote to the database or role ``name``: the next look reads it anew."""
        self._written[name] = self._now()
        self._insides.pop(oid, None)

    async def catalog(self, name: str) -> Catalog:
        """Return a view in which ``name`` is as new as our last write to it."""
        last = self._last
        if last is None or self._now() - last.ended >= self._keep():
            last = await self._join()
        if self._written.get(name, float("-inf")) < last.began:
            return last.catalog
        async with self._pool.session(looking=True) as session:
            return await read_catalog(session, [name])

    async def offer(self) -> Offer:
        """Return what the server offers; read at most every :data:`OFFER_SECONDS`."""
        if self._offer is None or self._now() >= self._offer[0]:
            async with self._pool.session(looking=True) as session:
                self._offer = (self._now() + OFFER_SECONDS, await read_offer(session))
        return self._offer[1]

    async def inside(self, database: DatabaseFacts) -> Inside:
        """Return what is in a database; kept for about an hour or until we write to it."""
        known = self._insides.get(database.oid)
        if known is not None and self._now() < known[0]:
            return known[1]
        async with self._pool.session(database.name, looking=True) as session:
            extensions, public = await session.execute(
                statements(_INSIDE), doing=f"cannot look into database {database.name!r}"
            )
        owner, held = public[0] if public else ("", False)
        inside = Inside(frozenset(name for (name,) in extensions), owner, held)
        self._remember(database.oid, inside)
        return inside

    def made(self, oid: int) -> None:
        """Note that we made a database in which nothing is to do: the first look may wait.

        That look takes a connection of its own, and the first edit of each new database would
        wait for it while all the others are being made.
        """
        self._remember(oid, Inside(frozenset(), "", False))

    def _remember(self, oid: int, inside: Inside) -> None:
        keep = random.uniform(*INSIDE_SECONDS)  # noqa: S311 - spreads load, protects nothing
        self._insides[oid] = (self._now() + keep, inside)

    def refuse(self, oid: int, reasons: dict[str, str]) -> None:
        """Remember which extensions a database was refused, so that the rest can go on."""
        self._refused[oid] = (self._now() + OFFER_SECONDS, reasons)

    def refused(self, oid: int) -> dict[str, str]:
        """Return the extensions that a database was refused a while ago, with the reasons."""
        until, reasons = self._refused.get(oid, (0.0, {}))
        return reasons if self._now() < until else {}

    def close(self) -> None:
        """End the read that is under way."""
        if self._flight is not None:
            self._flight.cancel()

    def _keep(self) -> float:
        """Return for how many seconds a view is good: those who were sent away find it, too."""
        return self._ttl + (SLOWEST * SLOW_SECONDS[1] if self._slow else 0.0)

    async def _join(self) -> _Read:
        """Start the read where none is under way, and wait a moment for it."""
        self._tell()
        if self._flight is None:
            self._slow = False
            self._began = self._now()
            self._flight = asyncio.get_running_loop().create_task(
                self._read(), name=f"hybridpg-sql-observe-{describe(self._pool.endpoint)}"
            )
            self._flight.add_done_callback(self._ended)
        if not self._slow:
            done, _ = await asyncio.wait({self._flight}, timeout=WAIT_SECONDS)
            if done:
                return self._flight_result(done.pop())
            self._slow = True
        raise Busy(
            f"server {describe(self._pool.endpoint)} takes long to answer",
            retry_after=come_again(SLOW_SECONDS) * self._slowness(),
        )

    def _slowness(self) -> float:
        """Return by what those come later who find a read that is under way for long."""
        return min(SLOWEST, max(1.0, (self._now() - self._began) / WAIT_SECONDS))

    def _tell(self) -> None:
        """Raise what nobody waited for: only who is told of a failure tries ever more rarely."""
        untold, self._untold = self._untold, None
        if untold is not None and self._now() < untold[0]:
            raise untold[1]

    @staticmethod
    def _flight_result(flight: asyncio.Task[_Read]) -> _Read:
        if flight.cancelled():
            raise Unknown("the read of the catalogs was cancelled")
        return flight.result()

    async def _read(self) -> _Read:
        try:
            async with self._pool.session(looking=True) as session:
                began = self._now()
                catalog = await read_catalog(session)
        finally:
            self._flight = None
        self._last = _Read(began, self._now(), catalog)
        self._written = {name: at for name, at in self._written.items() if at >= began}
        present = {database.oid for database in catalog.databases.values()}
        self._insides = {oid: kept for oid, kept in self._insides.items() if oid in present}
        self._refused = {oid: kept for oid, kept in self._refused.items() if oid in present}
        return self._last

    def _ended(self, flight: asyncio.Task[_Read]) -> None:
        """Take the error of a read; keep it where who waited for it was sent away."""
        error = None if flight.cancelled() else flight.exception()
        if self._slow and isinstance(error, BackendError) and not isinstance(error, Busy):
            # not the error itself: it holds its frames, and they the broken connection
            self._untold = (self._now() + DOWN_SECONDS, type(error)(str(error)))
