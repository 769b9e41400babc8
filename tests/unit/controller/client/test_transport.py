"""Requests of the real transport against real servers on loopback, proxies, and its closing."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from aiohttp import web
from tests.unit.controller.client.webserver import collect, echo
from tests.unit.controller.client.wire import answer, receive

from hybridpg.controller.client import AiohttpTransport, Client, Config, StaticAuth
from hybridpg.controller.client.exchange import ERROR_BODY_LIMIT
from hybridpg.controller.errors import ConnectionRefused, TransportError
from hybridpg.controller.types import SECRETS


async def test_a_request_arrives_as_it_was_given(start, connect):
    transport = connect(await start(echo))

    response = await transport.request(
        "PATCH",
        "/api/v1/namespaces/a/secrets/b",
        query=[("fieldManager", "x"), ("force", "true")],
        headers=[("content-type", "application/apply-patch+yaml"), ("accept", "application/json")],
        body=b'{"a": 1}',
    )

    got = json.loads(response.body)
    assert response.status == 200
    assert response.headers["content-type"].startswith("application/json")
    assert (got["method"], got["path"]) == ("PATCH", "/api/v1/namespaces/a/secrets/b")
    assert got["query"] == [["fieldManager", "x"], ["force", "true"]]
    assert got["headers"]["content-type"] == "application/apply-patch+yaml"
    assert got["body"] == '{"a": 1}'


@pytest.mark.parametrize(
    "value",
    ["a in (b,c),!d", "a=b&c=d", "x+y/z==", "100%", "ü;#?", "a b", "app.kubernetes.io/name=x"],
)
async def test_selectors_and_tokens_survive_the_url(start, connect, value: str):
    transport = connect(await start(echo))

    response = await transport.request("GET", "/api", query=[("q", value), ("q", "2")])

    assert json.loads(response.body)["query"] == [["q", value], ["q", "2"]]


async def test_escaped_names_reach_the_server_as_they_are(start, connect):
    transport = connect(await start(echo))

    response = await transport.request("GET", "/api/v1/x/a%20b:c")

    assert json.loads(response.body)["path"] == "/api/v1/x/a%20b:c"


async def test_the_path_of_a_server_behind_a_prefix_is_kept(start, connect):
    transport = connect(await start(echo) + "/k8s/clusters/c-1")

    response = await transport.request("GET", "/api/v1")

    assert json.loads(response.body)["path"] == "/k8s/clusters/c-1/api/v1"


async def test_the_user_agent_is_none_that_gets_indented_json(start, connect):
    transport = connect(await start(echo))

    response = await transport.request("GET", "/")

    assert json.loads(response.body)["headers"]["user-agent"] == "hybridpg"


async def test_a_large_answer_may_come_compressed(start, connect):
    page = json.dumps({"metadata": {}, "items": [], "pad": "x" * 5_000_000}).encode()

    async def compressed(request: web.Request) -> web.Response:
        assert request.headers["accept-encoding"] == "gzip"
        return web.Response(body=gzip.compress(page), headers={"content-encoding": "gzip"})

    transport = connect(await start(compressed))

    assert (await transport.request("GET", "/")).body == page
    assert (await Client(transport).list(SECRETS)).items == []


@pytest.mark.parametrize("status", [201, 404, 409, 422, 500, 503])
async def test_an_error_status_is_an_answer(start, connect, status: int):
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status, body=b"text", headers={"Retry-After": "7"})

    response = await connect(await start(refuse)).request("POST", "/", body=b"{}")

    assert (response.status, response.body) == (status, b"text")
    assert response.headers["retry-after"] == "7"


async def test_the_body_of_an_error_is_cut_and_the_transport_goes_on(start, connect):
    async def flood(request: web.Request) -> web.Response:
        if request.path == "/fine":
            return web.Response(body=b"fine")
        return web.Response(status=500, body=b"x" * 10_000_000)

    transport = connect(await start(flood))

    assert len((await transport.request("GET", "/")).body) == ERROR_BODY_LIMIT
    assert (await transport.request("GET", "/fine")).body == b"fine"


async def test_a_redirect_is_not_followed_with_our_token(start, connect):
    asked: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    transport = connect(await start(redirect), auth=StaticAuth("Bearer secret"))

    assert (await transport.request("GET", "/here")).status == 302
    assert asked == ["/here"]


async def test_cookies_of_a_load_balancer_are_not_sent_back(start, connect):
    async def sticky(request: web.Request) -> web.Response:
        return web.Response(
            body=request.headers.get("cookie", "none").encode(), headers={"Set-Cookie": "route=1"}
        )

    transport = connect(await start(sticky))
    await transport.request("GET", "/")

    assert (await transport.request("GET", "/")).body == b"none"


# --- proxies and closing -----------------------------------------------------------------------


async def test_requests_and_streams_go_through_the_proxy(serve, connect):
    targets: list[str] = []

    async def proxy(reader, writer, number):
        targets.append((await receive(reader)).target)
        writer.write(answer(b"line\n", headers="Connection: close\r\n"))

    transport = connect("http://api.example.com:8080", proxy=await serve(proxy))

    assert (await transport.request("GET", "/a")).body == b"line\n"
    assert await collect(transport.stream("/b")) == [b"line"]
    assert targets == ["http://api.example.com:8080/a", "http://api.example.com:8080/b"]


async def test_a_proxy_that_refuses_means_that_nothing_was_sent(serve, connect):
    async def proxy(reader, writer, number):
        assert (await receive(reader)).method == "CONNECT"
        writer.write(answer(b"", status="407 Proxy Authentication Required"))

    transport = connect("https://api.example.com", proxy=await serve(proxy))

    with pytest.raises(ConnectionRefused, match="407"):
        await transport.request("POST", "/", body=b"{}")


async def test_the_password_of_a_proxy_is_sent_and_never_shown(serve, connect):
    asked: list[str] = []

    async def proxy(reader, writer, number):
        asked.append((await receive(reader)).headers["proxy-authorization"])
        writer.write(answer(b"", status="407 Proxy Authentication Required"))

    url = (await serve(proxy)).replace("http://", "http://user:hunter2@")
    transport = connect("https://api.example.com", proxy=url)

    with pytest.raises(ConnectionRefused) as caught:
        await transport.request("GET", "/")
    assert asked == ["Basic " + base64.b64encode(b"user:hunter2").decode()]
    assert "hunter2" not in f"{caught.value} {transport.config!r}"


async def test_a_closed_transport_refuses(start, connect):
    host = await start(echo)
    used, unused = connect(host), connect(host)
    await used.request("GET", "/")
    await collect(used.stream("/"))

    for transport in (used, unused):
        await transport.close()
        await transport.close()
        with pytest.raises(TransportError, match="closed"):
            await transport.request("GET", "/")
        with pytest.raises(TransportError, match="closed"):
            await collect(transport.stream("/"))


async def test_a_transport_that_was_closed_unused_opens_nothing_any_more(connect):
    transport = connect("http://127.0.0.1:1")
    await transport.close()

    with pytest.raises(TransportError, match="the transport is closed"):
        await transport.request("GET", "/")
    with pytest.raises(TransportError, match="the transport is closed"):
        await collect(transport.stream("/"))


def test_making_a_transport_opens_nothing():
    """Not even an event loop is needed."""
    transport = AiohttpTransport(Config(host="https://127.0.0.1:1"))

    assert transport.config.host == "https://127.0.0.1:1"
