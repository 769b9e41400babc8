"""Where the API server is and how to log in to it: kubeconfig, or the service account of a pod.

A kubeconfig is read by ``kubernetes_asyncio``, which knows its many forms (several files merged,
login plugins, OIDC). That import takes 70 MB of memory, so it happens only there: in a pod the
three files of the service account are read here.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..types import Headers
from .auth import Auth, StaticAuth, TokenFile
from .noproxy import is_direct

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_NAMESPACE: Final = "default"
_PORTS: Final = {"http": 80, "https": 443}
_USER_INFO: Final = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """How the API server is verified and who we are; all are names of PEM files.

    ``server_name`` is the name in the certificate where that is not the host of the URL.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = ""
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Return a new TLS context.

        Errors: :class:`~..errors.ConfigError` naming the file that cannot be used.
        """
        try:  # a named authority and no other, or those of the system
            context = ssl.create_default_context(cafile=self.ca_file or None)
            # Python before 3.11.4 would take an answer that is cut off for one that has ended
            context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        except OSError as error:
            raise ConfigError(
                f"no certificate authority in {self.ca_file}: {error}; it must be a PEM file"
            ) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file or None)
        except OSError as error:
            raise ConfigError(
                f"no client certificate with its key in {self.certificate_file} and "
                f"{self.key_file}: {error}; both must be PEM files that belong together"
            ) from error
        return context


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a transport needs to reach one API server.

    ``host`` is a URL without a slash at its end. ``namespace`` is the one that a user or a pod
    works in. ``proxy`` is the URL of an HTTP proxy, or empty. ``renewed_tls`` returns what takes
    the place of ``tls`` where client certificates are renewed under other names. ``headers`` are
    sent with every request, such as those that say in whose name it is made.
    """

    host: str
    auth: Auth = field(default_factory=StaticAuth)
    tls: TlsConfig = field(default_factory=TlsConfig)
    namespace: str = DEFAULT_NAMESPACE
    proxy: str = field(default="", repr=False)  # may hold a password
    renewed_tls: Callable[[], TlsConfig] | None = None
    headers: Headers = ()

    def __post_init__(self) -> None:
        for what, url in (("the URL of the API server", self.host), ("proxy", self.proxy)):
            parts = urlsplit(url)
            if url and (parts.scheme not in ("http", "https") or not parts.hostname):
                raise ConfigError(f"{what} must be http://… or https://…, not {redacted(url)!r}")
        if not self.host:
            raise ConfigError("no URL of the API server: name one, or a kubeconfig that does")

    def current_tls(self) -> TlsConfig:
        """Return what new connections are to be verified and identified by."""
        return self.tls if self.renewed_tls is None else self.renewed_tls()


def load_in_cluster(
    *, folder: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Config:
    """Return the configuration of the service account of this pod.

    A proxy in the environment is for the way out of the cluster and not taken.

    Errors: :class:`~..errors.ConfigError` outside of a pod, and where no account is mounted.
    """
    folder = folder or SERVICE_ACCOUNT
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ConfigError(
            "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; "
            "name a kubeconfig"
        )
    missing = [str(folder / name) for name in ("token", "ca.crt") if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            f"no service account is mounted: {' and '.join(missing)} missing; the pod must not "
            "set automountServiceAccountToken to false"
        )
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    namespace = folder / "namespace"
    tls = TlsConfig(ca_file=str(folder / "ca.crt"))
    tls.context()  # a file that cannot be used is an error now and not of the first request
    return Config(
        host=url,
        auth=TokenFile(folder / "token"),
        tls=tls,
        namespace=namespace.read_text().strip() if namespace.is_file() else DEFAULT_NAMESPACE,
    )


def environment_proxy(url: str) -> str:
    """Return the proxy that ``HTTPS_PROXY`` asks for, unless ``NO_PROXY`` names the host.

    What is on this machine has none. As for kubectl, the large forms win over the small ones.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError):  # whoever uses the URL says what is wrong with it
        return ""
    proxy = _variable(f"{parts.scheme}_proxy")
    if not proxy or is_direct(parts.hostname or "", port, _variable("no_proxy")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(name: str) -> str:
    return os.environ.get(name.upper()) or os.environ.get(name) or ""


def redacted(text: str) -> str:
    """Return a text without the user and the password of the URLs in it."""
    return _USER_INFO.sub("//…@", text)
