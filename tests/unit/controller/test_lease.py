"""The Lease: which numbers can work, and what a candidate reads and writes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from hybridpg.controller.errors import DecodeError
from hybridpg.controller.lease import LeaseConfig, LeaseRecord, micro_time, new_lease
from hybridpg.controller.types import ObjectKey

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_TEXT = "2026-03-01T12:00:00.000000Z"
LEASE: dict[str, Any] = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "c", "namespace": "ns", "resourceVersion": "7", "labels": {"a": "b"}},
    "spec": {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-02-01T00:00:00.000000Z",
        "leaseTransitions": 3,
        "strategy": "OldestEmulationVersion",
    },
}


def test_the_defaults_are_those_of_client_go():
    config = LeaseConfig("ns", "c")
    assert (config.duration, config.renew_deadline, config.retry_period) == (15, 10, 2)
    assert config.key == ObjectKey("ns", "c")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "a lease needs a namespace and a name"),
        ({"namespace": ""}, "a lease needs a namespace and a name"),
        ({"duration": 0}, "duration of lease ns/c must be more than 0, not 0"),
        ({"renew_deadline": -1}, "renew_deadline of lease ns/c must be more than 0, not -1"),
        ({"retry_period": math.nan}, "retry_period of lease ns/c must be more than 0, not nan"),
        ({"duration": math.inf}, "duration of lease ns/c must be more than 0, not inf"),
        ({"duration": 10}, "is 10 and must be more than its renew_deadline 10: else others take"),
        ({"retry_period": 9}, r"is 10 and must be more than 1.2 times its retry_period 9: else"),
    ],
)
def test_numbers_that_cannot_work_are_named(changes, text):
    with pytest.raises(ValueError, match=text):
        LeaseConfig(**{"namespace": "ns", "name": "c", **changes})


@pytest.mark.parametrize("deadline", [0.7, 2.0, 10.0, 600.0])
def test_a_request_may_hang_and_leave_time_for_another(deadline):
    config = LeaseConfig("ns", "c", deadline * 1.5, deadline, deadline / 5)
    assert config.request_timeout + config.retry_period < deadline


def test_a_record_is_what_the_spec_says():
    record = LeaseRecord.of(LEASE)
    assert (record.holder, record.seconds, record.transitions) == ("me", 15, 3)
    assert not record.released


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None, "renewTime": None}])
def test_an_empty_spec_is_held_by_nobody(spec):
    assert LeaseRecord.of({**LEASE, "spec": spec}) == LeaseRecord()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"kind": "Status", "metadata": {}},
        {"kind": "Lease"},
        {"kind": "Lease", "metadata": {}},
        {**LEASE, "spec": []},
        {**LEASE, "spec": {"leaseDurationSeconds": "15"}},
        {**LEASE, "spec": {"holderIdentity": 1}},
    ],
)
def test_whatever_else_an_answer_holds_is_no_lease(answer):
    with pytest.raises(DecodeError, match="the answer is no Lease"):
        LeaseRecord.of(answer)


def test_a_renewal_keeps_when_it_began_and_how_often_it_changed_hands():
    record = LeaseRecord.of(LEASE).claimed("me", 15, NOON)
    assert record == LeaseRecord("me", 15, "2026-01-01T00:00:00.000000Z", NOON_TEXT, 3)


def test_a_takeover_begins_anew_and_is_counted():
    record = LeaseRecord.of(LEASE).claimed("other", 20, NOON)
    assert record == LeaseRecord("other", 20, NOON_TEXT, NOON_TEXT, 4)


def test_a_part_of_a_second_is_written_as_a_whole_one():
    """The others wait for what is written, so it must not be less than what is meant."""
    assert LeaseRecord().claimed("me", 1.2, NOON).seconds == 2


def test_what_was_given_back_is_free_and_what_was_wiped_out_is_not():
    given = LeaseRecord.of(LEASE).given_back(NOON)
    assert given == LeaseRecord("", 1, NOON_TEXT, NOON_TEXT, 3)
    assert given.released
    wiped = {**LEASE, "spec": {**LEASE["spec"], "holderIdentity": ""}}
    assert not LeaseRecord.of(wiped).released


def test_what_others_wrote_into_the_lease_stays():
    written = LeaseRecord.of(LEASE).claimed("me", 15, NOON).written_into(LEASE)
    assert written["metadata"] == LEASE["metadata"]
    assert written["spec"]["strategy"] == "OldestEmulationVersion"
    assert LEASE["spec"]["renewTime"] == "2026-02-01T00:00:00.000000Z", "the old one is unchanged"


def test_a_new_lease_has_no_version():
    lease = LeaseRecord().claimed("me", 15, NOON).written_into(new_lease(ObjectKey("ns", "c")))
    assert lease["metadata"] == {"namespace": "ns", "name": "c"}
    assert lease["spec"]["leaseTransitions"] == 1


def test_times_are_utc_with_six_digits():
    tokyo = timezone(timedelta(hours=9))
    assert micro_time(datetime(2026, 3, 1, 21, tzinfo=tokyo)) == NOON_TEXT
    assert micro_time(NOON + timedelta(microseconds=7)).endswith("00.000007Z")


def test_a_renewal_never_writes_the_time_that_is_there():
    assert micro_time(NOON, unlike=NOON_TEXT) == "2026-03-01T12:00:00.000001Z"
