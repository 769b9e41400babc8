"""The HTTP face end to end: TLS with our own client, large bodies, faults on the wire."""

from __future__ import annotations

import asyncio
import datetime
import io
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.controller.testing.conftest import SECRETS, Api

from hybridpg.controller.client import AiohttpTransport, load_kubeconfig
from hybridpg.controller.errors import ApiError, TransportError
from hybridpg.controller.testing import FakeCluster, FakeClusterServer
from hybridpg.controller.testing.server import BODY_LIMIT

JSON = (("Content-Type", "application/json"),)
DAY = datetime.timedelta(days=1)


def certified(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """Return the context of a server and the PEM of the authority: itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "server.pem"
    path.write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, pem


async def client_of(server: FakeClusterServer, folder: Path, pem: bytes = b"") -> AiohttpTransport:
    path = folder / "kubeconfig"
    path.write_text(json.dumps(server.kubeconfig(certificate_authority=pem)))
    return AiohttpTransport(await load_kubeconfig(path))


@pytest.fixture
async def wired(cluster: FakeCluster, tmp_path: Path) -> AsyncIterator[AiohttpTransport]:
    """Our client, by plain HTTP."""
    async with FakeClusterServer(cluster) as server:
        transport = await client_of(server, tmp_path)
        yield transport
        await transport.close()


async def test_our_client_speaks_tls_with_a_token(cluster: FakeCluster, tmp_path: Path):
    context, pem = certified(tmp_path)
    async with FakeClusterServer(cluster, ssl_context=context, token="hush") as server:
        transport = await client_of(server, tmp_path, pem)
        body = json.dumps({"metadata": {"name": "a"}}).encode()
        made = await transport.request("POST", SECRETS, headers=JSON, body=body)
        assert made.status == 201
        lines = transport.stream(SECRETS, query=(("watch", "true"), ("timeoutSeconds", "1")))
        seen = [json.loads(line) async for batch in lines for line in batch]
        assert [event["object"]["metadata"]["name"] for event in seen] == ["a"]
        await transport.close()


async def test_an_unknown_authority_is_not_trusted(cluster: FakeCluster, tmp_path: Path):
    context, _ = certified(tmp_path)
    async with FakeClusterServer(cluster, ssl_context=context) as server:
        transport = await client_of(server, tmp_path)
        with pytest.raises(TransportError):
            await transport.request("GET", SECRETS)
        await transport.close()
    assert cluster.requests == []


async def test_a_wrong_token_is_refused_for_watches_too(cluster: FakeCluster):
    async with FakeClusterServer(cluster, token="hush") as server, aiohttp.ClientSession() as http:
        url = f"{server.url}{SECRETS}?watch=true"
        answer = await http.get(url, headers={"Authorization": "Bearer wrong"})
        assert (answer.status, (await answer.json())["reason"]) == (401, "Unauthorized")
    assert cluster.open_watches == []


async def test_a_body_beyond_the_limit_is_refused_and_one_below_is_not(cluster: FakeCluster):
    async with FakeClusterServer(cluster) as server, aiohttp.ClientSession() as http:
        url = f"{server.url}{SECRETS}"
        async with http.post(url, data=io.BytesIO(b" " * (BODY_LIMIT + 1))) as huge:
            assert huge.status == 413
        data = {"k": "eHh4" * 200_000}
        body = json.dumps({"metadata": {"name": "a"}, "data": data}).encode()
        async with http.post(url, data=io.BytesIO(body), headers=dict(JSON)) as large:
            assert large.status == 201
        assert (await (await http.get(f"{url}/a")).json())["data"] == data


async def test_a_watch_is_sent_line_by_line_in_chunks(cluster: FakeCluster, api: Api):
    async with FakeClusterServer(cluster) as server, aiohttp.ClientSession() as http:
        answer = await http.get(f"{server.url}{SECRETS}?watch=true")
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.headers["Content-Type"] == "application/json"
        for name in ("a", "b", "c"):
            await api.secret(name)
            event = json.loads(await answer.content.readline())
            assert event["object"]["metadata"]["name"] == name
        answer.close()


async def test_a_head_start_of_many_events_arrives_whole(cluster: FakeCluster, api: Api):
    for n in range(300):
        await api.secret(f"s{n:03}", annotations={"text": "x" * 500})
    async with FakeClusterServer(cluster) as server, aiohttp.ClientSession() as http:
        answer = await http.get(f"{server.url}{SECRETS}?watch=true&timeoutSeconds=1")
        lines = (await answer.read()).splitlines()
        names = [json.loads(line)["object"]["metadata"]["name"] for line in lines]
        assert names == [f"s{n:03}" for n in range(300)]


async def test_scripted_errors_reach_the_client(cluster: FakeCluster, wired: AiohttpTransport):
    cluster.faults.too_many_requests(retry_after=7)
    answer = await wired.request("GET", SECRETS)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    cluster.faults.server_error()
    assert (await wired.request("GET", SECRETS)).status == 500
    cluster.faults.conflict(method="PATCH")
    assert (await wired.request("PATCH", f"{SECRETS}/a", body=b"{}")).status == 409
    assert (await wired.request("GET", SECRETS)).status == 200


async def test_lost_and_refused_requests_are_errors_of_the_transport(
    cluster: FakeCluster, wired: AiohttpTransport
):
    body = json.dumps({"metadata": {"name": "a"}}).encode()
    for fault in (cluster.faults.refused, cluster.faults.lost_before):
        fault(method="POST")
        with pytest.raises(TransportError):
            await wired.request("POST", SECRETS, headers=JSON, body=body)
    cluster.faults.lost_after(method="POST")
    with pytest.raises(TransportError):
        await wired.request("POST", SECRETS, headers=JSON, body=body)
    # of the three, only the last was carried out
    assert (await wired.request("POST", SECRETS, headers=JSON, body=body)).status == 409


async def test_a_delay_holds_the_answer_back(cluster: FakeCluster, wired: AiohttpTransport):
    cluster.faults.delay(30)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wired.request("GET", SECRETS), 0.1)
    assert (await wired.request("GET", SECRETS)).status == 200


@pytest.mark.parametrize("reset", [False, True])
async def test_a_watch_is_cut_on_the_wire(
    cluster: FakeCluster, api: Api, wired: AiohttpTransport, reset: bool
):
    await api.secret("a")
    await api.secret("b")
    cluster.faults.cut_watch(after=1, reset=reset)
    seen: list[bytes] = []

    async def read() -> None:
        async for lines in wired.stream(SECRETS, query=(("watch", "true"),)):
            seen.extend(lines)

    if reset:
        with pytest.raises(TransportError):
            await read()
    else:
        await read()
    assert len(seen) == 1
    assert cluster.open_watches == []


async def test_an_expired_watch_says_so_on_the_wire(cluster: FakeCluster, wired: AiohttpTransport):
    cluster.faults.expire_watch()
    lines = [
        line async for batch in wired.stream(SECRETS, query=(("watch", "true"),)) for line in batch
    ]
    assert [json.loads(line)["object"]["code"] for line in lines] == [410]
    cluster.faults.error(410, "Expired", method="WATCH")
    with pytest.raises(ApiError):
        await anext(aiter(wired.stream(SECRETS, query=(("watch", "true"),))))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_addresses_that_others_reach_are_refused(cluster: FakeCluster, host: str):
    with pytest.raises(ValueError, match="loopback addresses only"):
        FakeClusterServer(cluster, host=host)
