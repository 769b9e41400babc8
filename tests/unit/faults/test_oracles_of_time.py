"""What the fault harness concludes from samples, versions and snapshots."""

from __future__ import annotations

import pytest
from psycopg.pq import PGconn
from tests.faults.sampler import WATCH_LAG, Sample, accepts, locked_out
from tests.faults.snapshot import differences
from tests.faults.view import Version


def verifier(password: str) -> str:
    """Return what a server would keep, by the library that clients use."""
    connection = PGconn.connect_start(b"host=127.0.0.1 port=1")
    made = connection.encrypt_password(password.encode(), b"app", b"scram-sha-256")
    connection.finish()
    return made.decode()


@pytest.fixture(scope="module")
def verifiers() -> dict[str, str]:
    """The verifiers of two passwords."""
    return {password: verifier(password) for password in ("old", "new")}


def sample(began: float, ended: float, secret: str) -> Sample:
    return Sample(began, ended, {"app": secret}, {"app": 1})


def test_a_verifier_is_told_from_that_of_another_password(verifiers: dict[str, str]):
    assert accepts(verifiers["old"], "old")
    assert not accepts(verifiers["old"], "new")
    assert not accepts("md5d41d8cd98f00b204e9800998ecf8427e", "old")


def test_a_staged_password_counts_as_published(verifiers: dict[str, str]):
    versions = [Version("app-login", 10.0, {"password": "old", "next-password": "new"})]
    samples = [sample(11.0, 12.0, verifiers["old"]), sample(12.0, 13.0, verifiers["new"])]
    assert locked_out(samples, "app", versions) == []


def test_a_password_that_is_set_before_it_is_published_locks_everybody_out(
    verifiers: dict[str, str],
):
    versions = [
        Version("app-login", 10.0, {"password": "old"}),
        Version("app-login", 14.0, {"password": "new"}),
    ]
    samples = [sample(12.0, 13.0, verifiers["new"]), sample(15.0, 16.0, verifiers["new"])]
    assert {line.split()[-1] for line in locked_out(samples, "app", versions)} == {
        "12.000",
        "13.000",
    }


def test_a_secret_that_went_before_its_successor_came_locks_everybody_out(
    verifiers: dict[str, str],
):
    versions = [
        Version("app-login", 10.0, {"password": "old"}),
        Version("app-login", 12.0, None),
        Version("app-login", 14.0, {"password": "old"}),
    ]
    inside, near = sample(13.0, 13.0, verifiers["old"]), sample(12.1, 12.1, verifiers["old"])
    assert len(locked_out([inside], "app", versions)) == 1
    assert locked_out([near], "app", versions) == []
    assert WATCH_LAG > 12.1 - 12.0


def test_two_secrets_may_publish_the_same_login_in_turn(verifiers: dict[str, str]):
    versions = [
        Version("app-login", 10.0, {"password": "old"}),
        Version("other-login", 12.0, {"password": "old"}),
        Version("app-login", 13.0, None),
    ]
    assert locked_out([sample(11.0, 20.0, verifiers["old"])], "app", versions) == []


def test_a_difference_says_where_it_is_and_what_became_of_it():
    wanted = {"roles": [["app", True]], "gone": 1}
    found = {"roles": [["app", False]], "new": 2}
    assert differences(wanted, found) == [
        "/gone: 1 became None",
        "/new: None became 2",
        "/roles/0/1: True became False",
    ]
    assert differences(wanted, wanted) == []
