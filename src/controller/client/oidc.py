"""Renews the OIDC login of a kubeconfig, with its issuer verified.

``kubernetes_asyncio`` would send the refresh token and the client's secret to whoever answers: it
checks the issuer's certificate only where the kubeconfig holds an authority, and fails there. This
is its loader with that one step done anew. The module imports that library, so it is itself
imported on the first kubeconfig only.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes_asyncio.config.config_exception import ConfigException
from kubernetes_asyncio.config.kube_config import KubeConfigLoader
from kubernetes_asyncio.config.openid import OpenIDRequestor

__all__ = ["VerifyingLoader"]


class _Issuer(OpenIDRequestor):
    """Who renews tokens, once it has proven who it is."""

    def __init__(self, config: Mapping[str, Any], trust: ssl.SSLContext) -> None:
        super().__init__(config["client-id"], config["client-secret"], config["idp-issuer-url"])
        self._trust = trust

    def _get_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(ssl=self._trust)


class VerifyingLoader(KubeConfigLoader):
    """The library's loader, which renews an OIDC login at a verified issuer only."""

    async def _refresh_oidc(self, provider: Any) -> None:
        config = provider["config"]
        if "refresh-token" not in config:
            raise ConfigException("oidc: the id-token ended, and there is no refresh-token")
        issuer = _Issuer(config, self._trust_of(config))
        renewed = await issuer.refresh_token(config["refresh-token"])
        config.value["id-token"] = renewed["id_token"]
        # an issuer whose refresh tokens serve more than once does not send another
        config.value["refresh-token"] = renewed.get("refresh_token", config["refresh-token"])
        if self._config_persister:
            self._config_persister(self._config.value)

    def _trust_of(self, config: Any) -> ssl.SSLContext:
        """Trust the authority that the kubeconfig names, else those of the system."""
        if "idp-certificate-authority-data" in config:
            pem = base64.b64decode(config["idp-certificate-authority-data"]).decode()
            return ssl.create_default_context(cadata=pem)
        if "idp-certificate-authority" in config:
            base = Path(self._get_base_path(self._user.path if self._user else None))
            return ssl.create_default_context(cafile=base / config["idp-certificate-authority"])
        return ssl.create_default_context()
