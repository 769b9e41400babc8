"""Logs requests in, and a second time with what was renewed since.

A token, a client certificate or an authority that is exchanged while a controller runs is met by
the next request: that is refused, and sent once more with what there is by then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..errors import TransportError, Unauthorized
from ..protocols import Response
from .config import Config
from .exchange import Login
from .http_errors import FOREIGN, is_untrusted
from .measured import NO_ANSWER
from .tlscontext import TlsContexts

T = TypeVar("T")


class Logins:
    """The credentials of one transport; ``contexts`` is None where nothing is encrypted."""

    def __init__(self, config: Config, contexts: TlsContexts | None) -> None:
        self._config = config
        self._contexts = contexts
        self.closed = False
        # (code of the first answer, method) -> requests that were sent once more
        self.retries: dict[tuple[str, str], int] = {}

    def close(self) -> None:
        """Log nothing in any more."""
        self.closed = True

    async def logged_in(self, send: Callable[[Login], Awaitable[T]], method: str = "GET") -> T:
        """Send once, and a second time if that was refused with credentials that are renewed.

        Errors: :class:`~..errors.TransportError` once it is closed, and what ``send`` raises.
        """
        login, code = await self._login(), "401"
        try:
            answer = await send(login)
        except Unauthorized:
            if not await self._rejected(login):
                raise
        except FOREIGN as error:  # not trusted: nothing was sent
            if not is_untrusted(error) or not self._replaced(login):
                raise
            code = NO_ANSWER
        else:
            refused = isinstance(answer, Response) and answer.status == 401
            if not refused or not await self._rejected(login):
                return answer
        self.repeats(code, method)
        return await send(await self._login())

    def repeats(self, code: str, method: str) -> None:
        """Count a request that is sent once more, by what came of it first."""
        self.retries[code, method] = self.retries.get((code, method), 0) + 1

    async def _login(self) -> Login:
        self._check_open()
        authorization = await self._config.auth.header()  # this may renew the certificate, too
        self._check_open()  # that may have taken its time
        context = None if self._contexts is None else self._contexts.current()
        return Login(authorization, context, self._config.headers)

    def _check_open(self) -> None:
        if self.closed:
            raise TransportError("the transport is closed")

    async def _rejected(self, login: Login) -> bool:
        renewed = await self._config.auth.rejected(login.authorization)
        with_certificate = bool(self._config.current_tls().certificate_file)
        return (with_certificate and self._replaced(login)) or renewed

    def _replaced(self, login: Login) -> bool:
        return self._contexts is not None and self._contexts.replaced(login.context)
