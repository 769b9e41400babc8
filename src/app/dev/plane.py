"""The control plane of ``hybridpg dev``: our own on loopback, or a cluster that the user names.

Either way everything after it goes through a kubeconfig, as any client's requests do.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from ...backends.local.tls import Authority
from ...controller import (
    NAMESPACES,
    AiohttpTransport,
    Client,
    Config,
    ObjectKey,
    load_kubeconfig,
)
from ...controller.testing import FakeCluster, FakeClusterServer
from .state import Settings, State, write_private

HOST: Final = "127.0.0.1"
"""Loopback only: the token in the kubeconfig is all that protects the objects."""
NAME: Final = "hybridpg-dev"
"""Of cluster, user and context in the kubeconfig."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A control plane that answers."""

    config: Config
    kubeconfig: Path
    title: str

    def connect(self) -> AiohttpTransport:
        """Return a new transport; whoever asks for it closes it."""
        return AiohttpTransport(self.config)


@asynccontextmanager
async def open_plane(state: State, kubeconfig: Path | None) -> AsyncIterator[Plane]:
    """Start our own control plane, or reach the one that the kubeconfig names."""
    if kubeconfig is None:
        async with _own(state):
            yield await _plane(state.kubeconfig, "not Kubernetes: for trying and testing")
    else:
        yield await _plane(kubeconfig, f"of {kubeconfig}")


async def _plane(kubeconfig: Path, remark: str) -> Plane:
    config = await load_kubeconfig(kubeconfig)
    client = Client(AiohttpTransport(config))
    try:
        await client.get(NAMESPACES, ObjectKey("", "default"))
    finally:
        await client.close()
    return Plane(config, kubeconfig, f"{config.host} ({remark})")


@asynccontextmanager
async def _own(state: State) -> AsyncIterator[None]:
    authority = await asyncio.to_thread(Authority.load_or_create, state.tls)
    context = await asyncio.to_thread(_tls, state.tls, authority)
    cluster = FakeCluster.load(state.cluster)
    try:
        async with _listen(cluster, context, state.settings) as server:
            state.keep(replace(state.settings, port=server.port))
            ca = authority.certificate.encode()
            kubeconfig = server.kubeconfig(certificate_authority=ca, name=NAME)
            write_private(state.kubeconfig, yaml.safe_dump(kubeconfig, sort_keys=False))
            yield
    finally:
        await cluster.close()


@asynccontextmanager
async def _listen(
    cluster: FakeCluster, context: ssl.SSLContext, settings: Settings
) -> AsyncIterator[FakeClusterServer]:
    """Listen on the port of the last start, so that its kubeconfig stays good, or on a free one."""
    async with AsyncExitStack() as stack:
        for port in (settings.port, 0):
            server = FakeClusterServer(
                cluster, host=HOST, port=port, ssl_context=context, token=settings.token
            )
            try:
                await stack.enter_async_context(server)
                break
            except OSError:
                if port == 0:
                    raise
        yield server


def _tls(folder: Path, authority: Authority) -> ssl.SSLContext:
    certificate, key = authority.issue("hybridpg dev", ["localhost"], [HOST])
    pair = folder / "server.pem"
    write_private(pair, certificate + key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    return context
