"""Leader election on a Lease: at most one process works, and its work ends before another begins.

The leader writes the Lease every few seconds. It counts its time from before the request of the
last renewal that worked, the others theirs from when they saw it, so no clock is compared with
another one, and the leader always ends first. A record that is written is always based on the
version that was read: of two candidates one gets a conflict.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from ._clock import Clock, WallClock, everywhere, loop_time, through_sleep, time_asleep, wall_time
from ._leaseview import LeaseView
from ._leasewatch import LeaseWatch
from .client.api import Client
from .errors import Conflict, ControllerError, DecodeError, LeaseLost, NotFound, TransportError
from .lease import JITTER, LeaseConfig, LeaseRecord, new_lease
from .protocols import Now
from .types import LEASES, JsonObject

logger = logging.getLogger(__name__)

HEALTH_TOLERANCE: Final = 20.0
"""Seconds after the end of a lease from which on a process that still leads is called sick: long
enough for an ordered end. The number of controller-runtime."""


class LeaderElector:
    """One candidate for a Lease; it can be elected once.

    ``client`` writes the Lease and nothing else. Constructing it starts nothing.

    Guarantees: ``is_leader`` is false from ``renew_deadline`` after the begin of the last renewal
    that worked, whatever the API server does and however long the process stood still.
    """

    def __init__(
        self,
        client: Client,
        config: LeaseConfig,
        *,
        identity: str = "",
        now: Now = loop_time,
        wall: WallClock = wall_time,
        rand: Callable[[], float] = random.random,
        asleep: Clock = time_asleep,
    ) -> None:
        self.config = config
        self.identity = identity or f"{socket.gethostname()}_{uuid.uuid4()}"
        self._client = client
        # a laptop that was closed for an hour has lost its lease, whatever its clock says
        self._now = through_sleep(everywhere(now), asleep)
        self._wall = wall
        self._rand = rand
        self._view = LeaseView(config, self.identity, self._now)
        self._watch = LeaseWatch(client, config.key, self._noticed, now=now)
        # set when a try may end otherwise than the last one
        self._news = asyncio.Event()
        # the Lease as our last write left it: what the next one is based on
        self._ours: JsonObject = {}
        # when the last renewal that worked was begun; None unless leading
        self._renewed: float | None = None
        # whether the Lease may hold our name
        self._claimed = False
        self._slowpaths = 0
        # a write of ours was seen whose answer was not
        self._echoed = False
        # what the last failed try said, so that each trouble is logged once
        self._trouble = ""

    @property
    def is_leader(self) -> bool:
        """Whether the lease is provably ours at this moment."""
        renewed = self._renewed  # read once: a thread may ask while it is released
        return renewed is not None and self._now() < self._deadline(renewed)

    @property
    def healthy(self) -> bool:
        """Whether this process did not go on leading long after its lease has ended."""
        limit = self.config.duration + HEALTH_TOLERANCE
        return self._renewed is None or self._now() <= self._renewed + limit

    @property
    def holder(self) -> str:
        """Who held the Lease when it was seen last; empty for nobody."""
        return self._view.holder

    @property
    def transitions(self) -> int:
        """How often the Lease has changed hands, as it was seen last."""
        return self._view.record.transitions if self._view.record is not None else 0

    @property
    def slowpaths(self) -> int:
        """How many renewals had to read the Lease first, because writing it straight failed."""
        return self._slowpaths

    def check(self, request: str) -> None:
        """Refuse a request that only the leader may send; threads may ask, too.

        Errors: :class:`~.errors.LeaseLost` naming it.
        """
        if not self.is_leader:
            raise LeaseLost(f"{request} is not begun: lease {self.config.key} is not ours")

    async def run(self, lead: Callable[[], None]) -> None:
        """Wait for the lease, call ``lead``, and hold it until cancelled.

        Errors: :class:`~.errors.LeaseLost` once it cannot be held any longer.
        """
        await self._campaign()
        logger.info("%s holds lease %s", self.identity, self.config.key)
        lead()
        await self._hold()

    async def watch(self) -> None:
        """Follow the Lease until cancelled: beside :meth:`run`, which then waits for less."""
        await self._watch.run()

    async def release(self, limit: float) -> None:
        """Give the lease back, if it is ours; only after :meth:`run` and all work have ended.

        Takes at most ``limit`` seconds; where it fails, the others wait until the lease expires.
        """
        self._renewed = None
        if not self._claimed:
            return
        try:
            async with asyncio.timeout(limit):
                while not await self._give_back():
                    logger.debug("lease %s was written meanwhile", self.config.key)
        except (ControllerError, TimeoutError) as error:
            logger.warning("lease %s is not released: %s", self.config.key, _text(error))

    async def _give_back(self) -> bool:
        """Release if it is still ours; false where somebody wrote the Lease meanwhile."""
        lease = await self._bounded(self._client.get(LEASES, self.config.key))
        record = self._view.see(lease)
        if record.holder == self.identity:
            body = record.given_back(self._wall()).written_into(lease)
            try:
                await self._bounded(self._client.update(LEASES, self.config.key, body))
            except Conflict:
                return False
            logger.info("lease %s is released", self.config.key)
        self._claimed = False
        return True

    async def _campaign(self) -> None:
        while not self.is_leader:
            self._news.clear()
            await self._attempt(self._acquire)
            if self.is_leader:
                return
            pause = self.config.retry_period * (1.0 + JITTER * self._rand())
            if self._view.wait > 0:
                pause = min(pause, self._view.wait)
            await self._wait_for_news(pause)

    async def _hold(self) -> None:
        pause = self.config.retry_period
        while self._renewed is not None and self.is_leader:
            self._news.clear()
            left = self._deadline(self._renewed) - self._now()
            await self._wait_for_news(min(pause, left))
            left = self._deadline(self._renewed) - self._now()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left)):
                    await self._attempt(self._renew)
        raise LeaseLost(
            f"leader election lost: lease {self.config.key} could not be renewed for "
            f"{self.config.renew_deadline:g} s: {self._trouble or 'this process stood still'}"
        )

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do one step, whatever the API server answers; only a lost lease is an error."""
        try:
            await step()
        except LeaseLost:
            raise
        except Conflict as error:
            self._trouble = "others write it all the time"
            logger.debug("somebody else wrote lease %s: %s", self.config.key, error)
        except (ControllerError, TimeoutError) as error:
            trouble = _text(error)
            level = logging.DEBUG if trouble == self._trouble else logging.WARNING
            self._trouble = trouble
            logger.log(level, "a try for lease %s failed: %s", self.config.key, trouble)
        else:
            self._trouble = ""

    async def _acquire(self) -> None:
        self._renewed = None
        lease = await self._read()
        if self._view.wait > 0:
            return
        await (self._create(LeaseRecord()) if lease is None else self._update(lease))

    async def _renew(self) -> None:
        try:
            await self._update(self._ours)
        except (ControllerError, TimeoutError) as error:
            logger.debug("lease %s is read because of: %s", self.config.key, _text(error))
        else:
            return
        self._slowpaths += 1
        lease = await self._read()
        if lease is None:
            # deleted: ours again if we are the first to make a new one
            await self._create(LeaseRecord.of(self._ours))
            return
        if self._view.holder != self.identity:
            self._renewed = None
            self._claimed = False
            raise LeaseLost(
                f"leader election lost: lease {self.config.key} is held by "
                f"{self._view.holder or 'nobody'}"
            )
        await self._update(lease)

    async def _read(self) -> JsonObject | None:
        """Return the Lease, or None where there is none."""
        try:
            lease = await self._bounded(self._client.get(LEASES, self.config.key))
        except NotFound:
            return None
        self._view.see(lease)
        return lease

    async def _update(self, lease: JsonObject) -> None:
        """Write our name and the time, provided that nobody wrote since ``lease`` was read."""
        record = self._claim(LeaseRecord.of(lease))
        body = record.written_into(lease)
        await self._write(record, self._client.update(LEASES, self.config.key, body))

    async def _create(self, before: LeaseRecord) -> None:
        """Write our name and the time, provided that there is no Lease."""
        record = self._claim(before)
        body = record.written_into(new_lease(self.config.key))
        request = self._client.create(LEASES, body, namespace=self.config.namespace)
        await self._write(record, request)

    def _claim(self, before: LeaseRecord) -> LeaseRecord:
        return before.claimed(self.identity, self.config.duration, self._wall())

    async def _write(self, record: LeaseRecord, request: Awaitable[JsonObject]) -> None:
        begun = self._now()
        self._claimed = True
        answer = await self._bounded(request)
        written = LeaseRecord.of(answer)
        if (written.holder, written.renewed) != (record.holder, record.renewed):
            raise DecodeError(f"the answer is not lease {self.config.key} as it was written")
        self._view.see(answer)
        self._ours = answer
        self._renewed = begun
        self._echoed = False

    async def _bounded(self, request: Awaitable[JsonObject]) -> JsonObject:
        timeout = self.config.request_timeout
        try:
            async with asyncio.timeout(timeout):
                return await request
        except TimeoutError as error:
            raise TransportError(f"no answer within {timeout:g} s") from error

    def _noticed(self, lease: JsonObject | None) -> None:
        """Take what the watch tells: for a leader a reason to look, for others what is true."""
        if self._renewed is not None:
            # it may be older than our last write, so that only a try can tell
            if lease is None or LeaseRecord.of(lease).holder != self.identity:
                self._news.set()
            return
        if lease is not None:
            self._view.see(lease)
            if self._view.holder == self.identity:
                # our own write without its answer: good for one more try, which may go the same way
                if self._echoed:
                    return
                self._echoed = True
        if self._view.wait <= 0:
            self._news.set()

    async def _wait_for_news(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._news.wait()

    def _deadline(self, renewed: float) -> float:
        return renewed + self.config.renew_deadline


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
