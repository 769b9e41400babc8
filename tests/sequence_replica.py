"""A controller of two replicas for tests: the leader appends to a sequence in a ConfigMap.

``python -m tests.sequence_replica KUBECONFIG NAMESPACE NAME DURATION DEADLINE PERIOD``

Every write has the version of the object that it is based on as its precondition. The writer
takes no hint: whatever a write ends with, it reads the object again and tries the next one, as
long as it is let.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from hybridpg.controller import (
    AiohttpTransport,
    Client,
    ControllerError,
    LeaseConfig,
    Manager,
    ObjectKey,
    Resource,
    load_kubeconfig,
    stop_on_signals,
)

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
PAUSE = 0.002


async def main(kubeconfig: str, namespace: str, name: str, *times: str) -> None:
    """Run one replica until it is told to stop, or loses its lease."""
    client = Client(AiohttpTransport(await load_kubeconfig(Path(kubeconfig))))
    duration, deadline, period = map(float, times)
    lease = LeaseConfig(namespace, name, duration, deadline, period)
    manager = Manager(client, name=name, leader_election=lease, grace=1.0)
    assert manager.elector is not None
    identity = manager.elector.identity
    key = ObjectKey(namespace, name)

    async def write() -> None:
        print(f"leads {identity}", flush=True)
        while True:
            try:
                obj = await manager.client.get(CONFIG_MAPS, key)
                await manager.client.update(CONFIG_MAPS, key, appended(obj["data"], identity, obj))
            except ControllerError as error:
                print(f"{type(error).__name__} {error}", flush=True)
            await asyncio.sleep(PAUSE)

    manager.informer(CONFIG_MAPS, namespaces=(namespace,))
    manager.add("sequence", write)
    with stop_on_signals() as stop:
        await manager.run(stop, on_started=lambda: print(f"started {identity}", flush=True))


def appended(data: dict[str, str], identity: str, obj: dict[str, object]) -> dict[str, object]:
    """Return the object with one more write; ``writers`` are those that ever took turns."""
    writers = data["writers"].split()
    if not writers or writers[-1] != identity:
        writers.append(identity)
    count = int(data["count"]) + 1
    return {**obj, "data": {"writers": " ".join(writers), "count": str(count)}}


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
