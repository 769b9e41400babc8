"""``hybridpg retained``: what is listed, of whom, and what cannot be asked."""

from typing import Any

import pytest

from hybridpg.app import Backends, Config
from hybridpg.app.retained import described, list_retained
from hybridpg.backends import Denied, Owner, Retained, RetainedThings, Unavailable

from .memory import MemoryBackend, MemoryTarget


def thing(kind: Any = "database", name: str = "app", cluster: str = "cluster-1") -> Retained:
    """Something that object ``team/<name>`` left."""
    return Retained(kind, name, Owner(cluster, "uid", "team", name, retained=True), "server main")


class Keeper(MemoryBackend):
    """A backend that can tell what it keeps."""

    things = RetainedThings()
    error: Exception | None = None

    async def retained(self) -> RetainedThings:
        if self.error is not None:
            raise self.error
        return self.things


def keeper(*found: Retained, problems: tuple[str, ...] = (), name: str = "keeper") -> Keeper:
    made = Keeper(MemoryTarget(), name)
    made.things = RetainedThings(found, problems)
    return made


def backends(*made: MemoryBackend) -> Backends:
    config = Config.model_validate({"backend": "keeper"})
    named = {each.name: each for each in made}
    return Backends(config, {**named, "broken": Unavailable("no section")}, "cluster-1")


async def test_what_every_backend_keeps_is_listed_together():
    first, second = keeper(thing(name="a")), keeper(thing(name="b"), name="other")
    found = await list_retained(backends(first, second, MemoryBackend(MemoryTarget())), "")
    assert [each.external_name for each in found.found] == ["a", "b"]
    assert found.problems == ()


async def test_what_another_cluster_left_on_a_shared_target_is_not_ours_to_take():
    """M1."""
    shared = keeper(thing(cluster="cluster-2"), thing(name="ours"))
    found = await list_retained(backends(shared), "")
    assert [each.external_name for each in found.found] == ["ours"]


@pytest.mark.parametrize(("namespace", "names"), [("team", ["app"]), ("tea", []), ("", ["app"])])
async def test_a_namespace_narrows_the_list(namespace: str, names: list[str]):
    found = await list_retained(backends(keeper(thing())), namespace)
    assert [each.external_name for each in found.found] == names


async def test_one_backend_that_cannot_be_asked_hides_nothing_of_the_others():
    """D29: no answer is not an empty answer."""
    silent = keeper(name="silent")
    silent.error = Denied("the login is refused")
    known = keeper(thing(), problems=("server x does not answer",))
    found = await list_retained(backends(known, silent), "")
    assert [each.external_name for each in found.found] == ["app"]
    assert found.problems == (
        "server x does not answer",
        "backend silent: the login is refused",
    )


def test_a_line_says_what_it_is_and_the_exact_annotation():
    assert described(thing()).splitlines() == [
        "database app of team/app: server main",
        "  PostgreSQLDatabase in namespace team with annotation "
        "hybridcloud.maibornwolff.de/adopt: app",
    ]
    assert "PostgreSQLServer in namespace team" in described(thing("server"))


def test_a_snapshot_is_not_offered_for_adoption():
    assert "adopt" not in described(thing("snapshot"))
