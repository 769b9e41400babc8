"""Generated passwords hold what the configuration promises."""

from __future__ import annotations

import random
import string

import pytest

from hybridpg.app.passwords import DEFAULT_LENGTH, generate


def test_no_password_follows_from_a_seed():
    """D26: it comes from the system's random numbers."""
    random.seed(1)
    first = generate()
    random.seed(1)
    assert generate() != first


@pytest.mark.parametrize("length", [8, 16, 41])
def test_the_length_is_exact(length: int):
    """C30."""
    assert len(generate(length, special_characters=True)) == length


def test_the_default_is_long_and_needs_no_quoting():
    """C30."""
    allowed = set(string.ascii_letters + string.digits + "-_.")
    for _ in range(50):
        password = generate()
        assert len(password) == DEFAULT_LENGTH
        assert set(password) <= allowed


@pytest.mark.parametrize(
    ("wish", "special"), [(True, "+-_.:<>?"), (None, "-_."), (False, "")], ids=str
)
def test_every_class_is_present_and_no_other_character(wish: bool | None, special: str):
    """C30."""
    for _ in range(100):
        password = generate(8, special_characters=wish)
        for group in (string.ascii_lowercase, string.ascii_uppercase, string.digits, special):
            assert not group or set(password) & set(group)
        assert set(password) <= set(string.ascii_letters + string.digits + special)


def test_the_first_character_is_a_letter_or_a_digit():
    """C30."""
    assert all(generate(8, special_characters=True)[0].isalnum() for _ in range(200))


def test_two_passwords_are_never_the_same():
    assert len({str(generate()) for _ in range(1000)}) == 1000


def test_a_length_that_cannot_hold_every_class_is_refused():
    """D26: no recursion without end."""
    with pytest.raises(ValueError, match="3 characters"):
        generate(3)


def test_a_password_does_not_show_in_a_repr():
    password = generate()
    assert str(password) not in repr(password)
    assert str(password) not in f"{[password]}"
