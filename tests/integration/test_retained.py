"""``hybridpg retained`` with real servers: what objects left is found when they are gone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.fix_product import real_plane
from tests.product import Done, Plane, annotated, database, hybridpg, server

if TYPE_CHECKING:
    from tests.fix_testenv import TestEnv

pytestmark = [pytest.mark.testenv, pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def plane(testenv: "TestEnv") -> Iterator[Plane]:
    """The running product on the real API server."""
    with real_plane(testenv) as made:
        yield made


def retained(plane: Plane, *arguments: str) -> Done:
    """Run the verb with the controller's own configuration."""
    files = ("--config", str(plane.home / "config.yaml"), "--kubeconfig", str(plane.kubeconfig))
    return hybridpg("retained", *files, *arguments, home=plane.home)


def test_what_was_kept_is_listed_taken_over_and_then_not_listed_any_more(plane):
    """H13: everything is read from the marks; no object and no Secret is needed."""
    plane.apply(server("main", deletionPolicy="Retain"))
    plane.apply(database("app", "main", deletionPolicy="Retain"))
    plane.apply(server("old", deletionPolicy="Snapshot"))
    plane.wait_ready("pg/main", "pgdb/app", "pg/old")
    assert retained(plane).stdout == ""
    login = plane.secret("app-login")
    plane.execute(login, "CREATE TABLE kept (x int)")

    plane.ok("delete", "pgdb/app", "--timeout=60s")
    plane.ok("delete", "pg/main", "pg/old", "--timeout=60s")
    plane.ok("delete", "secret", "app-login", "main-login")
    listed = retained(plane)
    assert listed.returncode == 0, listed.stderr
    name = plane.namespace
    assert f"database app of {name}/app: server {name}-main" in listed.stdout
    assert f"server {name}-main of {name}/main: {plane.home}" in listed.stdout
    assert f"snapshot {name}-old of {name}/old: {plane.home}" in listed.stdout
    assert retained(plane, "-n", "elsewhere").stdout == ""

    plane.apply(annotated(server("main"), adopt=f"{name}-main"))
    plane.apply(annotated(database("app", "main"), adopt="app"))
    plane.wait_ready("pg/main", "pgdb/app")
    assert plane.execute(plane.secret("app-login"), "SELECT * FROM kept") == []
    left = retained(plane)
    assert [line for line in left.stdout.splitlines() if not line.startswith(" ")] == [
        line for line in listed.stdout.splitlines() if line.startswith("snapshot")
    ]


def test_a_server_that_cannot_be_asked_is_told(plane):
    """D29: the list is not silently shorter."""
    folder = plane.home / "postgres" / "servers" / "lost"
    folder.mkdir()
    (folder / "server.json").write_text("{}")
    told = retained(plane)
    assert told.returncode == 1
    assert "not known:" in told.stderr
    (folder / "server.json").unlink()
    folder.rmdir()
