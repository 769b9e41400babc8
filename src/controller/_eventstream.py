"""One watch request, decoded: the events of each read, and why there are no more.

With ``initial`` the server sends the list as events first. They go into a temporary store until
the bookmark that says the list is complete; half of it is worth nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Final

from ._clock import loop_time
from ._silence import Silence
from ._source import Source
from .decode import ADDED, BOOKMARK, DELETED, WatchEvent, decode_event
from .errors import ApiError, ControllerError, DecodeError, TransportError, UnknownEvent
from .metadata import metadata_of
from .types import KubeObject

logger = logging.getLogger(__name__)

INITIAL_END: Final = "k8s.io/initial-events-end"
"""The annotation of the bookmark after the last object of the list."""
NO_BOOKMARK_SECONDS: Final = 10.0
"""After so long without the bookmark the log says that the list is still incomplete."""

NOT_SENT_SECONDS: Final = 30.0
"""An event that does not complete the list, so long after the last object, is one of a server that
does not know streamed lists and takes the request for a watch."""


TURN_EVENTS: Final = 1000
"""Others get a turn after so many events, which is some milliseconds: reading from a transport that
has more in store never waits."""


class MissedChange(ControllerError):
    """The stream cannot go on: only a new list says what was missed."""


class InitialCut(ControllerError):
    """The stream ended before the list was complete."""


class InitialNotSent(ControllerError):
    """The server follows changes, but does not send the list first."""


class Silent(TransportError):
    """Nothing came for too long."""


class EventStream:
    """The events of one watch; read :meth:`initial` first if it was asked for, and close it."""

    def __init__(
        self, source: Source, version: str, *, seconds: int, liveness: float, initial: bool = False
    ) -> None:
        self._source = source
        self._lines = source.lines(version, seconds=seconds, initial=initial)
        self._silence = Silence(self._lines, liveness)
        # lines since others last got a turn
        self._lines_read = 0
        # decoded already, and to be returned before anything is read
        self._ready: list[WatchEvent] = []
        # why nothing more can be read after that
        self._error: Exception | None = None

    async def next(self) -> list[WatchEvent] | None:
        """Return the events of the next read, or None at the end of the stream.

        Errors: :class:`~.errors.ApiError` as the server refuses the watch or ends it;
        :class:`~.errors.TransportError` where it breaks or is silent; :class:`MissedChange`.
        """
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        while self._error is None:
            lines = await self._read()
            if lines is None:
                return None
            self._lines_read += len(lines)
            if self._lines_read >= TURN_EVENTS:
                self._lines_read = 0
                await asyncio.sleep(0)
            events = self._decode(lines)
            if events:
                return events
        raise self._error

    async def initial(self) -> tuple[list[KubeObject], str]:
        """Read the list that comes first; return its objects and its version.

        Errors: those of :meth:`next`; :class:`InitialCut` and :class:`InitialNotSent`.
        """
        waiting = _Waiting(self._source.title)
        try:
            return await self._collect()
        finally:
            waiting.stop()

    async def close(self) -> None:
        """End the request."""
        self._silence.stop()
        if isinstance(self._lines, AsyncGenerator):
            await self._lines.aclose()

    async def _collect(self) -> tuple[list[KubeObject], str]:
        initial = _Initial()
        while (events := await self._next_initial(begun=initial.begun)) is not None:
            if isinstance(self._error, MissedChange):
                raise self._error  # what is left of the list would look complete
            if taken := initial.take(events):
                self._ready = events[taken:]
                return initial.objects(), events[taken - 1].object.resource_version
        raise InitialCut("the stream ended before the list was complete")

    async def _next_initial(self, *, begun: bool) -> list[WatchEvent] | None:
        try:
            return await self.next()
        except Silent as error:
            if begun:  # such a server sends what is there, too, but never says that this is all
                raise InitialNotSent(str(error)) from error
            raise
        except TransportError as error:
            if begun:
                raise InitialCut(str(error)) from error
            raise

    async def _read(self) -> list[bytes] | None:
        try:
            return await self._silence.next()
        except TimeoutError as error:
            raise Silent(f"watch of {self._source.title} was silent for too long") from error

    def _decode(self, lines: list[bytes]) -> list[WatchEvent]:
        """Decode the lines of one read; note why no more may be read, if so."""
        events: list[WatchEvent] = []
        kind, title = self._source.resource.kind, self._source.title
        for line in lines:
            try:
                events.append(decode_event(line, kind))
            except ApiError as error:
                # what came before an ERROR event is still good
                self._error = self._error or error
                break
            except UnknownEvent as error:
                logger.warning("event of %s is skipped: %s", title, error)
            except DecodeError as error:
                if self._error is None and line.strip():
                    # logged once: the page of a proxy has hundreds of such lines
                    logger.warning("line of the watch of %s is skipped: %s", title, error)
                    self._error = MissedChange("a line of the watch was no event")
        if self._source.transform is not None:
            return [self._transformed(event) for event in events]
        return events

    def _transformed(self, event: WatchEvent) -> WatchEvent:
        if event.type == BOOKMARK:
            return event
        return WatchEvent(event.type, self._source.kept(event.object))


class _Initial:
    """The temporary store of a list that is being streamed."""

    def __init__(self) -> None:
        self.begun = False
        # by namespace and name: a key for each object would be work for the garbage collector
        self._found: dict[str, dict[str, KubeObject]] = {}
        # when an object was added last
        self._grown = loop_time()

    def take(self, events: list[WatchEvent]) -> int:
        """Take events up to the one that completes the list; return how many, 0 if none does."""
        self.begun = True
        found, now = self._found, loop_time()
        late = bool(found) and now - self._grown > NOT_SENT_SECONDS
        for number, event in enumerate(events, 1):
            obj = event.object
            if event.type == ADDED and not late:
                self._grown = now
                names = found.get(obj.namespace)
                if names is None:
                    names = found[obj.namespace] = {}
                names[obj.name] = obj
            elif event.type == BOOKMARK and _ends_list(obj):
                return number
            else:
                self._change(event)
                if now - self._grown > NOT_SENT_SECONDS:
                    raise InitialNotSent("changes come, but no bookmark that completes the list")
        return 0

    def _change(self, event: WatchEvent) -> None:
        obj = event.object
        if event.type == DELETED:
            self._found.get(obj.namespace, {}).pop(obj.name, None)
        elif event.type != BOOKMARK:
            self._found.setdefault(obj.namespace, {})[obj.name] = obj

    def objects(self) -> list[KubeObject]:
        """Return what the list holds."""
        return [obj for names in self._found.values() for obj in names.values()]


def _ends_list(bookmark: KubeObject) -> bool:
    return metadata_of(bookmark).annotations.get(INITIAL_END) == "true"


class _Waiting:
    """Says every few seconds that a streamed list is still not complete."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._begun = loop_time()
        self._arm()

    def stop(self) -> None:
        self._timer.cancel()

    def _say(self) -> None:
        seconds = loop_time() - self._begun
        logger.warning("streamed list of %s is not complete after %.0f s", self._title, seconds)
        self._arm()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(NO_BOOKMARK_SECONDS, self._say)
