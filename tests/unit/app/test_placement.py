"""Which backend an object gets."""

from __future__ import annotations

from typing import Any

import pytest

from hybridpg.app import Backends, Config
from hybridpg.backends import Backend, Unavailable

from .memory import MemoryBackend, MemoryTarget


def backends(**config: Any) -> Backends:
    parsed = Config.model_validate({"backend": "one", **config})
    made: dict[str, Backend | Unavailable] = {
        "one": MemoryBackend(MemoryTarget(), "one"),
        "two": MemoryBackend(MemoryTarget(), "two"),
        "bad": Unavailable("needs a section"),
    }
    return Backends(parsed, made, "cluster-1")


def test_without_a_wish_it_is_the_default():
    """C2."""
    assert backends().choose("team", "") == "one"
    assert backends(allowed_backends=["two"]).choose("team", None) == "one"


def test_with_an_empty_list_the_wish_is_ignored():
    """C3."""
    assert backends().choose("team", "two") == "one"


def test_a_listed_wish_is_met():
    """C3."""
    assert backends(allowed_backends=["two"]).choose("team", "two") == "two"


def test_a_wish_that_is_not_listed_is_refused_and_the_list_is_shown():
    """C3."""
    with pytest.raises(Unavailable, match="allowed: one, two"):
        backends(allowed_backends=["one", "two"]).choose("team", "three")


def test_the_default_may_be_named_although_it_is_not_listed():
    assert backends(allowed_backends=["two"]).choose("team", "one") == "one"


@pytest.mark.parametrize(
    ("namespace", "refused"), [("prod-a", True), ("test", False)], ids=["matches", "does-not"]
)
def test_a_namespace_pattern_narrows_the_choice(namespace: str, refused: bool):
    """M8."""
    made = backends(namespaces={"prod-*": {"allowed_backends": ["two"]}}, allowed_backends=["two"])
    if refused:
        with pytest.raises(Unavailable, match="not allowed in namespace prod-a"):
            made.choose(namespace, "one")
    else:
        assert made.choose(namespace, "one") == "one"
    assert made.choose(namespace, "two") == "two"


def test_an_unusable_backend_says_why():
    with pytest.raises(Unavailable, match="needs a section"):
        backends().get("bad")


def test_an_unknown_backend_says_what_to_add():
    with pytest.raises(Unavailable, match=r"backends\.nine"):
        backends().get("nine")


async def test_only_usable_backends_are_iterated_and_closed():
    made = backends()
    assert sorted(backend.name for backend in made) == ["one", "two"]
    await made.close()
    closed = [backend.closed for backend in made if isinstance(backend, MemoryBackend)]
    assert closed == [True, True]
