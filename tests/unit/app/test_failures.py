"""From an error to what the user sees."""

from __future__ import annotations

import pytest

from hybridpg.app.errors import (
    AppError,
    AuthenticationFailed,
    InvalidSpec,
    SecretConflict,
    SecretRefused,
)
from hybridpg.app.failures import CONTRACT, failure_of, joined
from hybridpg.app.kinds import ADOPT, DATABASES
from hybridpg.app.reasons import Reason
from hybridpg.app.subject import Subject
from hybridpg.backends import (
    BackendError,
    Busy,
    Conflict,
    Denied,
    Owner,
    Quota,
    Rejected,
    Retired,
    Unavailable,
    Unknown,
)


def subject(**metadata: object) -> Subject:
    base = {"namespace": "team", "name": "app", "uid": "u", "resourceVersion": "1"}
    return Subject(DATABASES, {"metadata": {**base, **metadata}})


@pytest.mark.parametrize(
    ("error", "reason", "stalled"),
    [
        (Unknown("m"), Reason.UNREACHABLE, False),
        (Rejected("database.extensions", "m"), Reason.EXTENSION_REFUSED, True),
        (Rejected("size.storageGB", "m"), Reason.INVALID_SPEC, True),
        (Unavailable("m"), Reason.BACKEND_UNAVAILABLE, True),
        (Retired("m"), Reason.BACKEND_RETIRED, True),
        (Conflict("app", None, "m"), Reason.CONFLICT, True),
        (Quota("m"), Reason.QUOTA_EXCEEDED, True),
        (Denied("m"), Reason.DENIED, True),
        (SecretConflict("m"), Reason.SECRET_CONFLICT, True),
        (SecretRefused("m"), Reason.SECRET_CONFLICT, True),
        (InvalidSpec("m"), Reason.INVALID_SPEC, True),
        (AuthenticationFailed("m"), Reason.AUTHENTICATION_FAILED, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_reason(error: Exception, reason: Reason, stalled: bool):
    failure = failure_of(error, subject())
    assert failure is not None
    assert (failure.reason, failure.stalled) == (reason, stalled)
    assert "m" in failure.message


def test_every_error_of_a_backend_is_part_of_the_contract():
    """A backend's error never ends a pass as a bug."""

    def leaves(kind: type[BaseException]) -> set[type[BaseException]]:
        return {kind}.union(*(leaves(child) for child in kind.__subclasses__()))

    ours = {k for k in leaves(BackendError) - {BackendError} if k.__module__.startswith("hybridpg")}
    assert ours
    assert all(issubclass(kind, CONTRACT) for kind in ours)


def test_something_else_is_left_to_the_queue():
    assert failure_of(ValueError("bug"), subject()) is None
    assert failure_of(AppError("no meaning"), subject()) is None


def test_what_is_not_known_is_retried_by_the_queue_and_the_rest_after_a_minute():
    unknown = failure_of(Unknown("m"), subject())
    quota = failure_of(Quota("m"), subject())
    assert unknown is not None
    assert unknown.retry_after is None
    assert quota is not None
    assert quota.retry_after == 60


@pytest.mark.parametrize("error", [AuthenticationFailed("m"), SecretConflict("m")])
def test_what_may_mend_itself_is_tried_again_soon_when_it_is_news_and_then_each_minute(
    error: Exception,
):
    failure = failure_of(error, subject())
    assert failure is not None
    assert failure.next_look(shown=False) == 2
    assert failure.next_look(shown=True) == 60


@pytest.mark.parametrize("error", [Quota("m"), Denied("m"), Conflict("app", None, "m")])
def test_nothing_else_is_tried_again_sooner_because_it_is_news(error: Exception):
    failure = failure_of(error, subject())
    assert failure is not None
    assert failure.next_look(shown=False) == 60


def test_a_refused_field_is_named_as_the_user_wrote_it():
    failure = failure_of(Rejected("size.storageGB", "cannot shrink"), subject())
    assert failure is not None
    assert failure.message == "spec.size.storageGB: cannot shrink"


def test_a_conflict_gives_the_line_that_adopts():
    failure = failure_of(Conflict("app", None, "taken"), subject())
    assert failure is not None
    assert failure.message.endswith(f"{ADOPT}: app")


@pytest.mark.parametrize(
    "about",
    [
        pytest.param(subject(annotations={ADOPT: "app"}), id="asked-already"),
        pytest.param(subject(deletionTimestamp="2026-01-01T00:00:00Z"), id="deleting"),
    ],
)
def test_no_adoption_is_offered_where_it_makes_no_sense(about: Subject):
    failure = failure_of(Conflict("app", None, "taken"), about)
    assert failure is not None
    assert ADOPT not in failure.message


def test_what_belongs_to_another_namespace_is_not_offered():
    """M1: a namespace is the border between tenants."""
    owner = Owner("cluster-1", "x", "other", "app")
    failure = failure_of(Conflict("app", owner, "taken"), subject())
    assert failure is not None
    assert ADOPT not in failure.message


def test_several_refusals_become_one_message():
    both = joined([Rejected("database.extensions", "a"), Rejected("database.extensions", "b")])
    assert str(both) == "database.extensions: a; b"
    mixed = joined([Rejected("database.extensions", "a"), Rejected("database.charset", "b")])
    assert "spec.database.charset: b" in str(mixed)


def test_busy_says_when_to_come_again():
    assert Busy("all sessions are taken", retry_after=0.1).retry_after == 0.1
