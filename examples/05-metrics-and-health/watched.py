"""A controller that can be watched: health for the kubelet, metrics for Prometheus.

``/healthz`` fails where only a restart helps, ``/readyz`` where caches are incomplete or stale, and
both name the part. The metrics have the names of controller-runtime and client-go, so their
dashboards fit.
"""

from __future__ import annotations

import asyncio

from hybridpg.controller import (
    Address,
    AiohttpTransport,
    Client,
    Manager,
    Request,
    Resource,
    enqueue_self,
    load_default,
    stop_on_signals,
)

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


def watched(client: Client, host: str, port: int) -> Manager:
    """Return a manager that serves its health and metrics there; port 0 is any free one."""
    manager = Manager(client, name="watched", health=Address(host, port))
    namespaces = manager.informer(NAMESPACES, metadata_only=True)

    async def reconcile(request: Request) -> None:
        namespaces.store.get(request.key)

    manager.controller("namespace", reconcile).watch(namespaces, handler=enqueue_self())
    return manager


async def main() -> None:
    """Run until told to stop."""
    with stop_on_signals() as stop:
        await watched(Client(AiohttpTransport(await load_default())), "", 8080).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
