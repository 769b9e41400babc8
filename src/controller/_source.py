"""What a watcher lists and watches: a client, a kind, a place and the selectors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from .decode import ListPage
from .transforms import Transform, transformed
from .types import KubeObject, Resource


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
        send_initial_events: bool = False,
        metadata_only: bool = False,
    ) -> AsyncIterator[list[bytes]]:
        """Stream the raw lines of a watch with bookmarks, if asked for with the list first."""
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
        metadata_only: bool = False,
    ) -> ListPage:
        """Read one page of a list."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Asks for one selection of the objects of a kind."""

    client: ListWatch
    resource: Resource
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    transform: Transform | None = None
    metadata_only: bool = False

    @property
    def title(self) -> str:
        """The name of the selection in logs."""
        return f"{self.resource} in {self.namespace}" if self.namespace else str(self.resource)

    async def page(self, version: str, *, limit: int | None = None, token: str = "") -> ListPage:
        """Read one page, not older than ``version``; without a version at quorum."""
        page = await self.client.list(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            limit=limit,
            continue_token=token,
            resource_version=version or None,
            resource_version_match="NotOlderThan" if version else "",
            metadata_only=self.metadata_only,
        )
        if self.transform is None:
            return page
        return page._replace(items=[self.kept(obj) for obj in page.items])

    def lines(self, version: str, *, seconds: int, initial: bool) -> AsyncIterator[list[bytes]]:
        """Open a watch from ``version``; ``initial``: one that begins with the list."""
        return self.client.watch(
            self.resource,
            namespace=self.namespace,
            resource_version=version,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            timeout_seconds=seconds,
            send_initial_events=initial,
            metadata_only=self.metadata_only,
        )

    def kept(self, obj: KubeObject) -> KubeObject:
        """Return what is cached of an object."""
        return obj if self.transform is None else transformed(self.transform, obj)
