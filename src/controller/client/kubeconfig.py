"""Reads a kubeconfig through ``kubernetes_asyncio``, which is imported on the first call only.

What it does not do, we do around it: it runs a login plugin once and keeps what that returned,
token or client certificate, after its end, and it reads ``tokenFile`` once. Here the kubeconfig
is loaded again when a credential ends or is rejected, and ``tokenFile`` is read as in a pod. The
issuer of an OIDC login is verified (``oidc.py``), login plugins are run as kubectl runs them
(``plugins.py``), and who is to be acted as is said (``impersonation.py``).
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError
from .auth import Auth, Credential, RenewedAuth, StaticAuth, TokenFile
from .config import (
    DEFAULT_NAMESPACE,
    Config,
    TlsConfig,
    environment_proxy,
    load_in_cluster,
)
from .impersonation import impersonation

if TYPE_CHECKING:
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader, KubeConfigMerger

logger = logging.getLogger(__name__)

VARIABLE: Final = "KUBECONFIG"
TOKEN: Final = "BearerToken"  # noqa: S105  a name in kubernetes_asyncio's configuration


async def load_default(context: str | None = None) -> Config:
    """Return the configuration that any Kubernetes tool would use here.

    In this order: the files of ``KUBECONFIG``, the service account of the pod,
    ``~/.kube/config``.
    """
    if context is None and not os.environ.get(VARIABLE) and "KUBERNETES_SERVICE_HOST" in os.environ:
        return load_in_cluster()
    return await load_kubeconfig(context=context)


async def load_kubeconfig(path: str | Path | None = None, context: str | None = None) -> Config:
    """Return the configuration of a kubeconfig's context (None: its current one).

    ``path`` None reads the files of ``KUBECONFIG``, merged, or ``~/.kube/config``. A login plugin
    named there is run.

    Errors: :class:`~..errors.ConfigError` naming the file and what is wrong with it.
    """
    paths = str(path) if path else os.environ.get(VARIABLE) or "~/.kube/config"
    if not _any_exists(paths):
        raise ConfigError(f"no kubeconfig at {paths}: name one with --kubeconfig or {VARIABLE}")
    loader, found = await _load(paths, context)
    host = found.host or ""
    login = _Login(paths, context, _tls(found))
    login.tls.context()  # a file that cannot be used is an error now and not of the first request
    return Config(
        host=host.rstrip("/"),
        auth=_auth(loader, login, _credential(loader, found)),
        tls=login.tls,
        namespace=_namespace(loader.current_context),
        proxy=found.proxy or environment_proxy(host),
        renewed_tls=lambda: login.tls,
        headers=impersonation(loader._user.value if loader._user else {}),
    )


@dataclass(slots=True)
class _Login:
    """Loads a kubeconfig again, which runs its login plugin."""

    paths: str
    context: str | None
    tls: TlsConfig  # as it was found the last time

    async def __call__(self) -> Credential:
        loader, found = await _load(self.paths, self.context)
        former, self.tls = self.tls, _tls(found)
        credential = _credential(loader, found)
        kept = (self.tls.certificate_file, self.tls.key_file)
        _drop({former.certificate_file, former.key_file}.difference(kept))
        return credential


def _any_exists(paths: str) -> bool:
    return any(Path(part).expanduser().is_file() for part in paths.split(os.pathsep) if part)


async def _load(paths: str, context: str | None) -> tuple[KubeConfigLoader, Configuration]:
    # imported here: see the head of this module
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config.kube_config import KubeConfigMerger

    from .plugins import Loader

    found = Configuration()
    found.host = ""  # its default is http://localhost
    try:
        files = KubeConfigMerger(paths)
        loader = Loader(
            files.config,
            context,
            config_base_path=None,
            # the library's own way to there fails: it passes what that does not take
            config_persister=lambda _: _keep(files),
        )
        await loader.load_and_set(found)
    except Exception as error:  # it raises whatever a malformed file leads to
        raise ConfigError(f"kubeconfig {paths} cannot be used: {_explain(error)}") from error
    return loader, found


def _drop(names: set[str]) -> None:
    """Remove files of a former certificate that the library wrote.

    It keeps all of them until the process ends, and open: a process of months would run out.
    """
    # imported here: see the head of this module
    from kubernetes_asyncio.config import kube_config

    written = kube_config._temp_files  # it has no public name; a test holds us to it
    for content, name in tuple(written.items()):
        if name in names:
            del written[content]
            _close(name)
            Path(name).unlink(missing_ok=True)


def _close(name: str) -> None:
    """Close what is open of a file that nobody has a handle of; Linux alone tells."""
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # the listing itself was one of them
            if str(entry.readlink()) == name:
                os.close(int(entry.name))


def _keep(files: KubeConfigMerger) -> None:
    """Write what an OIDC login has become: its issuer may take each refresh token only once."""
    try:
        files.save_changes()
    except OSError as error:
        logger.warning("the renewed login cannot be kept in the kubeconfig: %s", error)


def _explain(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or f"its form is wrong ({type(error).__name__})"


def _tls(found: Configuration) -> TlsConfig:
    return TlsConfig(
        ca_file=found.ssl_ca_cert or "",
        certificate_file=found.cert_file or "",
        key_file=found.key_file or "",
        server_name=found.tls_server_name or "",
        verify=bool(found.verify_ssl),
    )


def _auth(loader: KubeConfigLoader, login: _Login, first: Credential) -> Auth:
    user = loader._user  # it has no public name; a test holds us to it
    if user is not None and "exec" in user:
        return RenewedAuth(first, login)
    if user is not None and "auth-provider" not in user and user.safe_get("tokenFile"):
        beside = Path(user.path or "").absolute().parent
        return TokenFile(beside / str(user["tokenFile"]))
    return RenewedAuth(first, login) if first.header else StaticAuth()


def _credential(loader: KubeConfigLoader, found: Configuration) -> Credential:
    header = str(found.api_key.get(TOKEN, "")).strip()
    if not header.isprintable():
        raise ConfigError("the token of the kubeconfig holds characters that no token has")
    expiry: datetime.datetime | None = getattr(loader, "exec_plugin_expiry", None)
    if expiry is None and not header and loader._user is not None and "exec" in loader._user:
        expiry = _end_of_certificate(found.cert_file)
    if expiry is None:
        return Credential(header)
    left = expiry - datetime.datetime.now(datetime.UTC)
    return Credential(header, max(left.total_seconds(), 0.0))


def _end_of_certificate(path: str | None) -> datetime.datetime | None:
    if not path:
        return None
    # imported here: only login plugins that return certificates need it
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(Path(path).read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise ConfigError(f"the login plugin returned no certificate: {error}") from error


def _namespace(context: Mapping[str, Any] | None) -> str:
    inner = (context or {}).get("context") or {}
    return str(inner.get("namespace") or DEFAULT_NAMESPACE)
