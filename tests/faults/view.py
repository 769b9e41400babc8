"""What the harness sees of a lane past every seam: objects, and every version of every Secret."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.faults.pasts import Moment
from tests.fix_operator import DATABASES, SERVERS, decoded

from hybridpg.controller import (
    SECRETS,
    Client,
    ControllerError,
    JsonObject,
    ListPage,
    MergePatch,
    NotFound,
    ObjectKey,
    Resource,
    TooManyRequests,
)

KINDS = (SERVERS, DATABASES, SECRETS)
WATCH_SECONDS = 3000


@dataclass(frozen=True, slots=True)
class Version:
    """What a Secret held from a moment on; None: it was not there."""

    name: str
    at: float
    values: dict[str, str] | None

    def passwords(self) -> list[str]:
        """Return what it says logs in."""
        values = self.values or {}
        return [values[key] for key in ("password", "next-password") if values.get(key)]


@dataclass
class View:
    """Objects of one namespace, followed by watches of our own."""

    client: Client
    namespace: str
    current: dict[tuple[str, str], JsonObject] = field(default_factory=dict)
    history: list[Version] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    """The worlds since the beginning, the present one last."""
    _seen: dict[str, int] = field(default_factory=dict)
    _followers: list[asyncio.Task[None]] = field(default_factory=list)

    async def _served(self, kind: Resource) -> ListPage:
        """List a kind; the API server answers 429 while it takes a new definition into use."""
        for _ in range(100):
            try:
                return await self.client.list(kind, namespace=self.namespace)
            except TooManyRequests:
                await asyncio.sleep(0.1)
        return await self.client.list(kind, namespace=self.namespace)

    async def __aenter__(self) -> View:
        """Follow from now on."""
        for kind in KINDS:
            page = await self._served(kind)
            self._seen[kind.plural] = int(page.resource_version)
            work = self._follow(kind, page.resource_version)
            self._followers.append(asyncio.create_task(work, name=f"view of {kind.plural}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop following."""
        for each in self._followers:
            each.cancel()
        for each in self._followers:
            with contextlib.suppress(asyncio.CancelledError):
                await each

    def begin(self) -> None:
        """Forget what Secrets held before; what they hold now is the first version."""
        self.history = [
            Version(name, time.monotonic(), decoded(obj))
            for (plural, name), obj in self.current.items()
            if plural == SECRETS.plural
        ]
        self.moments = [self._moment()]

    def _moment(self) -> Moment:
        versions = {plural: str(version) for plural, version in self._seen.items()}
        return Moment(versions, dict(self.current))

    def worlds(self) -> list[Moment]:
        """Return the moments at which an object of our two kinds had just changed."""
        found = self.moments[:1]
        for moment in self.moments[1:]:
            before, now = found[-1], moment
            if any(before.of(kind.plural) != now.of(kind.plural) for kind in (SERVERS, DATABASES)):
                found.append(moment)
        return found

    def versions(self, plural: str, name: str) -> list[JsonObject]:
        """Return what an object was since the beginning, oldest first."""
        found: list[JsonObject] = []
        for moment in self.moments:
            obj = moment.objects.get((plural, name))
            if obj is not None and obj not in found[-1:]:
                found.append(obj)
        return found

    def objects(self) -> Iterator[JsonObject]:
        """Iterate over the objects of our two kinds."""
        for (plural, _), obj in self.current.items():
            if plural != SECRETS.plural:
                yield obj

    def get(self, kind: Resource, name: str) -> JsonObject | None:
        """Return an object, or None where there is none now."""
        return self.current.get((kind.plural, name))

    def published(self) -> list[str]:
        """Return every password that was published since the beginning."""
        return list(dict.fromkeys(p for version in self.history for p in version.passwords()))

    def published_by(self, name: str) -> list[str]:
        """Return every password that one Secret published since the beginning."""
        versions = (version for version in self.history if version.name == name)
        return list(dict.fromkeys(p for version in versions for p in version.passwords()))

    async def create(self, kind: Resource, obj: JsonObject) -> None:
        """Create an object, as a user does."""
        made = await self.client.create(kind, obj, namespace=self.namespace)
        await self._caught_up(kind, made)

    async def patch(self, kind: Resource, name: str, body: JsonObject) -> None:
        """Change an object, as a user does."""
        made = await self.client.patch(kind, self.key(name), MergePatch(body))
        await self._caught_up(kind, made)

    async def _caught_up(self, kind: Resource, made: JsonObject) -> None:
        """Wait until a change of our own is here: who looks next must see it."""
        version = int(made["metadata"]["resourceVersion"])
        while self._seen[kind.plural] < version:
            await asyncio.sleep(0.002)

    async def delete(self, kind: Resource, name: str) -> None:
        """Begin the deletion of an object; one that is not there is as good as deleted."""
        with contextlib.suppress(NotFound):
            before = await self.client.get(kind, self.key(name))
            await self.client.delete(kind, self.key(name))
            while "deletionTimestamp" not in before["metadata"] and self.get(kind, name) == before:
                await asyncio.sleep(0.002)

    def key(self, name: str) -> ObjectKey:
        """Return the key of an object."""
        return ObjectKey(self.namespace, name)

    async def clear(self) -> None:
        """Remove everything of ours from the namespace, whoever holds it."""
        while self.current:
            for (plural, name), obj in tuple(self.current.items()):
                kind = next(kind for kind in KINDS if kind.plural == plural)
                await self.delete(kind, name)
                if obj["metadata"].get("finalizers"):
                    with contextlib.suppress(NotFound):
                        await self.patch(kind, name, {"metadata": {"finalizers": None}})
            await asyncio.sleep(0.005)

    async def up_to_date(self) -> None:
        """Wait until everything that the API server has is here."""
        for kind in KINDS:
            page = await self.client.list(kind, namespace=self.namespace)
            wanted = {item.name: item.resource_version for item in page.items}
            while {n: v for n, v in self._versions(kind).items() if n in wanted} != wanted:
                await asyncio.sleep(0.005)
                page = await self.client.list(kind, namespace=self.namespace)
                wanted = {item.name: item.resource_version for item in page.items}

    def _versions(self, kind: Resource) -> dict[str, str]:
        return {
            name: obj["metadata"]["resourceVersion"]
            for (plural, name), obj in self.current.items()
            if plural == kind.plural
        }

    async def _follow(self, kind: Resource, version: str) -> None:
        while True:
            with contextlib.suppress(ControllerError):
                watch = self.client.watch(
                    kind,
                    namespace=self.namespace,
                    resource_version=version,
                    timeout_seconds=WATCH_SECONDS,
                    bookmarks=True,
                )
                async for lines in watch:
                    for line in lines:
                        version = self._take(kind, json.loads(line)) or version

    def _take(self, kind: Resource, event: dict[str, Any]) -> str:
        obj, type_ = event["object"], event["type"]
        if type_ == "ERROR":
            raise AssertionError(f"the view of {kind.plural} broke: {obj}")
        version = str(obj["metadata"]["resourceVersion"])
        self._seen[kind.plural] = int(version)
        if type_ == "BOOKMARK":
            return version
        key = (kind.plural, obj["metadata"]["name"])
        gone = type_ == "DELETED"
        if gone:
            self.current.pop(key, None)
        else:
            self.current[key] = obj
        if kind is SECRETS:
            values = None if gone else decoded(obj)
            self.history.append(Version(key[1], time.monotonic(), values))
        self.moments.append(self._moment())
        return version
