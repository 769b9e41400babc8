"""The control plane of ``dev``: TLS on loopback, one token, one port over restarts."""

import asyncio
import socket
import stat

import aiohttp
import pytest

from hybridpg.app.dev.plane import HOST, open_plane
from hybridpg.app.dev.state import hold
from hybridpg.controller import NAMESPACES, Client, ObjectKey, TransportError, load_kubeconfig
from hybridpg.controller.client import AiohttpTransport


@pytest.fixture
def state(tmp_path):
    with hold(tmp_path / "state") as held:
        yield held


async def test_the_kubeconfig_is_all_that_a_client_needs(state):
    async with open_plane(state, None):
        client = Client(AiohttpTransport(await load_kubeconfig(state.kubeconfig)))
        found = await client.get(NAMESPACES, ObjectKey("", "default"))
        await client.close()

    assert found["kind"] == "Namespace"
    assert stat.S_IMODE(state.kubeconfig.stat().st_mode) == 0o600


async def test_without_the_token_nothing_is_told(state):
    async with open_plane(state, None) as plane, aiohttp.ClientSession() as session:
        url = f"{plane.config.host}/api/v1/namespaces/default/secrets"
        async with session.get(url, ssl=plane.config.tls.context()) as response:
            assert response.status == 401


async def test_it_listens_on_loopback_only_and_speaks_tls_only(state):
    async with open_plane(state, None) as plane:
        assert plane.config.host.startswith(f"https://{HOST}:")
        reader, writer = await asyncio.open_connection(HOST, state.settings.port)
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.read(5) in (b"", b"\x15\x03\x01\x00\x02", b"\x15\x03\x03\x00\x02")
        writer.close()


async def test_the_port_stays_over_restarts(state):
    async with open_plane(state, None) as plane:
        first = plane.config.host

    async with open_plane(state, None) as plane:
        assert plane.config.host == first


async def test_a_port_that_somebody_else_has_by_now_is_given_up(state):
    async with open_plane(state, None):
        taken = state.settings.port
    with socket.create_server((HOST, taken)):
        async with open_plane(state, None) as plane:
            assert plane.config.host != f"https://{HOST}:{taken}"
            assert str(state.settings.port) in state.kubeconfig.read_text()


async def test_objects_survive_a_restart(state):
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    async with open_plane(state, None) as plane:
        client = Client(plane.connect())
        await client.create(NAMESPACES, namespace)
        await client.close()

    async with open_plane(state, None) as plane:
        client = Client(plane.connect())
        assert await client.get(NAMESPACES, ObjectKey("", "team"))
        await client.close()


async def test_a_named_cluster_is_used_instead_and_its_kubeconfig_is_not_copied(state, tmp_path):
    with hold(tmp_path / "other") as other:
        async with open_plane(other, None), open_plane(state, other.kubeconfig) as plane:
            assert plane.kubeconfig == other.kubeconfig
            assert str(other.settings.port) in plane.title
    assert not state.kubeconfig.exists()
    assert not state.cluster.exists()


async def test_a_named_cluster_that_does_not_answer_is_an_error_at_once(state, tmp_path):
    with hold(tmp_path / "other") as other:
        async with open_plane(other, None):
            pass
        with pytest.raises(TransportError):
            async with open_plane(state, other.kubeconfig):
                pass
