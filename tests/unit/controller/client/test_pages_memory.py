"""What is left in memory of a list that was read: its buffer is as large as its largest page."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from tests.unit.controller.client.farend import FarEnd
from tests.unit.controller.client.wire import answer, receive

from hybridpg.controller.client import AiohttpTransport, Config, pages
from hybridpg.controller.client.linestream import LineStream

PAGE = b'{"items": [' + b"1, " * 100_000 + b"1]}"


@pytest.mark.virtual_time
@pytest.mark.parametrize("end", ["time", "close"])
async def test_a_connection_that_is_let_go_leaves_no_buffer(end: str):
    """A program lists when it starts, and then perhaps never again."""
    reader = pages.PageReader(limit=10**9, error_limit=1000)
    streams = [LineStream("GET /things", 90, whole=10**9)]
    gone = weakref.ref(streams[0])
    far_end = FarEnd(streams[0])

    async def connect() -> LineStream:
        return streams.pop()

    asking = asyncio.create_task(reader.get("GET", b"GET", context=None, connect=connect))
    await asyncio.sleep(0)
    far_end.send(answer(PAGE))
    assert (await asking).body == PAGE
    del far_end, asking
    gc.collect()
    assert gone() is not None, "it is kept for the next page"

    if end == "time":
        await asyncio.sleep(pages.KEPT_SECONDS)
    else:
        reader.close()
    gc.collect()
    assert gone() is None


async def test_a_closed_transport_leaves_no_buffer(serve):
    async def script(reader, writer, number):
        await receive(reader)
        writer.write(answer(PAGE))
        await reader.read()

    sender = AiohttpTransport(Config(await serve(script)))
    before = buffers()
    await sender.request(
        "GET", "/things", query=[("limit", "5")], headers=[("accept", "application/json")]
    )
    assert buffers() > before

    await sender.close()
    await asyncio.sleep(0)  # an event loop closes sockets in its next turn
    assert buffers() <= before


def buffers() -> int:
    """How many connections there are in memory, with a buffer each."""
    gc.collect()
    return sum(isinstance(each, LineStream) for each in gc.get_objects())
