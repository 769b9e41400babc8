"""What is seen of a server from its files and its process alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.backends.local.samples import OWNER, false_server

from hybridpg.backends import Unknown
from hybridpg.backends.local.layout import Home, Layout
from hybridpg.backends.local.record import Record, save
from hybridpg.backends.local.state import LocalState, look, look_at_all
from hybridpg.backends.local.tls import Authority

RECORD = Record(
    OWNER.mark(),
    "team-orders",
    54320,
    16,
    version="16.4",
    settings={"work_mem": "8MB"},
    storage_gb=5,
    admin="postgres",
    started=True,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.load_or_create(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Layout(tmp_path).home("team-orders")
    home.root.mkdir(parents=True)
    return home


@pytest.fixture
def server(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    home.data.mkdir()
    process = subprocess.Popen([false_server(home.root), "60"], cwd=home.data)
    yield process
    process.kill()
    process.wait()


def _seen(home: Home, authority: Authority) -> LocalState:
    state = look(home, authority)
    assert state is not None
    return state


def _status(home: Home, pid: int, status: str) -> None:
    lines = [pid, home.data, 1, 54320, "", "127.0.0.1", "1 2", status]
    (home.data / "postmaster.pid").write_text("\n".join(map(str, lines)))


def test_a_server_that_answers_is_ready_and_equal_at_each_look(
    home: Home, authority: Authority, server: subprocess.Popen[bytes]
) -> None:
    save(home, RECORD)
    _status(home, server.pid, "ready   ")
    (home.data / "server.crt").write_text(authority.issue("x")[0])
    seen = _seen(home, authority)
    assert seen == LocalState(
        owner=OWNER,
        ready=True,
        version="16.4",
        admin_username="postgres",
        effective={
            "version": "16",
            "port": 54320,
            "storageGB": 5,
            "serverParameters": {"work_mem": "8MB"},
        },
        major=16,
        port=54320,
        storage_gb=5,
        settings={"work_mem": "8MB"},
        initialized=True,
        running=True,
        administered=True,
        certified=True,
    )
    assert seen == _seen(home, authority)


@pytest.mark.parametrize(
    ("status", "admin", "message"),
    [
        ("starting", "postgres", "the server is starting"),
        ("stopping", "postgres", "the server is stopping"),
        ("ready", "", "its admin role is being made"),
    ],
)
def test_a_server_that_is_not_ready_says_why(
    home: Home,
    authority: Authority,
    server: subprocess.Popen[bytes],
    status: str,
    admin: str,
    message: str,
) -> None:
    save(home, replace(RECORD, admin=admin))
    _status(home, server.pid, status)
    seen = _seen(home, authority)
    assert (seen.ready, seen.running, seen.message) == (False, True, message)


@pytest.mark.parametrize(
    ("data", "started", "message"),
    [
        (False, False, "the data folder is being made"),
        (True, False, "the server was not started yet"),
        (True, True, "the server does not run"),
    ],
)
def test_a_server_that_does_not_run_says_how_far_it_is(
    home: Home, authority: Authority, data: bool, started: bool, message: str
) -> None:
    save(home, replace(RECORD, started=started))
    if data:
        home.data.mkdir()
    seen = _seen(home, authority)
    assert (seen.ready, seen.running, seen.message) == (False, False, message)
    assert seen.initialized is data


@pytest.mark.parametrize("certificate", [None, "rubbish", "foreign"])
def test_a_certificate_that_is_not_ours_is_seen(
    home: Home, authority: Authority, tmp_path: Path, certificate: str | None
) -> None:
    save(home, RECORD)
    home.data.mkdir()
    if certificate == "foreign":
        certificate = Authority.load_or_create(tmp_path / "other").issue("x")[0]
    if certificate:
        (home.data / "server.crt").write_text(certificate)
    assert not _seen(home, authority).certified


def test_nothing_is_absent_and_data_without_a_record_is_unknown(
    tmp_path: Path, home: Home, authority: Authority
) -> None:
    """Invariant 6: unknown never creates."""
    assert look(Layout(tmp_path).home("other"), authority) is None
    home.data.mkdir()
    with pytest.raises(Unknown, match="nobody knows whose it is"):
        look(home, authority)


def test_one_unreadable_server_does_not_hide_the_others(
    tmp_path: Path, home: Home, authority: Authority
) -> None:
    layout = Layout(tmp_path)
    save(home, RECORD)
    broken = layout.home("broken")
    broken.root.mkdir()
    broken.record.write_text("rubbish")
    seen = look_at_all(layout, authority)
    assert set(seen) == {"team-orders", "broken"}
    assert seen["team-orders"].owner == OWNER
    assert (seen["broken"].owner, seen["broken"].ready) == (None, False)
    assert "server.json" in seen["broken"].message
