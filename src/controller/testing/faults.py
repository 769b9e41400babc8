"""Scripted faults: what goes wrong, at which request, how often.

::

    cluster.faults.too_many_requests(retry_after=2, path="*/secrets/*")
    cluster.faults.lost_after(method="PATCH", path="*/status")      # carried out, answer lost
    cluster.faults.cut_watch(after=3, path="*/widgets", reset=True)

Every rule waits for its request: ``skip`` matching requests pass, then ``times`` are hit. A watch
has the method ``WATCH``; paths are globs, matched against the path without the query.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, TypedDict, Unpack

from ..errors import ConnectionRefused, TransportError
from ..types import JsonObject
from ._status import StatusError, expired

ANY: Final = "*"

Event = JsonObject


class WatchWhere(TypedDict, total=False):
    """Which watches a rule waits for; the fields of the same names in :class:`Fault`."""

    path: str
    skip: int
    times: int


class Where(WatchWhere, total=False):
    """Which requests a rule waits for."""

    method: str


@dataclass(slots=True)
class Fault:
    """One rule; ``hits`` counts the requests it has struck.

    At most one of the effects is set: ``status`` answers instead of the cluster, ``before`` and
    ``after`` lose the answer before or after the request is carried out, ``refuse`` never lets it
    arrive, and ``events`` ends a watch after that many events. ``seconds`` delays any of them.
    """

    method: str = ANY
    path: str = ANY
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    status: StatusError | None = None
    before: bool = False
    after: bool = False
    refuse: bool = False
    events: int | None = None
    reset: bool = False
    expire: bool = False
    hits: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a request and return whether the rule strikes it."""
        if self.times <= 0:
            return False
        if self.method not in (ANY, method) or not fnmatchcase(path, self.path):
            return False
        if self.events is not None and method != "WATCH":
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        self.hits += 1
        return True


@dataclass(slots=True)
class Faults:
    """The script of a cluster: empty, all goes well."""

    rules: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> Fault:
        """Add a rule and return it, so that a test can read its ``hits``."""
        self.rules.append(fault)
        return fault

    def clear(self) -> None:
        """Let all go well again."""
        self.rules.clear()

    def delay(self, seconds: float, **where: Unpack[Where]) -> Fault:
        """Answer late."""
        return self.add(Fault(**where, seconds=seconds))

    def error(
        self,
        status: int,
        reason: str,
        message: str = "scripted fault",
        *,
        retry_after: int | None = None,
        **where: Unpack[Where],
    ) -> Fault:
        """Answer with an error instead of carrying the request out."""
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        refusal = StatusError(status, reason, message, {}, headers)
        return self.add(Fault(**where, status=refusal))

    def conflict(self, **where: Unpack[Where]) -> Fault:
        """Answer 409: somebody else was faster."""
        return self.error(409, "Conflict", "the object has been modified", **where)

    def too_many_requests(self, *, retry_after: int | None = None, **where: Unpack[Where]) -> Fault:
        """Answer 429, with ``Retry-After`` where one is given."""
        message = "the server has received too many requests"
        return self.error(429, "TooManyRequests", message, retry_after=retry_after, **where)

    def server_error(self, **where: Unpack[Where]) -> Fault:
        """Answer 500."""
        return self.error(500, "InternalError", "internal error", **where)

    def refused(self, **where: Unpack[Where]) -> Fault:
        """Refuse the connection: the request never arrives."""
        return self.add(Fault(**where, refuse=True))

    def lost_before(self, **where: Unpack[Where]) -> Fault:
        """Reset the connection before the request is carried out."""
        return self.add(Fault(**where, before=True))

    def lost_after(self, **where: Unpack[Where]) -> Fault:
        """Carry the request out and lose the answer."""
        return self.add(Fault(**where, after=True))

    def cut_watch(
        self, *, after: int = 0, reset: bool = False, **where: Unpack[WatchWhere]
    ) -> Fault:
        """End a watch after some events: cleanly, or by resetting the connection."""
        return self.add(Fault("WATCH", **where, events=after, reset=reset))

    def expire_watch(self, *, after: int = 0, **where: Unpack[WatchWhere]) -> Fault:
        """End a watch with the event that says its version is too old."""
        return self.add(Fault("WATCH", **where, events=after, expire=True))

    async def strike(self, method: str, path: str) -> Fault | None:
        """Carry out what happens before a request, and return a rule with more to do later.

        Errors: :class:`~..errors.TransportError` for what never arrives,
        :class:`~._status.StatusError` for scripted answers.
        """
        later = None
        for fault in [rule for rule in self.rules if rule.strikes(method, path)]:
            if fault.seconds:
                await asyncio.sleep(fault.seconds)
            if fault.refuse:
                raise ConnectionRefused(f"scripted fault: {method} {path} is refused")
            if fault.before:
                raise TransportError(f"scripted fault: {method} {path} is lost")
            if fault.status is not None:
                raise fault.status
            later = fault
        return later


def lose(method: str, path: str) -> TransportError:
    """Return the error of an answer that is lost on its way back."""
    return TransportError(f"scripted fault: the answer to {method} {path} is lost")


async def cut(batches: AsyncIterator[list[Event]], fault: Fault) -> AsyncIterator[list[Event]]:
    """Pass on as many events as the rule lets through, then end as it says."""
    left = fault.events or 0
    if left:
        async for batch in batches:
            yield batch[:left]
            left -= len(batch)
            if left <= 0:
                break
    if fault.expire:
        yield [{"type": "ERROR", "object": expired("too old resource version: scripted").body}]
    elif fault.reset:
        raise TransportError("scripted fault: the watch is reset")
