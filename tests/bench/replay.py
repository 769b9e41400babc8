"""A server on loopback that sends prepared bytes as fast as they are taken.

It answers the two requests that matter: a list, in pages, and a watch, in chunks. What a client
measures against it is the client.
"""

import json
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, urlsplit

from .corpus import COLLECTION, GROUP, KIND, PLURAL, VERSION, pages, stream

EMPTY = b'{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":"1"},"items":[]}\n'
RESOURCES = json.dumps(
    {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{GROUP}/{VERSION}",
        "resources": [{"name": PLURAL, "kind": KIND, "namespaced": True, "verbs": ["list"]}],
    }
).encode()


@contextmanager
def replay(*, listed: int = 0, events: int = 0, keys: int = 1) -> Iterator[int]:
    """Run a server in a process of its own; yields its port."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, listed, events, keys), daemon=True
    )
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def serve(ready: Connection, listed: int, events: int, keys: int) -> None:
    """Prepare the bytes, then answer connections until terminated."""
    made, changes = pages(listed), stream(events, keys)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ready.send(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_talk, args=(connection, made, changes), daemon=True).start()


def _talk(connection: socket.socket, made: list[bytes], changes: bytes) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = connection.makefile("rb")
    while request := reader.readline():
        while reader.readline() not in (b"\r\n", b""):
            continue
        target = urlsplit(request.split()[1].decode())
        query = parse_qs(target.query)
        answer = (
            _head(b"Transfer-Encoding: chunked") + changes  # and no end: a watch stays open
            if query.get("watch")
            else _answer(target.path, query, made)
        )
        try:
            connection.sendall(answer)
        except ConnectionError:
            return  # the client has seen enough


def _answer(path: str, query: dict[str, list[str]], made: list[bytes]) -> bytes:
    if path != COLLECTION:
        body = RESOURCES
    elif not made:
        body = EMPTY
    else:
        token = query.get("continue", ["page-0"])[0]
        body = made[int(token.removeprefix("page-"))]
    return _head(b"Content-Length: %d" % len(body)) + body


def _head(framing: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%s\r\n\r\n" % framing
