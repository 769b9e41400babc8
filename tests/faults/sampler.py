"""Looks at PostgreSQL all the time: who exists, and with which password.

Whether a published password works is not tried but computed, from the verifier that the server
keeps: a login takes milliseconds, and the question is asked hundreds of times.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import psycopg
from tests.faults.view import Version

PAUSE_SECONDS = 0.02
IDLE_SECONDS, IDLE_PAUSE_SECONDS = 0.1, 0.05
"""Where nobody says anything for so long, nothing changes: it is looked at less often."""
WATCH_LAG = 0.25
"""Our own watch may tell of a Secret so much later than it was written, on a busy machine."""
_ROLES = """
SELECT 'role', rolname, oid::int, coalesce(rolpassword, '') FROM pg_authid WHERE oid >= 16384
UNION ALL
SELECT 'database', datname, oid::int, '' FROM pg_database WHERE oid >= 16384
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server had between two moments."""

    began: float
    ended: float
    verifiers: dict[str, str]
    oids: dict[str, int]


@dataclass
class Sampler:
    """One connection of an administrator that asks again and again."""

    connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]
    quiet_for: Callable[[], float]
    samples: list[Sample] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None
    _since: float = 0.0

    async def __aenter__(self) -> Sampler:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="sampler")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def begin(self) -> None:
        """Forget what was seen, and a look that is under way."""
        self.samples.clear()
        self._since = time.monotonic()

    def verifiers(self, role: str) -> list[str]:
        """Return the different verifiers that a role had, oldest first; empty ones do not count."""
        seen = (sample.verifiers.get(role, "") for sample in self.samples)
        return list(dict.fromkeys(filter(None, seen)))

    def oids(self, database: str) -> list[int]:
        """Return the different identities that a database had, oldest first."""
        seen = (sample.oids.get(database) for sample in self.samples)
        return list(dict.fromkeys(oid for oid in seen if oid is not None))

    async def _run(self) -> None:
        connection = None
        while True:
            try:
                connection = connection or await self.connect()
                await self._look(connection)
            except psycopg.Error:  # there is none, or it is restarted by a point: asked again
                connection = None
                self._take(Sample(time.monotonic(), time.monotonic(), {}, {}))
            idle = self.quiet_for() > IDLE_SECONDS
            await asyncio.sleep(IDLE_PAUSE_SECONDS if idle else PAUSE_SECONDS)

    async def _look(self, connection: psycopg.AsyncConnection[Any]) -> None:
        began = time.monotonic()
        cursor = await connection.execute(_ROLES)
        rows = await cursor.fetchall()
        sample = Sample(
            began,
            time.monotonic(),
            {name: verifier for kind, name, _, verifier in rows if kind == "role"},
            {name: oid for kind, name, oid, _ in rows if kind == "database"},
        )
        self._take(sample)

    def _take(self, sample: Sample) -> None:
        if sample.began < self._since:
            return
        if self.samples and _same(self.samples[-1], sample):
            before = self.samples.pop()
            sample = Sample(before.began, sample.ended, sample.verifiers, sample.oids)
        self.samples.append(sample)


def _same(one: Sample, other: Sample) -> bool:
    return one.verifiers == other.verifiers and one.oids == other.oids


@lru_cache(maxsize=4096)
def accepts(verifier: str, password: str) -> bool:
    """Return whether a SCRAM verifier is the one of a password (RFC 5803)."""
    scheme, _, rest = verifier.partition("$")
    if scheme != "SCRAM-SHA-256":
        return False
    costs, _, keys = rest.partition("$")
    iterations, _, salt = costs.partition(":")
    stored, _, _ = keys.partition(":")
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(salt), int(iterations)
    )
    key = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(key).digest() == base64.b64decode(stored)


def locked_out(samples: Sequence[Sample], role: str, versions: Sequence[Version]) -> list[str]:
    """Return the times at which no published password would have logged in.

    Every sample, at its beginning and at its end, is held against what the Secret said around
    that moment.
    """
    if not versions:
        return []
    by_name = [[v for v in versions if v.name == name] for name in {v.name for v in versions}]
    found = []
    for sample in samples:
        verifier = sample.verifiers.get(role)
        if not verifier:
            continue
        for moment in {sample.began, sample.ended}:
            near = [version for each in by_name for version in _around(each, moment)]
            if not any(accepts(verifier, p) for version in near for p in version.passwords()):
                found.append(f"no published password logs in as {role} at {moment:.3f}")
    return found


def _around(versions: Sequence[Version], moment: float) -> list[Version]:
    """Return what the Secret may have been at that moment: the last before it, and what is near."""
    before = [version for version in versions if version.at <= moment - WATCH_LAG]
    within = [
        version for version in versions if moment - WATCH_LAG < version.at <= moment + WATCH_LAG
    ]
    return before[-1:] + within
