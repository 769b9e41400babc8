"""A controller of two replicas for tests: the leader appends to a sequence in a ConfigMap.

``python -m tests.sequence_replica KUBECONFIG NAMESPACE NAME DURATION DEADLINE PERIOD``

Every write has the version of the object that it is based on as its precondition. The writer
takes no hint: a process that was stopped and goes on begins with its next write, and whatever
that ends with, it reads the object again and tries another, as long as it is let. In between it
leaves its name in another ConfigMap, ``trail``, without any precondition.
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
    MergePatch,
    ObjectKey,
    Resource,
    load_kubeconfig,
    stop_on_signals,
)

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
TRAIL = "trail"
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
        obj = None
        trail = MergePatch({"data": {"writer": identity}})
        while True:
            try:
                obj = obj or await manager.client.get(CONFIG_MAPS, key)
                following = appended(obj["data"], identity, obj)
                obj = await manager.client.update(CONFIG_MAPS, key, following)
                await asyncio.sleep(PAUSE)
                await manager.client.patch(CONFIG_MAPS, ObjectKey(namespace, TRAIL), trail)
            except ControllerError as error:
                print(f"{type(error).__name__} {error}", flush=True)
                obj = None
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
