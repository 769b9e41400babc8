"""LIST and WATCH of one resource as an endless async iterator that survives every fault.

What it yields is either a complete list, which replaces everything known before, or a few changes
in order. Whoever consumes it has the state of the API server, late by a little and never wrong: a
change that may have been missed leads to a new list. It never ends and raises nothing but
cancellation and programming errors; faults are logged, waited out and retried.

The list comes as the first events of the watch where the server can do that, and in pages where it
cannot.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, NamedTuple

from ._backoff import RETRY_AFTER_CAP, Backoff
from ._clock import loop_time
from ._eventstream import EventStream, InitialCut, InitialNotSent, MissedChange
from ._listing import PAGE_SIZE, Lister
from ._source import ListWatch, Source
from .decode import BOOKMARK, WatchEvent
from .errors import (
    ApiError,
    ConnectionRefused,
    ControllerError,
    Gone,
    TooManyRequests,
    TransportError,
)
from .protocols import Now
from .ratelimit import BucketLimiter
from .stats import InformerStats
from .status_error import too_large_resource_version
from .transforms import Transform
from .types import KubeObject, Resource, is_older_version

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 300
"""A watch ends after 300 to 600 s, at random: reconnections spread over all API servers."""
LIVENESS_SECONDS: Final = 90.0
"""Bookmarks come about once a minute, so a watch that is silent for longer may be half-open."""
SHORT_WATCH: Final = 1.0
"""A watch that ends within a second without an event says that something is wrong with it."""
ROUNDING: Final = 0.001
"""Seconds by which a sum of times may be off."""
REOPEN_RATE: Final = 1 / 12
REOPEN_BURST: Final = 3
"""How often a watch is opened again that ended by itself: at once where that is rare, and where it
never stops (a proxy that cuts every connection after seconds) less than once in ten seconds."""
NOT_SERVED: Final = (400, 403, 404, 405, 406, 415, 422, 501)
"""How servers refuse a streamed list that they do not know, or this client may not ask for."""
NOT_SERVED_SECONDS: Final = 1800.0
"""After so long such a server is asked again: it may have been upgraded."""
CUTS: Final = 2
"""So many streamed lists in a row that were cut: something on the way does not let them through."""


class Listed(NamedTuple):
    """A complete list: everything that is not in it does not exist."""

    objects: list[KubeObject]


class Changed(NamedTuple):
    """Changes in the order in which they happened; no bookmarks."""

    events: list[WatchEvent]


class Watcher:
    """One list+watch; iterate over :meth:`updates` once."""

    def __init__(
        self,
        client: ListWatch,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        transform: Transform | None = None,
        metadata_only: bool = False,
        liveness: float = LIVENESS_SECONDS,
        now: Now = loop_time,
        rand: Callable[[], float] = random.random,
        stats: InformerStats | None = None,
    ) -> None:
        self._source = Source(
            client,
            resource,
            namespace,
            label_selector,
            field_selector,
            transform,
            metadata_only,
        )
        self._title = self._source.title
        self._liveness = liveness
        self._now = now
        self._rand = rand
        self._stats = stats or InformerStats()
        self._lister = Lister(self._source)
        self._backoff = Backoff(now=now, rand=rand)
        self._reopening = BucketLimiter[None](REOPEN_RATE, REOPEN_BURST, now=now)
        # the newest resourceVersion that was taken over; "" before the first list
        self._version = ""
        # the server does not know _version (expired or not yet seen): read at quorum once
        self._version_unusable = False
        # when the server may be asked for a streamed list again
        self._streams_from = float("-inf")
        # streamed lists in a row that were cut
        self._cuts = 0
        # events since the last list: it may have grown by as many objects
        self._events = 0
        # when the server was heard of last; None if never
        self.last_contact: float | None = None

    async def updates(self) -> AsyncGenerator[Listed | Changed, None]:
        """Yield the list, then changes, then the list again whenever changes may be missing."""
        while True:
            pause = None
            try:
                async with aclosing(self._round()) as updates:
                    async for update in updates:
                        yield update
                        del update  # a list must not live on until the next change
            except (MissedChange, InitialCut) as reason:
                logger.info("list of %s is read again: %s", self._title, reason)
            except ControllerError as error:
                pause = error
                logger.warning("list or watch of %s failed and is retried: %s", self._title, error)
            await self._pause(pause)

    async def _round(self) -> AsyncGenerator[Listed | Changed, None]:
        """Yield one list and then changes, for as long as none is missing."""
        try:
            objects, version, stream = await self._list()
        except ControllerError:
            self._stats.list_failures += 1
            raise
        try:
            self._stats.relists += bool(self._version)
            self._stats.lists += 1
            self._heard()
            yield Listed(objects)
            del objects
            self._took(version)
            self._events = 0
            async with aclosing(self._watch(stream)) as changes:
                async for change in changes:
                    yield change
        finally:
            if stream is not None:
                await stream.close()

    async def _list(self) -> tuple[list[KubeObject], str, EventStream | None]:
        """Return a list, its version, and the stream that goes on from it if there is one."""
        version = "" if self._version_unusable else self._version
        try:
            objects, found, stream = await self._list_from(version)
            if not is_older_version(found, version):
                return objects, found, stream
            if stream is not None:
                await stream.close()
            logger.warning("list of %s is older than what is known: read at quorum", self._title)
        except ApiError as error:
            if not version or not (isinstance(error, Gone) or too_large_resource_version(error)):
                raise
            logger.info("list of %s falls back to a quorum read: %s", self._title, error)
            self._version_unusable = True
        return await self._list_from("")

    async def _list_from(self, version: str) -> tuple[list[KubeObject], str, EventStream | None]:
        if self._now() >= self._streams_from and self._cuts < CUTS:
            try:
                return await self._stream_list(version)
            except (ConnectionRefused, TooManyRequests, InitialCut, Gone):
                raise
            except ControllerError as error:
                if isinstance(error, ApiError) and too_large_resource_version(error):
                    raise
                self._not_streamed(error)
        self._cuts = 0
        objects, found = await self._lister.list(version, grown=self._events > PAGE_SIZE)
        self._version_unusable = False
        return objects, found, None

    async def _stream_list(self, version: str) -> tuple[list[KubeObject], str, EventStream]:
        stream = self._open(version, initial=True)
        try:
            objects, found = await stream.initial()
        except BaseException as error:
            self._cuts += isinstance(error, InitialCut)
            await stream.close()
            raise
        self._cuts = 0
        self._version_unusable = False
        return objects, found, stream

    def _not_streamed(self, error: ControllerError) -> None:
        refused = isinstance(error, ApiError) and error.status in NOT_SERVED
        if refused or isinstance(error, InitialNotSent):
            self._streams_from = self._now() + NOT_SERVED_SECONDS
        logger.info("list of %s is not streamed but read in pages: %s", self._title, error)

    async def _watch(self, stream: EventStream | None) -> AsyncGenerator[Changed, None]:
        """Yield changes from watch after watch; the first one may be open already."""
        while True:
            opened = self._now()
            # a list that came with the stream is as good as an event
            seen = stream is not None
            told = False
            failure: ControllerError | None = None
            stream = stream or self._open(self._version)
            try:
                while (events := await stream.next()) is not None:
                    seen = told = True
                    self._heard()
                    changes = [event for event in events if event.type != BOOKMARK]
                    if changes:
                        self._count(changes)
                        yield Changed(changes)
                    self._took(events[-1].object.resource_version)
            except (ConnectionRefused, TooManyRequests) as refused:
                failure = refused
            except ControllerError as error:
                self._ended(error)
            finally:
                await stream.close()
            stream = None
            if not told and failure is None:
                self._check_silence()
            short = self._now() - opened < SHORT_WATCH
            await self._before_reopening(failure, short=short, seen=seen)

    def _ended(self, error: ControllerError) -> None:
        self._stats.watch_failures += 1
        if isinstance(error, Gone):
            raise MissedChange(f"resourceVersion {self._version} expired") from error
        if not isinstance(error, TransportError):
            raise error
        # as good as a clean end: the next watch goes on where this one stopped
        logger.debug("watch of %s was cut: %s", self._title, error)

    def _check_silence(self) -> None:
        """Have the list read again where a watch from what is known says nothing for too long.

        An API server whose etcd was restored answers a watch from a version that it lost with
        silence, for ever (seen with 1.34). One that is merely idle and sends no bookmarks (events
        have no watch cache) looks the same, and costs a list now and then.
        """
        silent = self._now() - (self.last_contact or 0.0)
        if silent >= self._liveness - ROUNDING:
            raise MissedChange(f"nothing was said for {silent:.0f} s")

    async def _before_reopening(
        self, failure: ControllerError | None, *, short: bool, seen: bool
    ) -> None:
        if failure is not None:
            self._stats.watch_failures += 1
            logger.info("watch of %s was refused and is retried: %s", self._title, failure)
            await self._pause(failure)
            return
        if short and not seen:
            raise MissedChange("the watch ended at once and without an event")
        # spread, so that watches that were cut together do not come back together
        await asyncio.sleep(self._reopening.when(None) * (1.0 + self._rand() / 4))

    def _open(self, version: str, *, initial: bool = False) -> EventStream:
        self._stats.watches += 1
        return EventStream(
            self._source,
            version,
            seconds=int(WATCH_SECONDS * (1 + self._rand())),
            liveness=self._liveness,
            initial=initial,
        )

    def _took(self, version: str) -> None:
        if version:
            self._version = self._stats.resource_version = version

    def _heard(self) -> None:
        self.last_contact = self._now()

    def _count(self, changes: list[WatchEvent]) -> None:
        self._events += len(changes)
        self._stats.events += len(changes)

    async def _pause(self, error: ControllerError | None) -> None:
        delay = self._backoff.next()
        if isinstance(error, ApiError) and error.retry_after is not None:
            delay = max(delay, min(error.retry_after, RETRY_AFTER_CAP))
        await asyncio.sleep(delay)
