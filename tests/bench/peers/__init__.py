"""The Python libraries that are measured, each by the fastest way that its documentation offers.

All do the same: a watch yields events of which type, namespace, name and resourceVersion are read;
a list ends in a dict from key to object. Imports stand in the constructors: a sample pays for one
library only, before its clock runs.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.target import Target

from .base import Cache, Peer

__all__ = ["PEERS", "Cache", "Peer", "open_peer"]


def _kopf(target: Target) -> Peer:
    from .with_kopf import Kopf

    return Kopf(target)


def _kr8s(target: Target) -> Peer:
    from .with_kr8s import Kr8s

    return Kr8s(target)


def _kubernetes(target: Target) -> Peer:
    from .with_kubernetes import Kubernetes

    return Kubernetes(target)


def _kubernetes_asyncio(target: Target) -> Peer:
    from .with_kubernetes_asyncio import KubernetesAsyncio

    return KubernetesAsyncio(target)


def _lightkube(target: Target) -> Peer:
    from .with_lightkube import Lightkube

    return Lightkube(target)


PEERS: dict[str, Callable[[Target], Peer]] = {
    "kopf": _kopf,
    "kr8s": _kr8s,
    "kubernetes": _kubernetes,
    "kubernetes-asyncio": _kubernetes_asyncio,
    "lightkube": _lightkube,
}


async def open_peer(name: str, target: Target) -> Peer:
    """Import a library and set up its client."""
    peer = PEERS[name](target)
    await peer.open()
    return peer
