"""What the work costs at the least: a blocking socket, framing in place, one scan of each object.

Two floors. ``lines`` is what a watch costs whoever reads whole lines; ``raw`` is the socket alone
and one look for newlines. The scan validates the JSON and finds the fields that a cache needs.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from .corpus import COLLECTION
from .figures import Clock
from .target import TOKEN, Target

RECEIVE = 256 * 1024
"""Bytes of the buffer: fits the second level cache; one that is ten times as big wins nothing."""
ENDS_LIST = b'"k8s.io/initial-events-end":"true"'


class _Meta(msgspec.Struct, gc=False, rename="camel"):
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct, gc=False):
    metadata: _Meta


class _Event(msgspec.Struct, gc=False):
    type: str
    object: _Object


class _Page(msgspec.Struct, gc=False):
    items: list[_Object]


scan = msgspec.json.Decoder(_Event).decode
scan_page = msgspec.json.Decoder(_Page).decode
decode = msgspec.json.Decoder().decode
"""The whole event as dicts."""


def watch(target: Target, events: int, look: Callable[[bytes], Any] = scan) -> Clock:
    """Read and scan so many events."""
    clock = Clock(events)
    with connect(target, f"{COLLECTION}?watch=1") as connection:
        for batch in lines(connection):
            clock.start()
            for line in batch:
                look(line)
            if clock.tick(len(batch)):
                break
    clock.stop()
    return clock


def raw(target: Target, events: int) -> Clock:
    """Receive so many events and count their newlines."""
    buffer = bytearray(RECEIVE)
    view = memoryview(buffer)
    # the chunk framing has newlines as well: 3 for each event; and the head ends with two
    clock = Clock(3 * events)
    with connect(target, f"{COLLECTION}?watch=1") as connection:
        seen = buffer.count(b"\n", *_head(connection, buffer, view))
        while not clock.tick(seen):
            seen = buffer.count(b"\n", 0, connection.recv_into(view))
    clock.stop()
    return clock


def listing(target: Target, pages: int) -> tuple[Clock, int]:
    """Read and scan the pages of a list; returns also how many bytes they have."""
    clock = Clock(pages)
    received = 0
    with connect(target) as connection:
        clock.start()
        for page in range(pages):
            request(connection, target, f"{COLLECTION}?limit=500&continue=page-{page}")
            body = _body(connection)
            scan_page(body)
            received += len(body)
        clock.stop()
    return clock, received


def streaming_list(target: Target, look: Callable[[bytes], Any] | None) -> tuple[Clock, int]:
    """Read a streaming list to its end, in lines; returns also how many events it had."""
    clock, seen = Clock(1), 0
    path = f"{COLLECTION}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
    with connect(target) as connection:
        clock.start()
        request(connection, target, f"{path}&resourceVersionMatch=NotOlderThan")
        for batch in lines(connection):
            if look is not None:
                for line in batch:
                    look(line)
            seen += len(batch)
            if ENDS_LIST in batch[-1]:
                break
        clock.stop()
    return clock, seen - 1


def raw_list(target: Target) -> Clock:
    """Receive a streaming list to its end and look for nothing but that."""
    clock = Clock(1)
    path = f"{COLLECTION}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
    buffer = bytearray(RECEIVE)
    view = memoryview(buffer)
    with connect(target) as connection:
        clock.start()
        request(connection, target, f"{path}&resourceVersionMatch=NotOlderThan")
        size = 0
        # the bookmark comes alone or at the end of a read: it is the last thing that is sent
        while buffer.find(ENDS_LIST, 0, size) < 0:
            size = connection.recv_into(view)
        clock.stop()
    return clock


def paced(target: Target, events: int) -> tuple[Clock, list[float]]:
    """Read events as they come; returns also how many milliseconds old each one was."""
    ages: list[float] = []
    clock = Clock(events)
    with connect(target, f"{COLLECTION}?watch=1") as connection:
        for batch in lines(connection):
            done = clock.tick(len(batch))
            for line in batch:
                born = int(scan(line).object.metadata.resource_version)
                ages.append((time.time_ns() - born) / 1e6)
            if done:
                break
    clock.stop()
    return clock, ages


def connect(target: Target, path: str = "") -> socket.socket:
    """Connect, with the same checks of certificates as everybody, and ask for ``path``."""
    connection = socket.create_connection(target.address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.tls:
        context = ssl.create_default_context(cafile=target.ca)
        if target.certificate:
            context.load_cert_chain(target.certificate, target.key)
        connection = context.wrap_socket(connection, server_hostname=target.address[0])
    if path:
        request(connection, target, path)
    return connection


def request(connection: socket.socket, target: Target, path: str) -> None:
    login = "" if target.certificate else f"Authorization: Bearer {TOKEN}\r\n"
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {target.address[0]}\r\nUser-Agent: bench\r\n"
        f"{login}Accept: application/json\r\n\r\n".encode()
    )


def lines(connection: socket.socket) -> Iterator[list[bytes]]:
    """Cut a chunked answer into lines, in place; one list per read that completed any."""
    buffer = bytearray(RECEIVE)
    view = memoryview(buffer)
    start, end = _head(connection, buffer, view)
    rest = b""
    while True:
        made = []
        while (header := buffer.find(b"\r\n", start, end)) >= 0:
            first = header + 2
            after = first + int(buffer[start:header], 16)
            if after + 2 > end:
                if after + 2 - start > len(buffer):
                    buffer, view = _grown(buffer, start, end, after + 2 - start)
                    start, end = 0, end - start
                break
            newline = buffer.find(b"\n", first, after)
            if newline == after - 1 and not rest:
                made.append(bytes(view[first:newline]))
            else:
                cut = (rest + bytes(view[first:after])).split(b"\n")
                rest = cut.pop()
                made += cut
            start = after + 2
        if made:
            yield made
        if start:
            # to the front, so that there is always room; one chunk at most is moved
            buffer[: end - start] = buffer[start:end]
            start, end = 0, end - start
        size = connection.recv_into(view[end:])
        if not size:
            raise EOFError("the server closed the connection")
        end += size


def _grown(buffer: bytearray, start: int, end: int, needed: int) -> tuple[bytearray, memoryview]:
    made = bytearray(2 * needed)
    made[: end - start] = buffer[start:end]
    return made, memoryview(made)


def _head(connection: socket.socket, buffer: bytearray, view: memoryview) -> tuple[int, int]:
    """Read the head of an answer; returns where in the buffer the body begins and ends."""
    end = 0
    while (found := buffer.find(b"\r\n\r\n", 0, end)) < 0:
        size = connection.recv_into(view[end:])
        if not size:
            raise EOFError("the server closed the connection")
        end += size
    assert buffer.startswith(b"HTTP/1.1 200"), bytes(buffer[:end])
    return found + 4, end


def _body(connection: socket.socket) -> bytearray:
    buffer = bytearray(RECEIVE)
    start, end = _head(connection, buffer, memoryview(buffer))
    head = bytes(buffer[:start]).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    body = bytearray(length)
    view = memoryview(body)
    have = end - start
    body[:have] = buffer[start:end]
    while have < length:
        have += connection.recv_into(view[have:])
    return body
