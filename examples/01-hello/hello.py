"""The smallest controller: says hello to whom the spec names, in the status."""

import asyncio

import hybridpg.controller as hc

HELLOS = hc.Resource("example.com", "v1", "hellos", "Hello")


def hello(client: hc.Client) -> hc.Manager:
    """Return a manager with one controller."""
    manager = hc.Manager(client, name="hello")
    hellos = manager.informer(HELLOS)

    async def reconcile(request: hc.Request) -> None:
        if (found := hellos.store.get(request.key)) is not None:
            greeting = f"hello {found.decode()['spec']['who']}"
            await hc.write_status(manager.client, HELLOS, found, {"greeting": greeting})

    manager.controller("hello", reconcile).watch(hellos, handler=hc.enqueue_self())
    return manager


async def main() -> None:
    """Run until told to stop."""
    with hc.stop_on_signals() as stop:
        await hello(hc.Client(hc.AiohttpTransport(await hc.load_default()))).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
