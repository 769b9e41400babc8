"""Where the ``Authorization`` header of a request comes from, and how it is renewed.

A token ends while the process lives: the kubelet rotates the file of a service account, and the
token of a cloud's login plugin lasts minutes. Each source renews in time and, because clocks and
estimates are wrong now and then, once more when the API server says 401.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ..errors import ConfigError
from ..protocols import Now

logger = logging.getLogger(__name__)

REREAD_SECONDS: Final = 60.0
"""Age at which a token file is read again: the kubelet writes it long before the old one ends."""
EXPIRY_MARGIN: Final = 60.0
"""Seconds before its end at which a token is renewed: slow plugins and slow clocks."""
RENEWAL_SECONDS: Final = 60.0
"""What a login plugin gets: requests may wait for it, and one that hangs must not stop them."""
RENEWAL_PAUSE: Final = 10.0
"""Seconds between two tries where one did not help; each may cost a process."""


class Auth(Protocol):
    """A source of the ``Authorization`` header."""

    async def header(self) -> str:
        """Return the value to send, empty for none."""
        ...

    async def rejected(self, used: str) -> bool:
        """Take note that ``used`` was answered with 401; return whether another one is there."""
        ...

    async def close(self) -> None:
        """End what is under way, for a transport that is closed; it may be used by another one."""
        ...


class StaticAuth:
    """A header that never changes, or none (client certificates)."""

    def __init__(self, header: str = "") -> None:
        self._header = header

    async def header(self) -> str:
        """Return the header given."""
        return self._header

    async def rejected(self, used: str) -> bool:
        """Return False: there is nothing else to try."""
        return False

    async def close(self) -> None:
        """Do nothing: nothing is ever under way."""


class TokenFile:
    """A bearer token in a file that somebody else rewrites, such as the kubelet.

    The file is small and local, so it is read in place; that also makes every reading a single
    flight. A file that is missing for a moment does no harm: the old token stays in use.
    """

    def __init__(
        self, path: Path, *, now: Now | None = None, reread_seconds: float = REREAD_SECONDS
    ) -> None:
        self._path = path
        self._now = now
        self._reread_seconds = reread_seconds
        self._header = ""
        self._read_at = 0.0

    async def header(self) -> str:
        """Return the header of the token, read again where the last reading is old.

        Errors: :class:`~..errors.ConfigError` if the file never held a token.
        """
        now = self._time()
        if not self._header or now - self._read_at >= self._reread_seconds:
            self._read(now)
        return self._header

    async def rejected(self, used: str) -> bool:
        """Read the file again, unless another request already did; return whether it changed."""
        if self._header == used:
            self._read(self._time())
        return self._header != used

    async def close(self) -> None:
        """Do nothing: a file is read in place."""

    def _time(self) -> float:
        return self._now() if self._now is not None else asyncio.get_running_loop().time()

    def _read(self, now: float) -> None:
        try:
            self._header = bearer(self._path.read_text())
        except (OSError, ValueError) as error:
            if not self._header:
                raise ConfigError(
                    f"cannot read a token from {self._path}: {error}; mount the token of a "
                    "service account there"
                ) from error
            logger.warning("token file %s cannot be read, the old token stays", self._path)
        self._read_at = now


@dataclass(frozen=True, slots=True)
class Credential:
    """A header and the seconds for which it is good, None where that is not known."""

    header: str = field(repr=False)
    lifetime: float | None = None


class RenewedAuth:
    """A header that ``load`` makes anew: login plugins, OIDC, files named by a kubeconfig.

    Renewal is a single flight in a task of its own, which the end of a request that waits for it
    does not end. Requests wait for it only where the old header is good no longer. A failure is
    logged and the old header stays, because the API server is the judge of it.
    """

    def __init__(
        self,
        first: Credential,
        load: Callable[[], Awaitable[Credential]],
        *,
        now: Now | None = None,
    ) -> None:
        self._header = first.header
        self._load = load
        self._now = now
        self._lifetime = first.lifetime
        self._renew_at = float("-inf")
        self._counting = False  # set with the first request: needs a running loop
        self._ends_at = float("inf")  # until then the header is good, as far as is known
        self._tried_at = float("-inf")  # of the last renewal, successful or not
        self._renewal: asyncio.Task[None] | None = None  # the last one

    async def header(self) -> str:
        """Return the header; from shortly before its end on a new one is fetched."""
        if not self._counting:
            self._good_for(self._lifetime)
        if self._time() >= self._renew_at:
            renewal = self._begin()
            if self._time() >= self._ends_at:
                await asyncio.wait([renewal])
        return self._header

    async def rejected(self, used: str) -> bool:
        """Renew the header, unless that was done just now; return whether it changed."""
        if self._header == used and (
            self._renewing() or self._time() - self._tried_at >= RENEWAL_PAUSE
        ):
            await asyncio.wait([self._begin()])
        return self._header != used

    async def close(self) -> None:
        """End the renewal that is under way; who waits for it goes on with the old header."""
        if self._renewal is not None and not self._renewal.done():
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    def _renewing(self) -> bool:
        return self._renewal is not None and not self._renewal.done()

    def _begin(self) -> asyncio.Task[None]:
        """Return the renewal that is under way, or begin one."""
        if self._renewal is None or self._renewal.done():
            # in an empty context: it is not part of the request that happens to come first
            self._renewal = asyncio.get_running_loop().create_task(
                self._renew(), name="renew credentials", context=Context()
            )
        return self._renewal

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(RENEWAL_SECONDS):
                credential = await self._load()
        except Exception as error:  # whatever it is, the old header stays
            logger.warning(
                "credentials cannot be renewed, the old ones stay: %s",
                str(error) or f"that takes longer than {RENEWAL_SECONDS:g} s",
                exc_info=None if isinstance(error, (ConfigError, TimeoutError)) else error,
            )
            self._renew_at = self._time() + RENEWAL_PAUSE
        else:
            self._header = credential.header
            self._good_for(credential.lifetime)
            if credential.lifetime == 0:
                # ended by our clock, which may be wrong: the plugin must not run for each request
                self._renew_at = self._time() + RENEWAL_PAUSE
        self._tried_at = self._time()

    def _good_for(self, lifetime: float | None) -> None:
        """Note for how long the header is good, from now on."""
        self._counting = True
        seconds = float("inf") if lifetime is None else lifetime
        self._ends_at = self._time() + seconds
        # of a very short life most is used, or each request would ask for a new one
        self._renew_at = self._ends_at - min(EXPIRY_MARGIN, seconds / 4)

    def _time(self) -> float:
        return self._now() if self._now is not None else asyncio.get_running_loop().time()


def bearer(token: str) -> str:
    """Return the header for a token; editors and ``echo`` leave a newline behind it.

    Errors: ``ValueError`` for what cannot be a token; the message does not hold it.
    """
    token = token.strip()
    if not token:
        raise ValueError("the token is empty")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("the token holds characters that no token has")
    return f"Bearer {token}"
