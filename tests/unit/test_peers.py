"""The matrix of faults measures what it says; with our client alone, so that it cannot rot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.peers import __main__ as peers
from tests.peers.clients import CLIENTS
from tests.peers.faults import FAULTS, HALF_OPEN_PATIENCE, Fault
from tests.peers.quiet import requests_per_second
from tests.peers.run import NotStarted, Outcome, run
from tests.proxy.rules import FOR_EVER, WATCHES, Answer, Where
from tests.proxy.streams import End, Silence

from hybridpg.controller.watcher import LIVENESS_SECONDS

QUICK = 0.1


def test_there_are_fourteen_faults_and_one_of_them_is_half_open():
    assert len(FAULTS) == 14
    assert isinstance(FAULTS["half-open"].first, Silence)
    assert len({fault.title for fault in FAULTS.values()}) == 14


def test_the_half_open_fault_lasts_longer_than_our_liveness():
    assert HALF_OPEN_PATIENCE > LIVENESS_SECONDS + 10


def test_every_client_of_the_matrix_is_pinned_and_ours_is_among_them():
    lines = (Path(peers.__file__).parent / "peers.txt").read_text().splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}

    assert {*CLIENTS} == {*pinned, "hybridpg"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count requests for a moment only: what is tested here is what becomes of a client."""
    monkeypatch.setattr("tests.peers.run.OBSERVED", QUICK)
    monkeypatch.setattr("tests.peers.run.SETTLED", QUICK)


@pytest.mark.parametrize("name", ["reset", "missed-delete"])
async def test_our_client_survives_a_fault_on_real_sockets(quick, name: str):
    outcome = await run("hybridpg", FAULTS[name])

    assert outcome.survived, outcome.why


async def test_a_client_that_never_comes_back_is_deaf(quick):
    """Refused for ever, it is asked for an object that it cannot know."""
    refused = (Answer(500), Where(times=FOR_EVER))

    outcome = await run("hybridpg", Fault("", then=(refused,), patience=QUICK))

    assert (outcome.survived, outcome.why) == (False, "deaf")


async def test_requests_are_counted_while_a_fault_lasts(quick):
    at_once = (End(), Where(verbs=WATCHES, times=FOR_EVER))

    outcome = await run("hybridpg", Fault("", then=(at_once,), window=2.0))

    assert outcome.survived
    assert 0 < outcome.requests_per_s < 4


async def test_a_client_that_does_not_start_is_no_result():
    with pytest.raises(NotStarted, match="KeyError: 'nobody'"):
        await run("nobody", FAULTS["reset"])


def test_a_server_that_closes_every_watch_at_once_is_asked_less_than_six_times_a_minute():
    """In virtual time, from minute 2 to 10."""
    assert 0 < requests_per_second() <= 0.1


RESULTS = {
    "closes-at-once": {
        "hybridpg": Outcome(True, 0.03, "survived"),
        "kopf": Outcome(True, 2000.0, "survived"),
    },
    "missed-delete": {
        "hybridpg": Outcome(True, 0.1, "survived"),
        "kopf": Outcome(False, 0.2, "dies: SomeError: of some kind"),
    },
}


def test_the_file_says_for_each_client_and_fault_what_became_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "OUTPUT", tmp_path / "build" / "watch-faults.json")

    peers.write(["hybridpg", "kopf"], RESULTS)

    written = json.loads((tmp_path / "build" / "watch-faults.json").read_text())
    assert written["hybridpg"]["closes-at-once"] == {"survived": True, "requests_per_s": 0.03}
    assert written["kopf"]["missed-delete"] == {"survived": False, "requests_per_s": 0.2}


def test_the_table_shows_the_clients_side_by_side(capsys):
    peers.print_table(["hybridpg", "kopf"], RESULTS)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| fault | hybridpg | kopf |"
    assert lines[2].endswith("| survives, 0.03 requests/s | survives, 2000 requests/s |")
    assert lines[3].endswith("| survives | dies |")
    assert lines[4] == "| survived of 2 | 2 | 1 |"


def test_a_fault_that_nobody_knows_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tests.peers", "earthquake"])

    with pytest.raises(SystemExit):
        peers.main()
    assert "no such fault: earthquake" in capsys.readouterr().err
