"""Who is let in to a server, and who is called when somebody leaves."""

from __future__ import annotations

from hybridpg.app.crowd import Crowd
from hybridpg.controller import ObjectKey

HERE, THERE = ("here", 5432), ("there", 5432)


def key(number: int) -> ObjectKey:
    return ObjectKey("team", f"db-{number}")


def crowd(limit: int = 2) -> tuple[Crowd, list[ObjectKey]]:
    made, called = Crowd(limit), list[ObjectKey]()
    made.subscribe(called.append)
    return made, called


def turned_away(made: Crowd, number: int) -> None:
    """One whole pass of a key that is not let in."""
    assert not made.enter(key(number), HERE)
    made.left(key(number))


def test_so_many_are_let_in_and_the_next_is_called_when_one_has_ended() -> None:
    made, called = crowd()
    assert made.enter(key(0), HERE)
    assert made.enter(key(1), HERE)
    turned_away(made, 2)
    assert not called
    made.left(key(0))
    assert called == [key(2)]
    assert made.enter(key(2), HERE)


def test_who_waits_is_called_in_the_order_of_arrival_and_everybody_is() -> None:
    made, called = crowd()
    assert made.enter(key(0), HERE)
    assert made.enter(key(1), HERE)
    for number in range(2, 10):
        turned_away(made, number)
    for number in range(10):
        if number >= 2:
            assert made.enter(key(number), HERE)
        made.left(key(number))
    assert called == [key(number) for number in range(2, 10)]
    assert len(made) == 0


def test_a_crowd_of_one_server_keeps_nobody_from_another() -> None:
    made, _ = crowd()
    assert made.enter(key(0), HERE)
    assert made.enter(key(1), HERE)
    assert made.enter(key(2), THERE)


def test_who_was_called_and_is_gone_by_then_passes_its_turn_on() -> None:
    made, called = crowd(1)
    assert made.enter(key(0), HERE)
    turned_away(made, 1)
    turned_away(made, 2)
    made.left(key(0))
    made.left(key(1))  # its pass found no object
    assert called == [key(1), key(2)]


def test_a_turn_that_comes_before_the_pass_that_was_turned_away_has_ended_is_kept() -> None:
    made, called = crowd(1)
    assert made.enter(key(0), HERE)
    assert not made.enter(key(1), HERE)
    made.left(key(0))
    assert called == [key(1)]
    made.left(key(1))  # the pass that was turned away
    assert made.enter(key(1), HERE)
    assert not made.enter(key(2), HERE)


def test_who_looks_twice_while_it_waits_is_called_once() -> None:
    made, called = crowd(1)
    assert made.enter(key(0), HERE)
    turned_away(made, 1)
    turned_away(made, 1)
    made.left(key(0))
    made.left(key(1))
    assert called == [key(1)]
    assert made.enter(key(2), HERE)
