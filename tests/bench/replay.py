"""A server on loopback that sends prepared bytes as fast as they are taken.

It answers the requests that matter: a list, in pages; a watch, in chunks; and a streaming list.
What a client measures against it is the client. Over TLS it sends records of 4 KB, one by one, as
kube-apiserver does: bigger ones flatter every client.
"""

import multiprocessing
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from . import certificates, corpus
from .corpus import COLLECTION, GROUP, KIND, PLURAL, VERSION
from .target import Target, write_kubeconfig

RECORD = 4096
"""Bytes of a TLS record: what net/http of Go buffers before it writes."""
EMPTY = b'{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":"1"},"items":[]}\n'
RESOURCES = corpus.encode(
    {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{GROUP}/{VERSION}",
        "resources": [{"name": PLURAL, "kind": KIND, "namespaced": True, "verbs": ["list"]}],
    }
)
RELEASE = corpus.encode({"major": "1", "minor": "34", "gitVersion": "v1.34.4"})
NO_STREAMING = corpus.encode(
    {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "sendInitialEvents is forbidden for watch unless the WatchList feature gate "
        "is enabled",
        "reason": "Invalid",
        "code": 422,
    }
)


@dataclass(frozen=True)
class Served:
    """What a server holds and how it sends it.

    ``pace`` is events a second, each with its birth in nanoseconds as resourceVersion; without it
    events are sent as fast as they are taken. ``bookmarks`` is seconds between two of them when
    all events were sent. A server that does not know streaming lists refuses them as one without
    the feature does.
    """

    listed: int = 0
    events: int = 0
    keys: int = 1
    per_chunk: int = 1
    long: int = 0
    churn: bool = False
    repeats: int = 1
    pace: float = 0.0
    bookmarks: float = 0.0
    streaming: bool = True
    tls: bool = False
    record: int = RECORD


@contextmanager
def replay(served: Served) -> Iterator[Target]:
    """Run a server in a process of its own; yields where it is."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="hybridpg-bench-") as name:
        folder = Path(name)
        if served.tls:
            certificates.write_certificates(folder)
        process = context.Process(target=serve, args=(theirs, served, folder), daemon=True)
        process.start()
        try:
            scheme = "https" if served.tls else "http"
            kubeconfig = folder / "kubeconfig"
            target = Target(
                url=f"{scheme}://127.0.0.1:{ours.recv()}",
                ca=str(folder / certificates.CA) if served.tls else "",
                kubeconfig=str(kubeconfig),
            )
            write_kubeconfig(kubeconfig, target)
            yield target
        finally:
            process.terminate()
            process.join()


def serve(ready: Connection, served: Served, folder: Path) -> None:
    """Prepare the bytes, then answer connections until terminated."""
    prepared = Prepared(served)
    context = None
    if served.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / certificates.CERTIFICATE, folder / certificates.KEY)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    ready.send(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        talk = threading.Thread(target=_talk, args=(connection, context, prepared), daemon=True)
        talk.start()


class Prepared:
    """All bytes that a server may send, made before the first client comes."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.pages = corpus.pages(served.listed)
        lines = corpus.events(served.events, served.keys, long=served.long, churn=served.churn)
        self.lines, self.events = list[bytes](), b""
        if served.pace:
            self.lines = list(lines)
        else:
            self.events = corpus.chunks(lines, served.per_chunk)
        self.initial = b""
        if served.streaming:
            self.initial = corpus.chunks(corpus.initial(served.listed), served.per_chunk)


class _Wire:
    """One connection; cuts what it sends into records where that is TLS."""

    def __init__(self, connection: socket.socket, record: int) -> None:
        self._connection = connection
        self._record = record

    def send(self, data: bytes) -> None:
        if not self._record:
            self._connection.sendall(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), self._record):
            self._connection.sendall(view[start : start + self._record])


def _talk(connection: socket.socket, context: ssl.SSLContext | None, prepared: Prepared) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        wire = _Wire(connection, prepared.served.record if context else 0)
        reader = connection.makefile("rb")
        while request := reader.readline():
            while reader.readline() not in (b"\r\n", b""):
                continue
            target = urlsplit(request.split()[1].decode())
            query = parse_qs(target.query)
            if query.get("watch", ["0"])[0] in ("1", "true", "True"):
                _watch(wire, query, prepared)
            else:
                wire.send(_answer(target.path, query, prepared))
    except OSError:
        return  # the client has seen enough


def _watch(wire: _Wire, query: dict[str, list[str]], prepared: Prepared) -> None:
    served = prepared.served
    streams = "sendInitialEvents" in query
    if streams and not served.streaming:
        wire.send(_response(NO_STREAMING, b"422 Unprocessable Entity"))
        return
    wire.send(_head(b"Transfer-Encoding: chunked"))
    if streams:
        wire.send(prepared.initial)
    if served.pace:
        _paced(wire, prepared)
    else:
        for _ in range(served.repeats):
            wire.send(prepared.events)
    while served.bookmarks:
        time.sleep(served.bookmarks)
        wire.send(corpus.chunk(corpus.bookmark(corpus.FIRST_VERSION + served.events)))
    threading.Event().wait()  # a watch stays open


def _paced(wire: _Wire, prepared: Prepared) -> None:
    served, begin = prepared.served, time.monotonic()
    for number, line in enumerate(prepared.lines):
        time.sleep(max(0.0, begin + (number + 1) / served.pace - time.monotonic()))
        mark = b"%d" % (corpus.FIRST_VERSION + number)
        wire.send(corpus.chunk(line.replace(mark, b"%d" % time.time_ns(), 1)))


def _answer(path: str, query: dict[str, list[str]], prepared: Prepared) -> bytes:
    if path.rstrip("/") == "/version":
        body = RELEASE
    elif not path.startswith(COLLECTION):
        body = RESOURCES
    elif not prepared.pages:
        body = EMPTY
    else:
        token = query.get("continue", ["page-0"])[0]
        body = prepared.pages[int(token.removeprefix("page-"))]
    return _response(body)


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    return _head(b"Content-Length: %d" % len(body), status) + body


def _head(framing: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%s\r\n\r\n" % (status, framing)
