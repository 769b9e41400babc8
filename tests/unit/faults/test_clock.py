"""The clock that a point can step, and what certificates and times make of such a step."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.faults.clock import VARIABLE, WallClock, install

import hybridpg.app.status as status
from hybridpg.backends.local.tls import Authority

ROOT = Path(__file__).parents[3]
HOUR = timedelta(hours=1)
SHOW = """
import sys
from datetime import UTC, datetime
from tests.faults.clock import WallClock, install
import hybridpg.app.status as status
import hybridpg.backends.local.tls as tls
import hybridpg.controller._clock as clock
from datetime import timedelta
from pathlib import Path

wall = WallClock(Path(sys.argv[1]))
install(wall.variables)
true = datetime.now(UTC)
for hours in (0, 1, -1):
    wall.step(timedelta(hours=hours))
    for now in (status.utc_now, tls.utc_now, clock.wall_time):
        off = (now() - true).total_seconds() / 3600
        assert abs(off - hours) < 0.01, (now, off)
        assert isinstance(now(), status.datetime)
        assert type(now()) is datetime
assert status.datetime.fromisoformat("2026-01-01").year == 2026
"""


def test_every_wall_clock_of_a_controller_is_stepped_and_only_that(tmp_path):
    """In a process of its own: what is put into modules stays there."""
    subprocess.run(
        [sys.executable, "-c", SHOW, str(tmp_path / "clock")],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'hack' / 'import'}:{ROOT}", "PATH": ""},
        check=True,
        timeout=60,
    )


def test_without_the_variable_nothing_is_touched(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    install()
    assert vars(status)["datetime"] is datetime


def test_a_step_is_read_whole_or_not_at_all(tmp_path):
    clock = WallClock(tmp_path / "clock")
    assert float(clock.path.read_text()) == 0
    clock.step(-HOUR)
    assert float(clock.path.read_text()) == -3600
    assert list(tmp_path.iterdir()) == [clock.path]


@pytest.mark.parametrize("off", [HOUR, -HOUR])
def test_a_certificate_made_with_a_clock_an_hour_off_is_good_now(tmp_path, off):
    """L3: neither clients nor servers with the right time refuse it."""
    true = datetime.now(UTC)
    authority = Authority.load_or_create(tmp_path, now=lambda: true + off)
    pem, _ = authority.issue("pg", ["localhost"], ["127.0.0.1"])
    for text in (pem, authority.certificate):
        made = x509.load_pem_x509_certificate(text.encode())
        assert made.not_valid_before_utc <= true < made.not_valid_after_utc


@pytest.mark.parametrize("off", [HOUR, -HOUR])
def test_a_step_of_the_clock_renews_no_certificate(tmp_path, off):
    true = datetime.now(UTC)
    moment = true
    authority = Authority.load_or_create(tmp_path, now=lambda: moment)
    pem, _ = authority.issue("pg", ["localhost"])
    root = authority.certificate
    moment = true + off
    assert authority.vouches_for(pem)
    again = Authority.load_or_create(tmp_path, now=lambda: moment)
    assert again.certificate == root
    assert again.vouches_for(pem)
