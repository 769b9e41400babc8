"""Records events about objects, for ``kubectl describe`` and ``kubectl events``.

Recording never blocks and never fails: a queue takes the event, a task of its own writes it, and
what cannot be written is dropped with a log line. An event that repeats is not written again but
becomes a series: the second occurrence says so, later ones are counted here and written now and
then. Events that differ in their message alone become one series, too, once there are ten of them,
and a spam filter limits what one object can cause.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ._clock import WallClock, loop_time, wall_time
from ._correlator import COMBINED, Aggregator, SpamFilter, remembered
from .client.api import Client
from .client.patch import MergePatch
from .errors import AlreadyExists, ApiError, ControllerError, NotFound, TooManyRequests
from .protocols import Now
from .types import EVENTS, JsonObject, ObjectKey, ObjectReference

logger = logging.getLogger(__name__)

QUEUE_LIMIT: Final = 1000
"""Writes that wait; more than that means that nobody will read them all."""
NOTE_LIMIT: Final = 1024
"""Bytes of a message that the API server accepts."""
NAME_LIMIT: Final = 253
"""Characters of an object name."""
FIELD_LIMIT: Final = 128
"""Characters of reason, action, reporting controller and instance."""
REFRESH_SECONDS: Final = 1800.0
"""How often a lasting series is written: before the server's usual hour of keeping events."""
IDLE_SECONDS: Final = 360.0
"""A series that had no occurrence for so long is written a last time and forgotten."""
SWEEP_SECONDS: Final = 60.0
WRITE_TRIES: Final = 12
WRITE_PAUSE: Final = 10.0
"""Twelve tries ten seconds apart outlast the restart of an API server."""
WRITE_PAUSE_CAP: Final = 60.0
"""Whatever a server that sheds load says: other events wait behind this one."""

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NO_NAME: Final = re.compile(r"[^a-z0-9]+")
_Key = tuple[ObjectReference, str, str, str]
"""Object, type, reason and message; the message of combined events is COMBINED alone."""


@dataclass(slots=True)
class _Series:
    """What is known of one event that may repeat."""

    key: _Key
    name: str
    # of the first occurrence: the API server lets nobody change it
    note: str
    first: datetime
    last: datetime
    # loop time of the last occurrence and of the last write
    seen: float
    written: float
    # occurrences, those before the spam filter let it pass included
    count: int = 0
    # the count that the API server knows; 0 before the first write
    stored: int = 0
    # the spam filter let it pass: it may be written
    admitted: bool = False
    # waits in the queue
    queued: bool = False


class EventRecorder:
    """An :class:`~.protocols.EventSink` over ``events.k8s.io``."""

    def __init__(
        self,
        client: Client,
        *,
        controller: str,
        instance: str = "",
        now: Now = loop_time,
        wall: WallClock = wall_time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._controller = controller[:FIELD_LIMIT]
        self._instance = (instance or socket.gethostname() or controller)[:FIELD_LIMIT]
        self._now = now
        self._wall = wall
        self._rand = rand
        self._queue: asyncio.Queue[_Series] = asyncio.Queue(QUEUE_LIMIT)
        # least recently used first
        self._known: OrderedDict[_Key, _Series] = OrderedDict()
        self._aggregator = Aggregator(now)
        self._spam = SpamFilter(now)
        self._dropped = 0
        # microseconds in the name of the last event; no two events have the same
        self._stamp = 0
        self._replica = int(rand() * 0xFFFF)

    def event(self, about: ObjectReference, type_: str, reason: str, message: str) -> None:
        """Record an event; ``type_`` is ``Normal`` or ``Warning``."""
        reason, note = reason[:FIELD_LIMIT], _cut(message)
        combined = self._aggregator.combines(about, type_, reason, note)
        note = _cut(COMBINED + note) if combined else note
        key = (about, type_, reason, COMBINED if combined else note)
        moment, now = self._wall(), self._now()
        series = remembered(self._known, key, lambda: self._series(key, note, moment, now))
        series.count += 1
        series.last = moment
        series.seen = now
        if not series.admitted:
            series.admitted = self._spam.admits(about, type_)
            if series.admitted:
                self._enqueue(series)
        elif series.count == 2:
            self._enqueue(series)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write_all(), name="write events")
            tasks.create_task(self._sweep(), name="refresh event series")

    async def flush(self) -> None:
        """Wait until everything recorded so far was written or dropped; needs :meth:`run`."""
        await self._queue.join()

    async def _write_all(self) -> None:
        while True:
            series = await self._queue.get()
            series.queued = False
            try:
                await self._write(series)
            finally:
                self._queue.task_done()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self._now()
            for series in tuple(self._known.values()):
                idle = now - series.seen >= IDLE_SECONDS
                if idle:
                    del self._known[series.key]
                due = idle or now - series.written >= REFRESH_SECONDS
                if due and series.admitted and series.count != series.stored:
                    self._enqueue(series)

    async def _write(self, series: _Series) -> None:
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                await self._send(series)
            except (ValueError, TypeError) as error:
                # what was given is no namespace, no name or no text: it never can be written
                logger.warning("event %r is dropped: %s", series.name, error)
                return
            except ControllerError as error:
                refused = isinstance(error, ApiError) and not isinstance(error, TooManyRequests)
                if refused or attempt == WRITE_TRIES:
                    logger.warning("event %s is dropped: %s", series.name, error)
                    return
                await asyncio.sleep(self._pause(error))
            else:
                return

    def _pause(self, error: ControllerError) -> float:
        # jitter: replicas that lost the same server do not come back in step
        pause = WRITE_PAUSE * (0.75 + self._rand() / 2)
        asked = error.retry_after if isinstance(error, ApiError) else None
        return max(pause, min(asked or 0.0, WRITE_PAUSE_CAP))

    async def _send(self, series: _Series) -> None:
        count = series.count
        series.written = self._now()
        namespace = _namespace(series.key[0])
        if series.stored:
            state = {"count": count, "lastObservedTime": _micro_time(series.last)}
            try:
                await self._client.patch(
                    EVENTS, ObjectKey(namespace, series.name), MergePatch({"series": state})
                )
            except NotFound:
                # the server forgot it; the next occurrence begins a new one
                self._known.pop(series.key, None)
        else:
            try:
                await self._client.create(EVENTS, self._render(series), namespace=namespace)
            except AlreadyExists:
                # no name is made twice: an earlier try got through, its answer did not
                logger.debug("event %s was written already", series.name)
        series.stored = count

    def _render(self, series: _Series) -> JsonObject:
        about, type_, reason, _ = series.key
        event: JsonObject = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": series.name, "namespace": _namespace(about)},
            "eventTime": _micro_time(series.first),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "action": reason,
            "reason": reason,
            "type": type_,
            "note": series.note,
            "regarding": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
        }
        if series.count > 1:
            event["series"] = {
                "count": series.count,
                "lastObservedTime": _micro_time(series.last),
            }
        return event

    def _enqueue(self, series: _Series) -> None:
        if series.queued:
            return
        try:
            self._queue.put_nowait(series)
        except asyncio.QueueFull:
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # at 1, 2, 4, 8, …: not a line for each
                logger.warning("event queue is full, %d events dropped so far", self._dropped)
        else:
            series.queued = True

    def _series(self, key: _Key, note: str, moment: datetime, now: float) -> _Series:
        return _Series(key, self._name(key[0], moment), note, moment, moment, now, now)

    def _name(self, about: ObjectReference, moment: datetime) -> str:
        # rising within this process, and told apart from those of other replicas
        self._stamp = max(self._stamp + 1, int(moment.timestamp() * 1e6))
        suffix = f".{self._stamp:x}{self._replica:04x}"
        # names of roles, for example, hold colons, which those of events must not
        name = about.name if _NAME.fullmatch(about.name) else _NO_NAME.sub("-", about.name.lower())
        return (name[: NAME_LIMIT - len(suffix)].strip(".-") or "object") + suffix


def _namespace(about: ObjectReference) -> str:
    return about.namespace or "default"


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cut(message: str) -> str:
    raw = message.encode(errors="replace")  # output of programs may hold what is no text
    if len(raw) <= NOTE_LIMIT:
        return raw.decode()
    return raw[: NOTE_LIMIT - 3].decode(errors="ignore") + "…"
