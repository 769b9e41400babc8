"""The client lists and watches a real API server: pages, selectors, versions and large answers."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.controller.client_objects import CONFIG_MAPS, watch_until

from hybridpg.controller.client import Client, MergePatch
from hybridpg.controller.decode import BOOKMARK
from hybridpg.controller.types import ObjectKey

pytestmark = pytest.mark.testenv


# --- lists -------------------------------------------------------------------------------------


async def test_a_list_comes_in_pages_of_one_state(real_client: Client, namespace: str, create):
    for name in "abcde":
        await create(name)

    first = await real_client.list(CONFIG_MAPS, namespace=namespace, limit=2)
    await create("later")
    names = [item.name for item in first.items]
    page = first
    while page.continue_token:
        page = await real_client.list(
            CONFIG_MAPS, namespace=namespace, limit=2, continue_token=page.continue_token
        )
        names += [item.name for item in page.items]

    assert first.remaining == 3
    assert names == [*"abcde"]
    assert page.resource_version == first.resource_version


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"label_selector": "name in (a,b)"}, ["a", "b"]),
        ({"label_selector": "name!=a,name"}, ["b", "c"]),
        ({"field_selector": "metadata.name=c"}, ["c"]),
        ({"label_selector": "none=x"}, []),
    ],
)
async def test_a_list_is_selected_by_labels_and_fields(
    real_client, namespace, create, options, names
):
    for name in "abc":
        await create(name)

    page = await real_client.list(CONFIG_MAPS, namespace=namespace, **options)

    assert [item.name for item in page.items] == names


async def test_a_list_across_namespaces_holds_this_one(real_client: Client, namespace: str, create):
    await create("a")

    page = await real_client.list(CONFIG_MAPS, label_selector="name=a")

    assert ObjectKey(namespace, "a") in {item.key for item in page.items}


async def test_a_cached_list_is_not_older_than_asked(real_client: Client, namespace: str, create):
    version = (await create("a"))["metadata"]["resourceVersion"]

    page = await real_client.list(
        CONFIG_MAPS,
        namespace=namespace,
        resource_version=version,
        resource_version_match="NotOlderThan",
    )

    assert [item.name for item in page.items] == ["a"]
    assert int(page.resource_version) >= int(version)


async def test_a_large_list_comes_whole_although_it_is_compressed(real_client, namespace, create):
    for number in range(8):
        await create(f"big-{number}", data=f"{number}" * 500_000)

    page = await real_client.list(CONFIG_MAPS, namespace=namespace)

    assert [item.decode()["data"]["data"][:2] for item in page.items] == [
        f"{number}" * 2 for number in range(8)
    ]


# --- watches -----------------------------------------------------------------------------------


async def test_a_watch_tells_every_change_after_a_version(real_client, namespace, create):
    version = (await real_client.list(CONFIG_MAPS, namespace=namespace)).resource_version
    await create("a", x="1")
    await real_client.patch(
        CONFIG_MAPS, ObjectKey(namespace, "a"), MergePatch({"data": {"x": "2"}})
    )
    await real_client.delete(CONFIG_MAPS, ObjectKey(namespace, "a"))

    events = await watch_until(
        real_client, namespace, lambda seen: len(seen) == 3, resource_version=version
    )

    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event.object.resource_version) for event in events]
    assert versions == sorted(versions)


async def test_a_watch_brings_the_list_first_and_marks_its_end(real_client, namespace, create):
    await create("a")
    await create("b")

    events = await watch_until(
        real_client,
        namespace,
        lambda seen: seen[-1].type == BOOKMARK,
        send_initial_events=True,
    )

    assert [event.object.name for event in events[:-1]] == ["a", "b"]
    annotations = events[-1].object.decode()["metadata"]["annotations"]
    assert annotations == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_ends_by_itself_after_its_time(real_client: Client, namespace: str):
    stream = real_client.watch(CONFIG_MAPS, namespace=namespace, timeout_seconds=1, bookmarks=False)

    async with asyncio.timeout(10):
        assert [lines async for lines in stream] == []


async def test_an_event_of_more_than_a_megabyte_comes_whole(real_client, namespace, create):
    version = (await real_client.list(CONFIG_MAPS, namespace=namespace)).resource_version
    await create("big", data="x" * 1_040_000)

    [event] = await watch_until(
        real_client, namespace, lambda seen: len(seen) == 1, resource_version=version
    )

    assert len(event.object.decode()["data"]["data"]) == 1_040_000
