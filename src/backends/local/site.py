"""What all servers of this machine share, made on first use: folders, authority, our own login."""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..errors import Unavailable, Unknown
from ..local_options import OPERATOR_ROLE, LocalOptions
from ..values import (
    AdminLogin,
    Endpoint,
    ServerRef,
)
from .account import ENVIRONMENT, Account
from .claims import Claims, prepare
from .configuration import published_host
from .files import PUBLIC, read_text, write_atomic
from .layout import Layout
from .tls import Authority

PROBE_SECONDS = 10
SITE = "site"
"""The key of ``ServerState.effective`` that says in which folder a server was made."""


@dataclass(frozen=True, slots=True)
class Site:
    """The place where servers live."""

    layout: Layout
    authority: Authority
    claims: Claims
    address: str
    identity: str

    def is_current(self) -> bool:
        """Return whether the folder is still the one that was opened; blocks.

        Raises:
            Unknown: it is none at all now.
        """
        present = read_text(self.layout.identity)
        if present is None:
            raise Unknown(
                f"{self.layout.identity} is gone; is {self.layout.path} mounted? If its data is "
                f"lost for good, start the controller anew"
            )
        return present.strip() == self.identity

    def check_absence(self, server: ServerRef) -> None:
        """Prove that a server without folder is none, and that this is where it would be; blocks.

        Raises:
            Unknown: it was made in another folder, which was not mounted, moved or lost.
        """
        made_in = str(server.recorded.get(SITE) or "")
        if made_in in ("", self.identity) or made_in in (read_text(self.layout.lost) or "").split():
            return
        raise Unknown(
            f"server {server.external_name} was made in another folder (site {made_in}) than "
            f"{self.layout.path} is now (site {self.identity}); is the folder mounted, and is "
            f"backends.local.path right? If its data is lost for good, write {made_in} into "
            f"{self.layout.lost}"
        )

    @property
    def certificate(self) -> Path:
        """The operator's own certificate, good for every server of this site."""
        return self.layout.authority / "operator.crt"

    @property
    def key(self) -> Path:
        """The key of :attr:`certificate`."""
        return self.layout.authority / "operator.key"

    def renew(self) -> None:
        """Make the operator's certificate, or renew it when it is due; blocks."""
        present = read_text(self.certificate)
        if present is None or not self.key.exists() or not self.authority.vouches_for(present):
            certificate, key = self.authority.issue(OPERATOR_ROLE, client=True)
            self.certificate.unlink(missing_ok=True)  # a crash leaves no pair that does not match
            write_atomic(self.key, key)
            write_atomic(self.certificate, certificate, mode=PUBLIC)

    def endpoint(self, port: int) -> Endpoint:
        """Return where the server on this port is reached, with the operator's way in."""
        host = published_host(self.address)
        return Endpoint(
            host=host,
            port=port,
            ca=self.authority.certificate,
            hostaddr="" if host == self.address else self.address,
            admin=AdminLogin(OPERATOR_ROLE, certificate=str(self.certificate), key=str(self.key)),
        )


def open_site(options: LocalOptions, account: Account) -> Site:
    """Make the site's folders and certificates, or find them; blocks."""
    layout = prepare(options.path)
    _check_reachable(layout.servers, account)
    authority = Authority.load_or_create(layout.authority)
    claims = Claims(layout, options.address, options.ports)
    site = Site(layout, authority, claims, options.address, _identity(layout))
    site.renew()
    return site


def _identity(layout: Layout) -> str:
    """Return the id of this folder, which gets one when it is first used."""
    with layout.claims():
        present = (read_text(layout.identity) or "").strip()
        if not present:
            present = secrets.token_hex(8)
            write_atomic(layout.identity, f"{present}\n")
    return present


def _check_reachable(folder: Path, account: Account) -> None:
    """Refuse a path that the servers' user cannot get to, before anything is made there."""
    answer = subprocess.run(  # noqa: S603 - fixed words and our own folder
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=PROBE_SECONDS,
        cwd="/",
        env=ENVIRONMENT,
        **account.identity(),
    )
    if answer.returncode != 0:
        raise Unavailable(
            f"user {account.name}, who runs the servers, cannot get to {folder}; let it through "
            "(chmod o+x on each parent), or set backends.local.path"
        )
