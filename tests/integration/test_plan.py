"""``hybridpg plan`` beside a controller that runs, with real servers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.fix_product import real_plane
from tests.product import API_VERSION, Done, Plane, hybridpg

if TYPE_CHECKING:
    from tests.fix_testenv import TestEnv

pytestmark = [pytest.mark.testenv, pytest.mark.postgres]


@pytest.fixture(scope="module")
def plane(testenv: "TestEnv") -> Iterator[Plane]:
    """The running product on the real API server."""
    with real_plane(testenv) as made:
        yield made


def plan(plane: Plane, *arguments: str) -> Done:
    """Run the verb with the controller's own configuration."""
    files = ("--config", str(plane.home / "config.yaml"), "--kubeconfig", str(plane.kubeconfig))
    return hybridpg("plan", *files, "-n", plane.namespace, *arguments, home=plane.home)


def server(name: str, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": "PostgreSQLServer",
        "metadata": {"name": name},
        "spec": {"credentialsSecret": f"{name}-login", **spec},
    }


def database(name: str, on: str, **settings: object) -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": "PostgreSQLDatabase",
        "metadata": {"name": name},
        "spec": {
            "serverRef": {"name": on},
            "credentialsSecret": f"{name}-login",
            "database": settings,
        },
    }


def test_a_manifest_is_planned_applied_and_then_has_nothing_to_do(plane):
    manifest = plane.home / "manifest.yaml"
    manifest.write_text(yaml.safe_dump_all([server("main"), database("app", "main")]))
    before = plan(plane, "--file", str(manifest))
    assert before.returncode == 0, before.stderr
    assert "+ make secret main-login" in before.stdout
    assert "… wait for PostgreSQLServer main to be created" in before.stdout
    assert plane.ok("get", "pg,pgdb", "-o", "name") == "", "a plan makes nothing"

    plane.ok("apply", "-f", str(manifest))
    plane.wait_ready("pg/main", "pgdb/app")
    after = plan(plane)
    assert after.returncode == 0, after.stderr
    name = plane.namespace
    assert after.stdout.splitlines() == [
        f"PostgreSQLServer {name}/main: nothing to do",
        f"PostgreSQLDatabase {name}/app: nothing to do",
    ]
    extended = plane.home / "extended.yaml"
    extended.write_text(yaml.safe_dump(database("app", "main", extensions=["pgcrypto"])))
    change = plan(plane, "--file", str(extended))
    assert change.returncode == 0, change.stderr
    assert "pgcrypto" in change.stdout
    assert plan(plane, "database/app").stdout.endswith("nothing to do\n"), "nor did that one"


def test_what_cannot_be_done_is_told_by_the_exit_code(plane):
    plane.ok("create", "secret", "generic", "taken")
    manifest = plane.home / "taken.yaml"
    manifest.write_text(yaml.safe_dump(server("second", credentialsSecret="taken")))
    refused = plan(plane, "--file", str(manifest))
    assert refused.returncode == 1
    assert "! SecretConflict" in refused.stdout


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("server/nobody", "PostgreSQLServer {namespace}/nobody does not exist"),
        ("nobody", "'nobody' names no object: write server/NAME or database/NAME"),
    ],
)
def test_an_object_that_is_not_there_is_an_error(plane, argument, message):
    failed = plan(plane, argument)
    assert failed.returncode == 1
    assert message.format(namespace=plane.namespace) in failed.stderr
