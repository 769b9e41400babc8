"""The interfaces of the runtime; no implementation lives here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from .types import Headers, KubeObject, ObjectKey, ObjectReference, Query

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer; ``headers`` has lower-case names."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Transport(Protocol):
    """HTTP to one API server, raw bytes in and out.

    Guarantees: an HTTP error status is an ordinary :class:`Response` of ``request``; only the
    client above turns it into an error.

    Errors: :class:`~.errors.TransportError` where no answer came; ``stream`` raises
    :class:`~.errors.ApiError` where the server refuses the stream with an HTTP status.
    """

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        """Send one request and read the whole answer."""
        ...

    def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        """GET a stream of lines: complete lines without their newline, one list per read.

        The answer is asked for as ``application/json`` unless ``headers`` say otherwise.
        """
        ...

    async def close(self) -> None:
        """Close all connections; further requests fail."""
        ...


@runtime_checkable
class Guard(Protocol):
    """What a transport is, too, through which not everybody may write.

    Assumptions: whatever wraps a transport has this method and passes it on, by
    :func:`~.fence.check_work` where it does not know what it wraps.
    """

    def check(self, what: str) -> None:
        """Refuse work that is no request, such as a statement to a database, as one of ours.

        Errors: :class:`~.errors.LeaseLost` naming it.
        """
        ...


class ReadStore(Protocol):
    """The readers' side of a cache."""

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return the newest known object of that key, or None."""
        ...

    def list(self, namespace: str = "") -> Sequence[KubeObject]:
        """Return all objects, or those of one namespace."""
        ...

    def by_index(self, index: str, value: str) -> Sequence[KubeObject]:
        """Return the objects that the named index function maps to ``value``."""
        ...

    @property
    def synced(self) -> bool:
        """Whether the first list was taken over completely."""
        ...


class EventHandler(Protocol):
    """What an informer calls, synchronously and in order; it must not block."""

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        """An object appeared; ``initial`` while the first list is delivered."""
        ...

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        """An object changed; equal resourceVersions are a resync."""
        ...

    def on_delete(self, obj: KubeObject) -> None:
        """An object is gone; ``obj`` is its last known state."""
        ...


class RateLimiter(Protocol[K_contra]):
    """How long a failed item waits."""

    def when(self, item: K_contra) -> float:
        """Count a failure and return the seconds to wait."""
        ...

    def forget(self, item: K_contra) -> None:
        """Forget the failures of an item."""
        ...

    def failures(self, item: K_contra) -> int:
        """Return the failures counted since the last ``forget``."""
        ...


class EventSink(Protocol):
    """Where reconcile functions record events; never blocks, never fails."""

    def event(self, about: ObjectReference, type_: str, reason: str, message: str) -> None:
        """Record an event; ``type_`` is ``Normal`` or ``Warning``."""
        ...


Now = Callable[[], float]
"""A monotonic clock in seconds: ``loop.time`` unless a test says otherwise."""
Runnable = Callable[[], Awaitable[None]]
"""A long-running task of the manager; ends by cancellation."""
