"""TLS of the real transport: who is verified, by which authority and name, and how we show ours."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from tests.unit.controller.client.pki import SERVER_NAME, Pki
from tests.unit.controller.client.webserver import collect, echo

from hybridpg.controller.client import StaticAuth, TlsConfig
from hybridpg.controller.errors import ConnectionRefused, TransportError

PATIENCE = 5.0


async def test_the_server_is_verified_by_the_given_authority(start, connect, pki: Pki):
    host = await start(echo, ssl=pki.server_context())
    transport = connect(host, tls=TlsConfig(ca_file=str(pki.ca)))

    assert (await transport.request("GET", "/")).status == 200
    assert len(await collect(transport.stream("/"))) == 1


@pytest.mark.parametrize(
    "tls",
    [
        pytest.param(lambda pki: TlsConfig(ca_file=str(pki.other_ca)), id="another-authority"),
        pytest.param(lambda pki: TlsConfig(), id="the-authorities-of-the-system"),
        pytest.param(
            lambda pki: TlsConfig(ca_file=str(pki.ca), server_name="other.example.com"),
            id="another-name",
        ),
    ],
)
async def test_a_server_that_cannot_be_verified_gets_no_request(start, connect, pki, tls):
    """D75: least of all the token of a pod."""
    host = await start(echo, ssl=pki.server_context())
    transport = connect(host, tls=tls(pki), auth=StaticAuth("Bearer secret"))

    with pytest.raises(ConnectionRefused, match=r"not trusted.*check the certificate authority"):
        await transport.request("GET", "/")
    with pytest.raises(ConnectionRefused):
        await collect(transport.stream("/"))


async def test_the_scheme_may_be_written_in_capitals(start, connect, pki: Pki):
    host = (await start(echo, ssl=pki.server_context())).replace("https:", "HTTPS:")

    assert (
        await connect(host, tls=TlsConfig(ca_file=str(pki.ca))).request("GET", "/")
    ).status == 200


async def test_the_name_in_the_certificate_may_differ_from_the_host(start, connect, pki: Pki):
    host = await start(echo, ssl=pki.server_context())
    tls = TlsConfig(ca_file=str(pki.ca), server_name=SERVER_NAME)

    assert (await connect(host, tls=tls).request("GET", "/")).status == 200


async def test_verification_can_be_switched_off(start, connect, pki: Pki):
    host = await start(echo, ssl=pki.server_context())

    assert (await connect(host, tls=TlsConfig(verify=False)).request("GET", "/")).status == 200


async def test_a_client_certificate_is_presented(start, connect, pki: Pki):
    host = await start(echo, ssl=pki.server_context(client_certificates=True))
    tls = TlsConfig(ca_file=str(pki.ca), certificate_file=str(pki.client), key_file=str(pki.client))

    assert (await connect(host, tls=tls).request("GET", "/")).status == 200
    with pytest.raises(TransportError):
        await connect(host, tls=TlsConfig(ca_file=str(pki.ca))).request("GET", "/")


async def test_a_transport_that_is_closed_waits_for_nobodys_goodbye(connect, pki: Pki):
    """An event loop that ends would leave the socket open until the collector finds it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = connect(
            f"https://127.0.0.1:{server.getsockname()[1]}", tls=TlsConfig(verify=False)
        )
        asking = asyncio.create_task(transport.request("GET", "/"))
        theirs = await asyncio.to_thread(_asked, server, pki.server_context())
        asking.cancel()
        await asyncio.wait([asking])

        await transport.close()

        with socket.socket(fileno=theirs.detach()) as silent:
            silent.settimeout(PATIENCE)
            while silent.recv(4096):  # its goodbye, and then the end
                continue


def _asked(server: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return the connection of a client that has just asked."""
    connection = context.wrap_socket(server.accept()[0], server_side=True)
    assert connection.recv(4096).startswith(b"GET ")
    return connection
