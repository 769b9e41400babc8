"""The transport that cannot write: reads pass, writes do not, and it hides no lease."""

from __future__ import annotations

import pytest

from hybridpg.app.errors import WriteRefused
from hybridpg.app.readonly import ReadOnlyTransport
from hybridpg.controller import SECRETS, Client, FencedTransport, LeaseLost, ObjectKey
from hybridpg.controller.testing import FakeCluster


def lost(what: str) -> None:
    raise LeaseLost(f"{what} is refused")


async def test_reads_pass_and_writes_are_refused_before_they_are_sent():
    client = Client(ReadOnlyTransport(FakeCluster()))
    assert (await client.list(SECRETS)).items == []
    with pytest.raises(WriteRefused, match="DELETE /api/v1/namespaces/ns/secrets/a is refused"):
        await client.delete(SECRETS, ObjectKey("ns", "a"))


def test_work_elsewhere_is_refused_as_by_what_is_behind_it():
    client = Client(ReadOnlyTransport(FencedTransport(FakeCluster(), lost)))
    with pytest.raises(LeaseLost, match="a statement is refused"):
        client.check("a statement")
