"""Refuses writes that could be a second leader's: checked where they are sent, not where planned.

A process that was stopped for a while goes on where it was: a worker may run before any timer
does. So the lease is compared with the clock before each write, and once more when its
connection is there, because waiting for one may have taken long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Final

from .protocols import Guard, Response, Transport
from .types import Headers, Query

READS: Final = frozenset({"GET", "HEAD"})

Check = Callable[[], None]
"""Raises :class:`~.errors.LeaseLost` unless writes are allowed now."""

_pending: ContextVar[Check | None] = ContextVar("check before sending", default=None)


def check_before_sending() -> None:
    """Raise what forbids the request of this task; for a transport that is about to send it.

    Errors: :class:`~.errors.LeaseLost` for a write whose lease was lost meanwhile.
    """
    check = _pending.get()
    if check is not None:
        check()


def check_work(transport: Transport, what: str) -> None:
    """Refuse work that only who may write through ``transport`` may do.

    Errors: :class:`~.errors.LeaseLost` naming the work.
    """
    if isinstance(transport, Guard):
        transport.check(what)


class FencedTransport:
    """A :class:`~.protocols.Transport` that sends writes only while ``allowed`` does not object.

    ``allowed`` is called with the request, and raises :class:`~.errors.LeaseLost` to refuse it.
    """

    def __init__(self, transport: Transport, allowed: Callable[[str], None]) -> None:
        self._transport = transport
        self._allowed = allowed

    def check(self, what: str) -> None:
        """Refuse work that is no request, such as a statement to a database, as one of ours.

        Errors: :class:`~.errors.LeaseLost` naming it.
        """
        self._allowed(what)
        check_work(self._transport, what)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        """Send one request; a write only while it is allowed."""
        transport = self._transport
        if method in READS:
            return await transport.request(method, path, query=query, headers=headers, body=body)

        def check() -> None:
            self._allowed(f"{method} {path}")

        check()
        token = _pending.set(check)
        try:
            return await transport.request(method, path, query=query, headers=headers, body=body)
        finally:
            _pending.reset(token)

    def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        """GET a stream of lines."""
        return self._transport.stream(path, query=query, headers=headers)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()


_: type[Transport] = FencedTransport
