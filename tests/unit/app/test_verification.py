"""What counts as proven, and for how long."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace

import pytest

from hybridpg.app.verification import (
    LOGIN_VALID_SECONDS,
    LoginProof,
    PublishedSecret,
    PublishedSecrets,
    VerifiedLogins,
)
from hybridpg.backends import Endpoint
from hybridpg.controller import ObjectKey

ENDPOINT = Endpoint("host", 5432, ca="ca")
PROOF = LoginProof.of("1", ENDPOINT)


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def logins(time: Time) -> VerifiedLogins:
    return VerifiedLogins(time, random.Random(1))


def test_a_login_counts_for_about_an_hour(logins: VerifiedLogins, time: Time):
    logins.remember("uid", PROOF)
    time.now = LOGIN_VALID_SECONDS * 0.89
    assert logins.proven("uid", PROOF)
    time.now = LOGIN_VALID_SECONDS * 1.11
    assert not logins.proven("uid", PROOF)


@pytest.mark.parametrize(
    "other",
    [
        LoginProof.of("2", ENDPOINT),
        LoginProof.of("1", replace(ENDPOINT, host="other")),
        LoginProof.of("1", replace(ENDPOINT, port=1)),
        LoginProof.of("1", replace(ENDPOINT, ca="new")),
    ],
    ids=["secret", "host", "port", "authority"],
)
def test_another_secret_or_endpoint_is_another_login(logins: VerifiedLogins, other: LoginProof):
    logins.remember("uid", PROOF)
    assert not logins.proven("uid", other)


def test_what_is_remembered_does_not_grow_with_the_bundle_of_authorities():
    small, large = (LoginProof.of("1", replace(ENDPOINT, ca=ca)) for ca in ("ca", "ca" * 80_000))

    assert small != large
    assert len(pickle.dumps(large)) == len(pickle.dumps(small))


def test_another_object_of_the_same_name_proves_nothing(logins: VerifiedLogins):
    logins.remember("uid", PROOF)
    assert not logins.proven("recreated", PROOF)


def test_a_forgotten_login_is_made_again(logins: VerifiedLogins):
    logins.remember("uid", PROOF)
    logins.forget("uid")
    assert not logins.proven("uid", PROOF)


def test_logins_are_not_all_due_at_once(logins: VerifiedLogins, time: Time):
    for number in range(200):
        logins.remember(str(number), PROOF)
    time.now = LOGIN_VALID_SECONDS
    due = sum(not logins.proven(str(number), PROOF) for number in range(200))
    assert 50 < due < 150


def test_secrets_are_kept_apart_by_kind():
    published = PublishedSecrets()
    key, secret = ObjectKey("ns", "same"), PublishedSecret("ns", "a", "1")
    published.record("PostgreSQLServer", key, secret)
    published.record("PostgreSQLDatabase", key, replace(secret, name="b"))
    assert [s.name for _, s in published.of_kind("PostgreSQLServer")] == ["a"]
    published.forget("PostgreSQLServer", key)
    assert list(published.of_kind("PostgreSQLServer")) == []
    assert [s.name for _, s in published.of_kind("PostgreSQLDatabase")] == ["b"]


def test_the_sweep_may_be_changed_while_it_runs():
    published = PublishedSecrets()
    for number in range(3):
        key = ObjectKey("ns", str(number))
        published.record("kind", key, PublishedSecret("ns", str(number), "1"))
    seen = []
    for key, _ in published.of_kind("kind"):
        published.forget("kind", key)
        seen.append(key.name)
    assert seen == ["0", "1", "2"]
