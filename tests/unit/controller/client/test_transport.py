"""The real transport against real servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.unit.controller.client.pki import SERVER_NAME, Pki
from tests.unit.controller.client.wire import CHUNKED, answer, chunk, receive

from hybridpg.controller.client import (
    AiohttpTransport,
    Client,
    Config,
    StaticAuth,
    TlsConfig,
    TokenFile,
)
from hybridpg.controller.client.exchange import ERROR_BODY_LIMIT
from hybridpg.controller.errors import (
    ConnectionRefused,
    Forbidden,
    ServerError,
    TransportError,
    Unauthorized,
)
from hybridpg.controller.types import SECRETS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Start = Callable[..., Awaitable[str]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    servers: list[TestServer] = []

    async def run(handler: Handler, **options: object) -> str:
        app = web.Application(client_max_size=100_000_000)
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app)
        await server.start_server(**options)  # type: ignore[arg-type]  # ssl= only
        servers.append(server)
        return str(server.make_url("")).rstrip("/")

    yield run
    for server in servers:
        await server.close()


async def echo(request: web.Request) -> web.Response:
    """Answers with what came, in one line."""
    came = {
        "method": request.method,
        "path": request.raw_path.partition("?")[0],
        "query": list(request.query.items()),
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "body": (await request.read()).decode(),
    }
    return web.Response(text=json.dumps(came) + "\n", content_type="application/json")


async def collect(stream: AsyncIterator[list[bytes]]) -> list[bytes]:
    return [line async for lines in stream for line in lines]


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


# --- streams -----------------------------------------------------------------------------------


def stream_of(*writes: bytes) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for data in writes:
            await response.write(data)
        return response

    return handler


async def test_a_stream_gives_whole_lines_until_its_end(start, connect):
    transport = connect(await start(stream_of(b'{"a"', b":1}\n", b'{"b":2}\n{"c":3}\n')))

    assert await collect(transport.stream("/watch")) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


async def test_a_stream_asks_for_no_compression_and_for_json(start, connect):
    asked: dict[str, str] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.update({name.lower(): value for name, value in request.headers.items()})
        asked["query"] = request.query_string
        return await stream_of()(request)

    transport = connect(await start(handler), auth=StaticAuth("Bearer secret"))
    await collect(transport.stream("/watch", query=[("watch", "true")]))

    assert asked["accept-encoding"] == "identity"
    assert asked["accept"] == "application/json"
    assert asked["authorization"] == "Bearer secret"
    assert asked["query"] == "watch=true"


async def test_a_stream_can_be_asked_for_in_another_form(start, connect):
    transport = connect(await start(echo))

    [line] = await collect(
        transport.stream("/watch", headers=[("accept", "text/plain"), ("x", "y")])
    )

    headers = json.loads(line)["headers"]
    assert (headers["accept"], headers["x"]) == ("text/plain", "y")


async def test_lines_are_handed_on_while_the_stream_goes_on(start, connect):
    going_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        await going_on.wait()
        await response.write(b"second\n")
        return response

    stream = connect(await start(handler)).stream("/watch")

    assert await anext(stream) == [b"first"]
    going_on.set()
    assert await anext(stream) == [b"second"]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_line_of_twenty_megabytes_comes_whole(start, connect):
    line = b'{"data":"' + b"x" * 20_000_000 + b'"}'
    transport = connect(await start(stream_of(b"before\n", line, b"\nafter\n")))

    assert await collect(transport.stream("/watch")) == [b"before", line, b"after"]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 4096, 65_537, 300_000])
async def test_chunks_of_any_size_make_the_same_lines(serve, connect, size: int):
    lines = [b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n * 37 % 9000)) for n in range(40)]
    data = b"".join(line + b"\n" for line in lines)
    if size < 64:
        data, lines = data[: data.index(b"\n", 300) + 1], lines[:2]
        lines = data.splitlines()

    async def script(reader, writer, number):
        await receive(reader)
        writer.write(CHUNKED)
        for start in range(0, len(data), size):
            writer.write(chunk(data[start : start + size]))
        writer.write(chunk(b""))

    assert await collect(connect(await serve(script)).stream("/watch")) == lines


async def test_a_refused_stream_is_the_error_of_its_status(start, connect):
    async def refuse(request: web.Request) -> web.Response:
        body = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "may not watch"}
        return web.json_response(body, status=403)

    with pytest.raises(Forbidden, match="may not watch"):
        await collect(connect(await start(refuse)).stream("/watch"))


async def test_a_stream_refused_in_html_is_an_error_with_a_short_message(start, connect):
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=502, text="<h1>Bad Gateway</h1>" + "x" * 1_000_000)

    with pytest.raises(ServerError, match="<h1>Bad Gateway</h1>") as caught:
        await collect(connect(await start(refuse)).stream("/watch"))
    assert len(str(caught.value)) < 600


async def test_an_abandoned_stream_ends_its_connection(start, connect):
    ended = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"line\n")
                await asyncio.sleep(0.001)
        except (ConnectionError, asyncio.CancelledError):
            ended.set()
            raise

    stream = connect(await start(handler)).stream("/watch")
    await anext(stream)
    await stream.aclose()

    async with asyncio.timeout(5):
        await ended.wait()


async def test_many_watches_leave_room_for_requests(start, connect):
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/get":
            return web.Response(body=b"got")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"open\n")
        await asyncio.Event().wait()
        return response

    transport = connect(await start(handler))
    streams = [transport.stream("/watch") for _ in range(120)]
    assert [await anext(stream) for stream in streams] == [[b"open"]] * 120

    assert (await transport.request("GET", "/get")).body == b"got"
    for stream in streams:
        await stream.aclose()


# --- credentials -------------------------------------------------------------------------------


def accepting(token: list[str], seen: list[str]) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", "none"))
        if seen[-1] != f"Bearer {token[0]}":
            return web.Response(status=401, body=b"{}")
        return web.Response(body=b"welcome\n")

    return handler


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("old\n")
    return path


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_rotated_token_is_read_again_on_401_and_the_request_repeated(
    start, connect, token_file: Path, method: str
):
    """H27."""
    seen: list[str] = []
    token = ["old"]
    transport = connect(await start(accepting(token, seen)), auth=TokenFile(token_file))
    assert (await transport.request(method, "/")).status == 200
    token[0] = "new"
    token_file.write_text("new\n")

    assert (await transport.request(method, "/", body=b"{}")).status == 200
    assert seen == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_watch_opens_with_a_rotated_token(start, connect, token_file: Path):
    """H27."""
    seen: list[str] = []
    token = ["old"]
    transport = connect(await start(accepting(token, seen)), auth=TokenFile(token_file))
    await collect(transport.stream("/watch"))
    token[0] = "new"
    token_file.write_text("new\n")

    assert await collect(transport.stream("/watch")) == [b"welcome"]
    assert seen == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_that_stays_wrong_is_tried_once(start, connect, token_file: Path):
    seen: list[str] = []
    transport = connect(await start(accepting(["other"], seen)), auth=TokenFile(token_file))

    assert (await transport.request("GET", "/")).status == 401
    with pytest.raises(Unauthorized):
        await collect(transport.stream("/watch"))
    assert seen == ["Bearer old", "Bearer old"]


async def test_without_credentials_no_header_is_sent(start, connect):
    seen: list[str] = []
    transport = connect(await start(accepting(["x"], seen)))

    assert (await transport.request("GET", "/")).status == 401
    assert seen == ["none"]


# --- TLS ---------------------------------------------------------------------------------------


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
