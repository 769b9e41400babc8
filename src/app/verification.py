"""What was proven about published Secrets, in memory: a restart proves it again."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Final

from ..backends import Endpoint
from ..controller import ObjectKey, is_older_version

LOGIN_VALID_SECONDS: Final = 3600.0
"""A login that worked counts for about an hour; the bulk catalog check covers the time between."""


@dataclass(frozen=True, slots=True)
class LoginProof:
    """What a login was made with: another Secret, version or endpoint needs another login.

    The version alone says which Secret: it is unique in a cluster.
    """

    secret_version: str
    host: str
    port: int
    authority: bytes
    """A digest of the CA: the bundle of a cloud has 160 KB, and each object has a proof."""

    @classmethod
    def of(cls, secret_version: str, endpoint: Endpoint) -> LoginProof:
        """Return what a login at an endpoint proves."""
        authority = hashlib.sha256(endpoint.ca.encode()).digest()
        return cls(secret_version, endpoint.host, endpoint.port, authority)


class VerifiedLogins:
    """Remembers which login worked when, by kind and key of the object."""

    def __init__(self, now: Callable[[], float], chance: random.Random) -> None:
        self._now = now
        self._chance = chance
        self._proven: dict[Hashable, tuple[LoginProof, float]] = {}

    def __len__(self) -> int:
        """Return how many objects are remembered."""
        return len(self._proven)

    def proven(self, who: Hashable, proof: LoginProof) -> bool:
        """Return whether exactly this login worked lately."""
        found = self._proven.get(who)
        return found is not None and found[0] == proof and self._now() < found[1]

    def remember(self, who: Hashable, proof: LoginProof) -> None:
        """Remember a login that worked just now, for an hour give or take a tenth."""
        valid = LOGIN_VALID_SECONDS * self._chance.uniform(0.9, 1.1)
        self._proven[who] = (proof, self._now() + valid)

    def forget(self, who: Hashable) -> None:
        """Forget an object: the next look logs in again."""
        self._proven.pop(who, None)


@dataclass(frozen=True, slots=True)
class PublishedSecret:
    """A Secret as we wrote or read it last."""

    namespace: str
    name: str
    resource_version: str


class PublishedSecrets:
    """Which Secret each object publishes, so that a sweep sees a deleted or edited one."""

    def __init__(self) -> None:
        self._secrets: dict[Hashable, tuple[ObjectKey, PublishedSecret]] = {}

    def record(self, kind: str, key: ObjectKey, secret: PublishedSecret) -> None:
        """Remember the Secret of an object."""
        self._secrets[kind, key] = (key, secret)

    def forget(self, kind: str, key: ObjectKey) -> None:
        """Forget the Secret of an object that is gone."""
        self._secrets.pop((kind, key), None)

    def is_older(self, kind: str, secret: PublishedSecret, key: ObjectKey) -> bool:
        """Return whether a Secret that was read is an earlier version of the one remembered."""
        _, known = self._secrets.get((kind, key), (key, secret))
        same = (secret.namespace, secret.name) == (known.namespace, known.name)
        return same and is_older_version(secret.resource_version, known.resource_version)

    def of_kind(self, kind: str) -> Iterator[tuple[ObjectKey, PublishedSecret]]:
        """Iterate over a copy, so that records may change meanwhile."""
        yield from [v for k, v in self._secrets.items() if isinstance(k, tuple) and k[0] == kind]
