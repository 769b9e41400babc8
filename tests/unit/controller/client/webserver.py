"""What a web server on loopback answers to the transport, and how its streams are read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
    """Read a stream to its end."""
    return [line async for lines in stream for line in lines]
