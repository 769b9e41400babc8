"""What the reconcilers share: one value, made once by ``install`` and handed to each of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from ..backends import Credentials, Endpoint, ServerRef
from ..backends.sql import LoginResult
from ..controller import Client, EventSink, ObjectKey, ReadStore
from .bindings import Bindings
from .config import Config
from .crowd import Crowd
from .placement import Backends
from .quota import Quotas
from .secrets import SecretStore
from .silences import Silences
from .status import Clock
from .verification import PublishedSecrets, VerifiedLogins

LoginCheck = Callable[[Endpoint, Credentials, str], Awaitable[LoginResult]]
"""Logs in to a database as an application would."""


QUESTION_SECONDS: Final = 60.0
"""Between two looks at a server because its databases are refused: one that is right about that
keeps being so, and its resync is ten times as rare."""


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """A server that answers: what its databases need of it."""

    ref: ServerRef
    backend: str
    endpoint: Endpoint


class ServerDirectory:
    """The servers that answer, by key, so that a database never asks the backend for its server.

    Filled by the server's reconcile function, hence empty after a start: a database waits until
    its server was looked at once, and says nothing new meanwhile.
    """

    def __init__(self) -> None:
        self._entries: dict[ObjectKey, ServerEntry] = {}
        self._seen: set[ObjectKey] = set()
        self._absent: set[ObjectKey] = set()
        self._listeners: list[Callable[[ObjectKey], None]] = []
        self._doubters: list[Callable[[ObjectKey], None]] = []
        # loop time of the last question about each server
        self._questioned: dict[ObjectKey, float] = {}

    def subscribe(self, listener: Callable[[ObjectKey], None]) -> None:
        """Call ``listener`` with the key of every server whose entry changed."""
        self._listeners.append(listener)

    def on_question(self, listener: Callable[[ObjectKey], None]) -> None:
        """Call ``listener`` with the key of a server that must be looked at again."""
        self._doubters.append(listener)

    def question(self, key: ObjectKey) -> None:
        """Say that what is known of a server is refused there: its admin login may be a new one.

        If it is, the server is published anew, which wakes its databases.
        """
        now = asyncio.get_running_loop().time()
        last = self._questioned.get(key)
        if last is None or now - last >= QUESTION_SECONDS:
            self._questioned[key] = now
            for listener in self._doubters:
                listener(key)

    def publish(self, key: ObjectKey, entry: ServerEntry) -> None:
        """Enter a server; its databases are woken if anything about it changed."""
        changed = self._entries.get(key) != entry
        self._entries[key] = entry
        self._absent.discard(key)
        self._tell(key, changed=changed)

    def withdraw(self, key: ObjectKey) -> None:
        """Remove a server that is gone or does not answer."""
        self._tell(key, changed=self._entries.pop(key, None) is not None)

    def forget(self, key: ObjectKey) -> None:
        """Remove a server whose object is gone, and that it was ever looked at."""
        self.withdraw(key)
        self._seen.discard(key)
        self._absent.discard(key)
        self._questioned.pop(key, None)

    def declare_absent(self, key: ObjectKey) -> None:
        """Note that a server which is being deleted is proven gone, its databases with it."""
        news = key not in self._absent
        self._entries.pop(key, None)
        self._absent.add(key)
        self._tell(key, changed=news)

    def absent(self, key: ObjectKey) -> bool:
        """Return whether the server is proven gone."""
        return key in self._absent

    def doubt(self, key: ObjectKey) -> None:
        """Note that a server was looked at without a clear answer; one that answered stays."""
        self._tell(key, changed=False)

    def seen(self, key: ObjectKey) -> bool:
        """Return whether the server was looked at since the start of this process."""
        return key in self._seen

    def _tell(self, key: ObjectKey, *, changed: bool) -> None:
        if changed or key not in self._seen:
            self._seen.add(key)
            for listener in self._listeners:
                listener(key)

    def get(self, key: ObjectKey) -> ServerEntry | None:
        """Return the server, or None while it does not answer."""
        return self._entries.get(key)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything that a reconcile function needs and that is not about its object."""

    client: Client
    config: Config
    cluster_id: str
    backends: Backends
    servers: ReadStore
    databases: ReadStore
    events: EventSink
    secrets: SecretStore
    directory: ServerDirectory
    quotas: Quotas
    bindings: Bindings
    logins: VerifiedLogins
    published: PublishedSecrets
    clock: Clock
    check_login: LoginCheck
    random: random.Random = field(default_factory=random.Random)
    crowd: Crowd = field(default_factory=Crowd)
    """The new databases of each server; who is in use does not go through it."""
    silences: Silences = field(default_factory=Silences)
    """The deletions of databases whose server gives no answer."""

    def resync_after(self) -> float:
        """Return the seconds until a converged object is checked again, jittered by a tenth.

        Ten minutes bound how long a change behind our back stays unseen; the jitter keeps
        thousands of objects from coming at once.
        """
        return 600.0 * self.random.uniform(0.9, 1.1)
