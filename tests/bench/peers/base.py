"""What every library has to offer to be measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, ClassVar

from tests.bench.figures import Clock
from tests.bench.target import Target

Cache = dict[tuple[str, str], Any]
Seen = tuple[str, str, str, str]
"""Type, namespace, name and resourceVersion of an event."""


class Peer(ABC):
    """A library and its client for one server.

    ``blocking`` libraries have no event loop: they hold up the whole thread by design.
    """

    blocking: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, target: Target) -> None: ...

    async def open(self) -> None:  # noqa: B027
        """Set up what needs a running loop."""

    @abstractmethod
    def watch(self, plural: str) -> AsyncIterable[Any] | Iterable[Any]:
        """Follow the changes of a kind as the library hands them out."""

    @abstractmethod
    def look(self, event: Any) -> Seen:
        """Read what everybody reads of an event."""

    @abstractmethod
    async def list(self) -> Cache:
        """Read a kind completely, in pages."""

    async def work(self, events: int, see: Callable[[Any], None] | None = None) -> Clock:
        """Take events through the queue and the workers of the library to a handler.

        The handler does nothing, or calls ``see`` with the event.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither queue nor workers")

    async def close(self) -> None:  # noqa: B027
        """Close the connections."""


def look_at_dict(event: Any) -> Seen:
    """Read an event that is a dict."""
    metadata = event["object"]["metadata"]
    return event["type"], metadata["namespace"], metadata["name"], metadata["resourceVersion"]
