"""Fixtures for the product on both control planes: its own, and a real kube-apiserver."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.fix_crds import install_crds, kubectl_of
from tests.ports import first_of_a_hundred_ports
from tests.product import Plane, home_folder, process

if TYPE_CHECKING:
    from tests.fix_testenv import TestEnv


@contextmanager
def dev_plane(kubectl: Path) -> Iterator[Plane]:
    """``hybridpg dev``: its own control plane and the controller in one process."""
    with home_folder() as home, process(home, "dev", "--state", "state") as child:
        child.wait_for("Ctrl-C stops everything")
        state = home / "state"
        plane = Plane(
            title="dev",
            binary=kubectl,
            kubeconfig=state / "kubeconfig",
            namespace="shop",
            home=home,
            controller=child,
            log=state / "controller.log",
        )
        plane.ok("create", "namespace", "shop")
        yield plane
        assert child.stop() == 0, child.text


def local_config(home: Path, *namespaces: str, **sections: Any) -> dict[str, Any]:
    """A configuration with the backend ``local`` in a folder, for these namespaces only."""
    first = first_of_a_hundred_ports()
    local = {"path": str(home / "postgres"), "ports": f"{first}-{first + 99}"}
    return {
        "backend": "local",
        "backends": {"local": local, **sections.pop("backends", {})},
        "controller": {
            "cluster_id": f"test-{uuid.uuid4()}",
            "watch_namespaces": list(namespaces),
            **sections.pop("controller", {}),
        },
        **sections,
    }


@contextmanager
def real_plane(
    env: TestEnv, *others: str, login: Path | None = None, **sections: Any
) -> Iterator[Plane]:
    """``hybridpg run`` beside a real kube-apiserver; it watches ``others`` too and one named -b.

    ``login`` is the controller's kubeconfig, if that is not the administrator's.
    """
    install_crds(kubectl_of(env))
    namespace = f"product-{uuid.uuid4().hex[:10]}"
    with home_folder() as home:
        config = home / "config.yaml"
        watched = (namespace, f"{namespace}-b", *others)
        config.write_text(yaml.safe_dump(local_config(home, *watched, **sections)))
        arguments = ("run", "--config", str(config), "--kubeconfig", str(login or env.kubeconfig))
        with process(home, *arguments) as child:
            plane = Plane(
                title="kube-apiserver",
                binary=env.kubectl,
                kubeconfig=env.kubeconfig,
                namespace=namespace,
                home=home,
                controller=child,
                log=child.output,
                collects_garbage=env.collects_garbage,
            )
            plane.ok("create", "namespace", namespace)
            yield plane
            child.wait_for("starting")  # before that a signal ends it where it is
            assert child.stop() == 0, child.text
            remove_objects(plane)


def remove_objects(plane: Plane) -> None:
    """Remove what tests left on a server that others use as well, without its controller."""
    for each in ("pgdb", "pg"):
        for name in plane.ok("get", each, "-o", "name").split():
            plane.ok("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
            with contextlib.suppress(AssertionError):
                plane.ok("delete", name, "--wait=false")
    plane.ok("delete", "namespace", plane.namespace, "--wait=false")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("dev", id="dev"),
        pytest.param("real", id="kube-apiserver", marks=pytest.mark.testenv),
    ],
)
def plane(request: pytest.FixtureRequest, testenv: TestEnv) -> Iterator[Plane]:
    """The running product, on each control plane in turn."""
    if request.param == "dev":
        with dev_plane(testenv.kubectl) as made:
            yield made
    else:
        with real_plane(testenv, "default") as made:
            yield made
