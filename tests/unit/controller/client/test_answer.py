"""An answer is read alike wherever the reads cut it; nothing of the first read is lost or moved."""

from __future__ import annotations

import pytest
from tests.unit.controller.client.wire import chunk

from hybridpg.controller.client.answer import Answer
from hybridpg.controller.client.linebuffer import IDLE_SIZE, LEAST_SPACE

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LINE = b"x" * (2 * IDLE_SIZE)


@pytest.mark.parametrize("late", [0, 1, 2, 3, len(HEAD)])
def test_a_read_that_is_full_may_begin_anywhere_in_the_head(late):
    answer, lines = Answer(), list[bytes]()
    first, left = HEAD[: len(HEAD) - late], HEAD[len(HEAD) - late :] + chunk(LINE + b"\n")
    for data in (first, left):
        while data:
            space = answer.space()
            assert len(space) >= LEAST_SPACE
            count = min(len(space), len(data))
            space[:count] = data[:count]
            lines += answer.fed(count)
            data = data[count:]
    assert answer.head is not None
    assert answer.head.status == 200
    assert lines == [LINE]
    assert not answer.complete
