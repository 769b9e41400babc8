"""Runs the login plugin of a kubeconfig, as kubectl does.

``kubernetes_asyncio`` would tell it nothing of the cluster, look for it wherever the process was
started, and leave it to itself where its run is given up. This is its loader with that one step
done anew. The module imports that library, so it is itself imported on the first kubeconfig only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from typing import Any, Final

from kubernetes_asyncio.config.config_exception import ConfigException
from kubernetes_asyncio.config.dateutil import parse_rfc3339
from kubernetes_asyncio.config.exec_provider import ExecProvider
from kubernetes_asyncio.config.kube_config import FileOrData

from ..errors import ERROR_TEXT_LIMIT
from .oidc import VerifyingLoader

__all__ = ["Loader"]

EXTENSION: Final = "client.authentication.k8s.io/exec"
"""The extension of a cluster that holds what its administrator has to say to login plugins."""
KILLED_SECONDS: Final = 1.0
"""For the end of a plugin that was killed; one that it started may hold on to its output."""
_AS_IN_THE_FILE: Final = (
    "tls-server-name",
    "insecure-skip-tls-verify",
    "proxy-url",
    "disable-compression",
)
"""Fields of a cluster that a plugin is told under the names that they have in a kubeconfig."""


class Loader(VerifyingLoader):
    """The library's loader, which runs login plugins as kubectl does."""

    cert_file: str | None
    key_file: str | None

    async def load_from_exec_plugin(self) -> bool:
        """Run the plugin and take over the token or the certificate that it returns."""
        user: Any = self._user  # there is one, or it would name no plugin
        section = user["exec"]
        provider = ExecProvider(section)  # it knows the form of that section
        command = [self._found(provider.args[0]), *provider.args[1:]]
        info = self._info(section)
        environment = {**provider.env, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        self._take_over(await _credential(command, environment, info["apiVersion"]))
        return True

    def _found(self, command: str) -> str:
        """Return where a command is, beside the kubeconfig say; a bare name is in the PATH."""
        if os.sep not in command:
            return command
        beside = self._get_base_path(self._user.path if self._user else None)
        return os.path.normpath(os.path.join(beside, command))

    def _info(self, section: Any) -> dict[str, Any]:
        """Return the ``ExecCredential`` that a plugin is given."""
        spec: dict[str, Any] = {"interactive": sys.stdout.isatty()}
        if section.safe_get("provideClusterInfo"):
            spec["cluster"] = self._told_of_the_cluster()
        return {"apiVersion": section["apiVersion"], "kind": "ExecCredential", "spec": spec}

    def _told_of_the_cluster(self) -> dict[str, Any]:
        cluster: Any = self._cluster  # the library found it, or failed
        base = self._get_base_path(cluster.path)
        found = {name: cluster.safe_get(name) for name in _AS_IN_THE_FILE}
        found["server"] = cluster.safe_get("server")
        found["certificate-authority-data"] = FileOrData(
            cluster, "certificate-authority", file_base_path=base
        ).as_data()
        told = {name: value for name, value in found.items() if value}
        for each in cluster.safe_get("extensions") or ():
            if each.get("name") == EXTENSION:
                told["config"] = each.get("extension")
        return told

    def _take_over(self, status: Mapping[str, Any]) -> None:
        token, certificate = status.get("token"), status.get("clientCertificateData")
        if not token and not certificate:
            raise ConfigException("the login plugin returned neither a token nor a certificate")
        if token:
            self.token = f"Bearer {token}"
        if certificate:
            if not status.get("clientKeyData"):
                raise ConfigException("the login plugin returned a certificate without its key")
            self.cert_file = self._written(status, "clientCertificateData")
            self.key_file = self._written(status, "clientKeyData")
        if ends := status.get("expirationTimestamp"):
            self.exec_plugin_expiry = parse_rfc3339(ends)

    def _written(self, status: Mapping[str, Any], name: str) -> str | None:
        return FileOrData(
            status,
            None,
            data_key_name=name,
            base64_file_content=False,
            temp_file_path=self._temp_file_path,
        ).as_file()


async def _credential(
    command: list[str], environment: Mapping[str, str], version: str
) -> dict[str, Any]:
    """Run a plugin and return the ``status`` that it answers with."""
    output = await _output(command, environment)
    try:
        answer = json.loads(output)
        status, spoken = answer.get("status") or {}, answer["apiVersion"]
        known = answer["kind"] == "ExecCredential" and isinstance(status, dict)
    except (ValueError, KeyError, AttributeError):
        known = False
    if not known:
        raise ConfigException(f"the login plugin {command[0]} answered with no ExecCredential")
    if spoken != version:
        raise ConfigException(
            f"the login plugin {command[0]} speaks {spoken} and the kubeconfig {version}"
        )
    return status


async def _output(command: list[str], environment: Mapping[str, str]) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=PIPE, stderr=PIPE
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:  # given up: it would hang on, and the next one beside it
            process.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILLED_SECONDS):
                    await process.wait()
    if process.returncode:
        said = errors.decode(errors="replace").strip()[-ERROR_TEXT_LIMIT:]
        how = f"status {process.returncode}: {said}".rstrip(": ")
        raise ConfigException(f"the login plugin {command[0]} ended with {how}")
    return output
