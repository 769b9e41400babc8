"""LIST and WATCH of one resource as an endless async iterator that survives every fault.

What it yields is either a complete list, which replaces everything known before, or a few changes
in order. Whoever consumes it has the state of the API server, late by a little and never wrong: a
change that may have been missed leads to a new list. It never ends and raises nothing but
cancellation and programming errors; faults are logged, waited out and retried.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol

from ._backoff import Backoff
from ._clock import loop_time
from .decode import BOOKMARK, ListPage, WatchEvent, decode_event
from .errors import (
    ApiError,
    ConnectionRefused,
    ControllerError,
    DecodeError,
    Gone,
    TooManyRequests,
    TransportError,
    UnknownEvent,
)
from .protocols import Now
from .status_error import too_large_resource_version
from .types import KubeObject, Resource

logger = logging.getLogger(__name__)

PAGE_SIZE: Final = 500
"""Objects a page: about 2 MB, which blocks the loop for some milliseconds only."""
WATCH_SECONDS: Final = 300
"""A watch ends after 300 to 600 s, at random: reconnections spread over all API servers."""
LIVENESS_SECONDS: Final = 90.0
"""Bookmarks come about once a minute, so a watch that is silent for longer may be half-open."""
SHORT_WATCH: Final = 1.0
"""A watch that ends within a second says that something is wrong with it."""
FAST_ENDS: Final = 2
"""So many short watches in a row are paused between, whatever they delivered."""
RETRY_AFTER_CAP: Final = 300.0
"""Whatever the server says, the cache does not stay stale for longer without another try."""


class Listed(NamedTuple):
    """A complete list: everything that is not in it does not exist."""

    objects: list[KubeObject]


class Changed(NamedTuple):
    """Changes in the order in which they happened; no bookmarks."""

    events: list[WatchEvent]


class ListWatch(Protocol):
    """The part of the client that a watcher needs."""

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int,
    ) -> AsyncIterator[list[bytes]]:
        """Stream the raw lines of a watch with bookmarks."""
        ...

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int | None = None,
        continue_token: str = "",
        resource_version: str | None = None,
        resource_version_match: str = "",
    ) -> ListPage:
        """Read one page of a list."""
        ...


class _Relist(Exception):
    """The watch cannot go on; the next list says what was missed."""


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
        liveness: float = LIVENESS_SECONDS,
        now: Now = loop_time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._liveness = liveness
        self._now = now
        self._rand = rand
        self._backoff = Backoff(now=now, rand=rand)
        self._title = f"{resource} in {namespace}" if namespace else str(resource)
        # the newest resourceVersion that was taken over; "" before the first list
        self._version = ""
        # the server does not know _version (expired or not yet seen): read at quorum once
        self._version_unusable = False
        # the last list had several pages, so the next one is asked for in pages, too
        self._paginated = True
        # watches in a row that ended at once
        self._fast_ends = 0

    async def updates(self) -> AsyncGenerator[Listed | Changed, None]:
        """Yield the list, then changes, then the list again whenever changes may be missing."""
        while True:
            pause = None
            try:
                objects, version = await self._list()
                yield Listed(objects)
                del objects  # not to be kept alive for as long as the watch goes on
                self._version = version
                async with aclosing(self._watch()) as changes:
                    async for change in changes:
                        yield change
            except _Relist as reason:
                logger.info("list of %s is read again: %s", self._title, reason)
            except (ApiError, TransportError, DecodeError) as error:
                pause = error
                logger.warning("list or watch of %s failed and is retried: %s", self._title, error)
            await self._pause(pause)

    async def _list(self) -> tuple[list[KubeObject], str]:
        if self._version and not self._version_unusable:
            try:
                return await self._list_pages(self._version)
            except ApiError as error:
                if not (isinstance(error, Gone) or too_large_resource_version(error)):
                    raise
                logger.info("list of %s falls back to a quorum read: %s", self._title, error)
                self._version_unusable = True
        listed = await self._list_pages("")
        self._version_unusable = False
        return listed

    async def _list_pages(self, version: str) -> tuple[list[KubeObject], str]:
        # A limit makes the server bypass its cache, so small collections are read in one piece.
        page = await self._list_page(version, limit=PAGE_SIZE if self._paginated else None)
        objects = page.items
        paginated = bool(page.continue_token)
        while page.continue_token:
            try:
                page = await self._list_page("", limit=PAGE_SIZE, token=page.continue_token)
            except Gone:
                logger.info("pages of %s expired, the list is read in one piece", self._title)
                page = await self._list_page(version)
                objects = []
            objects += page.items
        if not page.resource_version:
            raise DecodeError(f"list of {self._title} without a resourceVersion to watch from")
        self._paginated = paginated
        return objects, page.resource_version

    async def _list_page(
        self, version: str, *, limit: int | None = None, token: str = ""
    ) -> ListPage:
        return await self._client.list(
            self._resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            limit=limit,
            continue_token=token,
            resource_version=version or None,
            resource_version_match="NotOlderThan" if version else "",
        )

    async def _watch(self) -> AsyncGenerator[Changed, None]:
        while True:
            started = self._now()
            before = self._version
            seen = False
            error: ControllerError | None = None
            try:
                async with aclosing(self._stream()) as batches:
                    async for events in batches:
                        seen = True
                        changes = [event for event in events if event.type != BOOKMARK]
                        if changes:
                            yield Changed(changes)
                        self._version = events[-1].object.resource_version or self._version
            except Gone as gone:
                raise _Relist(f"resourceVersion {before} expired") from gone
            except (ConnectionRefused, TooManyRequests) as refused:
                error = refused
            except TransportError as cut:
                # as good as a clean end: the next watch goes on where this one stopped
                logger.debug("watch of %s was cut: %s", self._title, cut)
            if error is not None:
                logger.info("watch of %s was refused and is retried: %s", self._title, error)
                await self._pause(error)
            else:
                await self._after_end(short=self._now() - started < SHORT_WATCH, seen=seen)

    async def _after_end(self, *, short: bool, seen: bool) -> None:
        if not short:
            self._fast_ends = 0
            return
        if not seen:
            raise _Relist("the watch ended at once and without an event")
        self._fast_ends += 1
        if self._fast_ends >= FAST_ENDS:
            await self._pause(None)

    async def _stream(self) -> AsyncGenerator[list[WatchEvent], None]:
        lines = self._client.watch(
            self._resource,
            namespace=self._namespace,
            resource_version=self._version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_seconds=int(WATCH_SECONDS * (1 + self._rand())),
        )
        try:
            while (batch := await self._next(lines)) is not None:
                events, error = self._decode(batch)
                if events:
                    yield events
                if error is not None:
                    raise error
        finally:
            if isinstance(lines, AsyncGenerator):
                await lines.aclose()

    async def _next(self, lines: AsyncIterator[list[bytes]]) -> list[bytes] | None:
        try:
            async with asyncio.timeout(self._liveness):
                return await anext(lines, None)
        except TimeoutError as error:
            raise TransportError(f"watch of {self._title} was silent for too long") from error

    def _decode(self, lines: list[bytes]) -> tuple[list[WatchEvent], Exception | None]:
        """Decode the lines of one read, and say why no more may be read, if so."""
        events: list[WatchEvent] = []
        end: Exception | None = None
        for line in lines:
            try:
                events.append(decode_event(line))
            except ApiError as error:
                # what came before an ERROR event is still good
                return events, end or error
            except UnknownEvent as error:
                logger.warning("event of %s is skipped: %s", self._title, error)
            except DecodeError as error:
                if end is None and line.strip():
                    # logged once: the page of a proxy has hundreds of such lines
                    logger.warning("line of the watch of %s is skipped: %s", self._title, error)
                    end = _Relist("a line of the watch was no event, so a change is missing")
        return events, end

    async def _pause(self, error: ControllerError | None) -> None:
        delay = self._backoff.next()
        if isinstance(error, ApiError) and error.retry_after is not None:
            delay = max(delay, min(error.retry_after, RETRY_AFTER_CAP))
        await asyncio.sleep(delay)
