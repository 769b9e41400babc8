"""Names and ports are taken once, with the mark in the same step."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ports import first_of_a_hundred_ports
from tests.unit.backends.local.samples import OWNER, REF

from hybridpg.backends import Owner, Quota, ServerRef, Unknown
from hybridpg.backends.local.claims import Claims, prepare
from hybridpg.backends.local.record import Record, load, save
from hybridpg.backends.local_options import PortRange


def _free_range(count: int) -> PortRange:
    """Return a range whose ports nobody uses; below the ephemeral ones, so nobody will."""
    for first in range(first_of_a_hundred_ports(), 32000, count):
        probes = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        else:
            return PortRange(first, first + count - 1)
        finally:
            for probe in probes:
                probe.close()
    raise AssertionError("no free ports")


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(prepare(tmp_path / "site"), "127.0.0.1", _free_range(4))


def _record(claims: Claims, name: str = "team-orders") -> Record:
    record = load(claims.layout.home(name))
    assert record is not None
    return record


def test_the_mark_is_there_as_soon_as_the_folder_is(claims: Claims) -> None:
    claims.take(REF, 16, storage_gb=5)
    expected = Record(OWNER.mark(), "team-orders", claims.ports.first, 16, storage_gb=5)
    assert _record(claims) == expected
    assert claims.layout.names() == ["team-orders"]


def test_a_name_that_is_taken_stays_with_its_owner(claims: Claims) -> None:
    claims.take(REF, 16, storage_gb=5)
    thief = ServerRef(Owner("cluster", "uid-2", "other", "x"), "team-orders")
    claims.take(thief, 17, storage_gb=9)
    assert _record(claims).parsed_owner() == OWNER
    assert _record(claims).major == 16


def test_many_at_once_get_a_port_each(claims: Claims) -> None:
    refs = [replace(REF, external_name=f"s{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda ref: claims.take(ref, 16, storage_gb=0), refs))
    ports = {_record(claims, ref.external_name).port for ref in refs}
    assert ports == set(range(claims.ports.first, claims.ports.last + 1))


def test_a_strangers_port_is_passed_over_and_a_full_range_is_named(claims: Claims) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", claims.ports.first))
        stranger.listen()
        for number in range(3):
            claims.take(replace(REF, external_name=f"s{number}"), 16, storage_gb=0)
        assert _record(claims, "s0").port == claims.ports.first + 1
        with pytest.raises(Quota, match=r"are taken; widen backends\.local\.ports"):
            claims.take(REF, 16, storage_gb=0)
    assert sorted(claims.layout.names()) == ["s0", "s1", "s2"]


def test_a_server_that_never_ran_can_get_another_port(claims: Claims) -> None:
    claims.take(REF, 16, storage_gb=0)
    home = claims.layout.home("team-orders")
    assert claims.another_port(home) == claims.ports.first + 1
    assert _record(claims).port == claims.ports.first + 1
    with pytest.raises(Unknown, match="vanished"):
        claims.another_port(claims.layout.home("gone"))


def test_what_a_crash_left_without_a_name_is_removed(claims: Claims) -> None:
    half = claims.layout.servers / ".0123"
    half.mkdir()
    (half / "server.json").write_text("{")
    claims.take(REF, 16, storage_gb=0)
    assert not half.exists()


def test_a_folder_of_the_administrator_keeps_its_mode(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o750)
    mode = mine.stat().st_mode
    prepare(mine)
    assert mine.stat().st_mode == mode
    assert (mine / "servers").stat().st_mode & 0o777 == 0o711
    link = tmp_path / "link"
    link.symlink_to(mine)
    assert prepare(link).path == mine


def test_an_unreadable_record_stops_the_giving_out_of_ports(claims: Claims) -> None:
    claims.take(REF, 16, storage_gb=0)
    home = claims.layout.home("team-orders")
    save(home, replace(_record(claims), port=claims.ports.first))
    home.record.write_text("rubbish")
    with pytest.raises(Unknown, match=r"server\.json"):
        claims.take(replace(REF, external_name="next"), 16, storage_gb=0)
