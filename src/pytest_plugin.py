"""Fixtures for tests of controllers, loaded by pytest wherever hybridpg is installed.

====================  =============================================================================
``fake_cluster``      an API server in memory, which is a transport
``fake_cluster_url``  the same over HTTP on loopback, for other clients and for child processes
``control_plane``     a real kube-apiserver with etcd, for the session; skips where there is none
``control_plane_client``  a client of it with the rights of an administrator
``eventually``        waits until something holds
``virtual_time``      a marker: the test runs on a loop whose time costs nothing
====================  =============================================================================

It stands outside of the packages and imports them where they are used: pytest loads it in every
run, and one that needs none of this should not pay for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

try:
    from pytest_asyncio import fixture as async_fixture
except ImportError:  # then pytest says at each such fixture that it lacks a plugin for it
    async_fixture = pytest.fixture  # type: ignore[assignment]  # wider than the other one

if TYPE_CHECKING:
    from .controller import Client
    from .controller.testing import ControlPlane, FakeCluster

Loops: TypeAlias = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "virtual_time: runs on a loop whose time costs nothing")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse to run in real time what was written for virtual time."""
    # pytest knows the hook by our own function; what it promises, the other plugin says
    if (
        item.get_closest_marker("virtual_time")
        and not item.config.hook.pytest_asyncio_loop_factories.has_spec()
    ):
        pytest.fail("virtual_time needs pytest-asyncio 1.4 or newer", pytrace=False)


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Generator[None, Loops | None, Loops]:
    """Give a test with the marker its loop, and all others the one they would have without us."""
    loops = yield
    if item.get_closest_marker("virtual_time"):
        from .controller.testing import VirtualTimeLoop

        return {"virtual": VirtualTimeLoop}
    return loops or {"default": asyncio.new_event_loop}


@async_fixture
async def fake_cluster() -> AsyncIterator[FakeCluster]:
    """An API server in memory: a transport for ``Client``, with ``faults`` and ``requests``."""
    from .controller.testing import FakeCluster

    cluster = FakeCluster()
    yield cluster
    await cluster.close()


@async_fixture
async def fake_cluster_url(fake_cluster: FakeCluster) -> AsyncIterator[str]:
    """The address at which ``fake_cluster`` is served over HTTP; not for virtual time."""
    from .controller.testing import FakeClusterServer

    async with FakeClusterServer(fake_cluster) as server:
        yield server.url


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real control plane of this session, shared by its tests."""
    from .controller.testing.controlplane import ControlPlane, find_programs

    programs = find_programs()
    if programs is None:
        pytest.skip(
            "no kube-apiserver and etcd here: set KUBEBUILDER_ASSETS to their folder, for example "
            "with setup-envtest"
        )
    with ControlPlane(programs) as plane:
        yield plane


@async_fixture
async def control_plane_client(control_plane: ControlPlane) -> AsyncIterator[Client]:
    """A client of the real control plane with all rights."""
    from .controller import AiohttpTransport, Client
    from .controller.client import load_kubeconfig

    client = Client(AiohttpTransport(await load_kubeconfig(control_plane.kubeconfig)))
    yield client
    await client.close()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Return ``hybridpg.controller.testing.eventually``."""
    from .controller.testing import eventually

    return eventually
