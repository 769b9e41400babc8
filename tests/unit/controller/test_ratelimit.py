"""How long a failed item waits, and how limiters combine."""

from __future__ import annotations

import math

import pytest

from hybridpg.controller._backoff import Backoff
from hybridpg.controller.ratelimit import (
    BucketLimiter,
    ExponentialLimiter,
    FastSlowLimiter,
    MaxOfLimiter,
    MaxWaitLimiter,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_delay_doubles_from_5_ms_and_ends_at_the_cap():
    limiter: ExponentialLimiter[str] = ExponentialLimiter()
    delays = [limiter.when("a") for _ in range(20)]
    assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
    assert delays[17] == pytest.approx(655.36)
    assert delays[18:] == [1000, 1000]


def test_a_hundred_thousand_failures_do_not_overflow():
    limiter: ExponentialLimiter[str] = ExponentialLimiter()
    for _ in range(100_000):
        delay = limiter.when("a")
    assert delay == 1000
    assert limiter.failures("a") == 100_000


def test_items_are_counted_apart_and_forgetting_starts_anew():
    limiter: ExponentialLimiter[str] = ExponentialLimiter(base=1, cap=8)
    assert [limiter.when("a"), limiter.when("a"), limiter.when("b")] == [1, 2, 1]
    limiter.forget("a")
    limiter.forget("never seen")
    assert (limiter.failures("a"), limiter.failures("b")) == (0, 1)
    assert limiter.when("a") == 1


def test_a_cap_that_is_no_power_of_the_base_is_reached_exactly():
    limiter: ExponentialLimiter[str] = ExponentialLimiter(base=1, cap=5)
    assert [limiter.when("a") for _ in range(5)] == [1, 2, 4, 5, 5]


def test_a_bucket_lets_a_burst_through_and_then_spaces_it_out():
    limiter: BucketLimiter[str] = BucketLimiter(rate=10, burst=3, now=Clock())
    assert [limiter.when("a") for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


def test_a_bucket_fills_with_time_and_never_above_its_burst():
    clock = Clock()
    limiter: BucketLimiter[str] = BucketLimiter(rate=1, burst=2, now=clock)
    for _ in range(4):
        limiter.when("a")
    clock.now = 3
    assert limiter.when("a") == 0
    clock.now = 1000
    assert [limiter.when("a") for _ in range(3)] == [0, 0, 1]


def test_taking_a_token_reserves_nothing():
    clock = Clock()
    limiter: BucketLimiter[str] = BucketLimiter(rate=1, burst=1, now=clock)
    assert [limiter.take() for _ in range(3)] == [True, False, False]
    clock.now = 1
    assert limiter.take()


def test_a_bucket_knows_no_items():
    limiter: BucketLimiter[str] = BucketLimiter(rate=1, burst=1, now=Clock())
    limiter.when("a")
    limiter.forget("a")
    assert limiter.failures("a") == 0
    assert limiter.when("a") == 1


def test_the_slowest_of_several_limiters_counts():
    bucket: BucketLimiter[str] = BucketLimiter(rate=1, burst=1, now=Clock())
    limiter = MaxOfLimiter(ExponentialLimiter[str](base=0.25, cap=100), bucket)
    assert [limiter.when("a") for _ in range(3)] == [0.25, 1, 2]
    assert limiter.failures("a") == 3
    limiter.forget("a")
    assert limiter.failures("a") == 0


def test_a_wait_can_be_capped_from_outside():
    limiter = MaxWaitLimiter(ExponentialLimiter[str](base=1, cap=1000), 3)
    assert [limiter.when("a") for _ in range(4)] == [1, 2, 3, 3]
    assert limiter.failures("a") == 4
    limiter.forget("a")
    assert limiter.when("a") == 1


def test_a_few_fast_attempts_are_followed_by_slow_ones():
    limiter: FastSlowLimiter[str] = FastSlowLimiter(fast=0.5, slow=60, attempts=2)
    assert [limiter.when("a") for _ in range(4)] == [0.5, 0.5, 60, 60]
    assert [limiter.when("b"), limiter.failures("a"), limiter.failures("c")] == [0.5, 4, 0]
    limiter.forget("a")
    limiter.forget("never seen")
    assert limiter.when("a") == 0.5


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: ExponentialLimiter(base=0), id="no base"),
        pytest.param(lambda: ExponentialLimiter(base=-1), id="negative base"),
        pytest.param(lambda: ExponentialLimiter(base=2, cap=1), id="cap below base"),
        pytest.param(lambda: ExponentialLimiter(base=math.nan), id="base is not a number"),
        pytest.param(lambda: ExponentialLimiter(cap=math.inf), id="endless cap"),
        pytest.param(lambda: BucketLimiter(rate=0), id="bucket that is never filled"),
        pytest.param(lambda: BucketLimiter(rate=-1), id="negative rate"),
        pytest.param(lambda: BucketLimiter(burst=0), id="bucket that holds nothing"),
        pytest.param(lambda: FastSlowLimiter(2, 1, 3), id="slow faster than fast"),
        pytest.param(lambda: FastSlowLimiter(-1, 1, 3), id="negative delay"),
        pytest.param(lambda: FastSlowLimiter(1, 2, -1), id="negative attempts"),
        pytest.param(lambda: MaxOfLimiter(), id="the slowest of none"),
        pytest.param(lambda: MaxWaitLimiter(ExponentialLimiter(), -1), id="negative wait"),
        pytest.param(lambda: MaxWaitLimiter(ExponentialLimiter(), math.nan), id="no number"),
    ],
)
def test_limits_that_make_no_sense_are_refused_with_what_to_give(make):
    with pytest.raises(ValueError, match=r"give|lets nothing through"):
        make()


def test_backoff_grows_from_0_8_s_to_30_s():
    backoff = Backoff(now=Clock(), rand=lambda: 0.0)
    assert [backoff.next() for _ in range(8)] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_backoff_is_jittered_up_to_twice_its_delay():
    backoff = Backoff(now=Clock(), rand=lambda: 0.5)
    assert [backoff.next() for _ in range(3)] == pytest.approx([1.2, 2.4, 4.8])


def test_backoff_starts_anew_after_two_quiet_minutes_only():
    clock = Clock()
    backoff = Backoff(now=clock, rand=lambda: 0.0)
    for _ in range(3):
        backoff.next()
    clock.now = 119
    assert backoff.next() == 6.4
    clock.now = 119 + 120
    assert backoff.next() == 0.8
