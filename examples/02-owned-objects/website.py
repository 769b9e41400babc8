"""Objects that belong to another one: each Website has a ConfigMap, and keeps it.

The ConfigMap carries an ownerReference. Kubernetes deletes it with its owner, and a change of it
wakes its owner, so whoever deletes or edits it gets it back as it was.
"""

from __future__ import annotations

import asyncio

from hybridpg.controller import (
    AiohttpTransport,
    Client,
    KubeObject,
    Manager,
    Request,
    Resource,
    apply,
    controller_reference,
    enqueue_owner,
    enqueue_self,
    generation_changed,
    load_default,
    stop_on_signals,
)

WEBSITES = Resource("example.com", "v1", "websites", "Website")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
OURS = "app.kubernetes.io/managed-by=websites"


def websites(client: Client) -> Manager:
    """Return a manager with the controller of websites."""
    manager = Manager(client, name="websites")
    sites = manager.informer(WEBSITES)
    # only ours are cached: a cluster may hold thousands of others
    pages = manager.informer(CONFIG_MAPS, label_selector=OURS)

    async def reconcile(request: Request) -> None:
        site = sites.store.get(request.key)
        if site is None or site.deleting:
            return
        wanted = page_of(site)
        page = pages.store.get(request.key)
        if page is None or page.decode().get("data") != wanted["data"]:
            await apply(manager.client, CONFIG_MAPS, wanted, force=True)

    controller = manager.controller("website", reconcile, workers=4)
    controller.watch(sites, handler=enqueue_self(), predicate=generation_changed())
    controller.watch(pages, handler=enqueue_owner(WEBSITES))
    return manager


def page_of(site: KubeObject) -> dict[str, object]:
    """Return the ConfigMap that a website is to have."""
    label, value = OURS.split("=")
    return {
        "metadata": {
            "name": site.name,
            "namespace": site.namespace,
            "labels": {label: value},
            "ownerReferences": [controller_reference(WEBSITES, site)],
        },
        "data": {"index.html": f"<h1>{site.decode()['spec']['title']}</h1>"},
    }


async def main() -> None:
    """Run until told to stop."""
    with stop_on_signals() as stop:
        await websites(Client(AiohttpTransport(await load_default()))).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
