"""The TLS context of new connections, made anew when its files change.

Authorities and client certificates are rotated under a running process: the kubelet and
cert-manager rewrite their files, a login plugin hands out new ones. Connections that are open
keep what they were opened with.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..errors import ConfigError
from ..protocols import Now
from .config import TlsConfig

logger = logging.getLogger(__name__)

RECHECK_SECONDS: Final = 60.0
"""Age at which the files are looked at again: an old authority stays valid for days."""


class TlsContexts:
    """Contexts made of what ``source`` names at the time.

    The files are small and local, so they are read in place, when a connection is about to be
    made. Files that cannot be used (half written, a certificate that came before its key) do no
    harm: the last good context stays.
    """

    def __init__(self, source: Callable[[], TlsConfig], *, now: Now | None = None) -> None:
        self._source = source
        self._now = now
        self._context: ssl.SSLContext | None = None
        self._made_of: tuple[TlsConfig, bytes] | None = None
        self._unusable: tuple[TlsConfig, bytes] | None = None  # tried and said already
        self._checked_at = 0.0

    def current(self) -> ssl.SSLContext:
        """Return the context for a new connection.

        Errors: :class:`~..errors.ConfigError` if there never was one that could be used.
        """
        old = self._time() - self._checked_at >= RECHECK_SECONDS
        if self._context is None or old or self._changed_names():
            return self._check()
        return self._context

    def replaced(self, used: ssl.SSLContext | None) -> bool:
        """Look at the files now; return whether there is another context than the one used."""
        return self._check() is not used

    def _changed_names(self) -> bool:
        tried = self._unusable or self._made_of
        return tried is not None and tried[0] != self._source()

    def _check(self) -> ssl.SSLContext:
        self._checked_at = self._time()
        tls = self._source()
        # before they are used: what is written meanwhile is seen as a change the next time
        found = (tls, _digest(tls))
        if self._context is not None and found == self._unusable:
            return self._context
        self._unusable = None
        if self._context is not None and found == self._made_of:
            return self._context
        try:
            made = tls.context()
        except ConfigError as error:
            if self._context is None:
                raise
            self._unusable = found
            logger.warning("changed TLS files cannot be used, the old ones stay in use: %s", error)
            return self._context
        if self._context is not None:
            logger.info("TLS files have changed, new connections use them")
        self._context, self._made_of = made, found
        return made

    def _time(self) -> float:
        return self._now() if self._now is not None else asyncio.get_running_loop().time()


def _digest(tls: TlsConfig) -> bytes:
    """Return what changes with the contents of the files; one that is missing counts as empty."""
    digest = hashlib.sha256()
    for name in (tls.ca_file, tls.certificate_file, tls.key_file):
        try:
            content = Path(name).read_bytes() if name else b""
        except OSError:
            content = b""
        digest.update(hashlib.sha256(content).digest())
    return digest.digest()
