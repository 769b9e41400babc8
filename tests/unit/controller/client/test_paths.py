"""Paths: one object is never mistaken for its collection."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridpg.controller.client.paths import collection_path, group_path, object_path, query
from hybridpg.controller.types import LEASES, NAMESPACES, SECRETS, ObjectKey, Resource

ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)


def test_an_object_of_the_core_group_is_below_api():
    path = object_path(SECRETS, ObjectKey("team", "login"))

    assert path == "/api/v1/namespaces/team/secrets/login"


def test_an_object_of_another_group_is_below_apis():
    path = object_path(LEASES, ObjectKey("team", "leader"))

    assert path == "/apis/coordination.k8s.io/v1/namespaces/team/leases/leader"


def test_a_subresource_is_below_its_object():
    path = object_path(NAMESPACES, ObjectKey("", "team"), "finalize")

    assert path == "/api/v1/namespaces/team/finalize"


@pytest.mark.parametrize(
    ("resource", "namespace", "path"),
    [
        pytest.param(SECRETS, "team", "/api/v1/namespaces/team/secrets", id="one-namespace"),
        pytest.param(SECRETS, "", "/api/v1/secrets", id="all-namespaces"),
        pytest.param(NAMESPACES, "", "/api/v1/namespaces", id="cluster-scoped"),
    ],
)
def test_a_collection_is_addressed_in_one_namespace_or_across_all(resource, namespace, path):
    assert collection_path(resource, namespace) == path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../secrets/other", "a%2fb"])
@pytest.mark.parametrize("part", ["namespace", "name", "subresource"])
def test_a_name_that_would_lead_elsewhere_is_refused(part: str, name: str):
    key = {"namespace": "team", "name": "login", part: name}
    if part == "subresource" and not name:
        return  # means the object itself

    with pytest.raises(ValueError, match=r"path of an object|needs a namespace"):
        object_path(SECRETS, ObjectKey(key["namespace"], key["name"]), key.get("subresource", ""))


def test_a_cluster_scoped_object_is_not_looked_for_in_a_namespace():
    with pytest.raises(ValueError, match="cluster-scoped"):
        object_path(NAMESPACES, ObjectKey("team", "x"))


def test_the_colons_in_names_of_roles_are_kept():
    path = object_path(ROLES, ObjectKey("", "system:node"))

    assert path.endswith("/clusterroles/system:node")


@given(st.text(min_size=1).filter(lambda name: name not in (".", "..") and not {*"/%"} & {*name}))
def test_any_other_name_is_one_segment_and_comes_back_unchanged(name: str):
    path = object_path(SECRETS, ObjectKey("team", name))

    assert path.isascii()
    assert not {*"?# "} & {*path}
    assert path.count("/") == 6
    assert unquote(path.rpartition("/")[2]) == name


def test_the_root_of_a_group_is_where_discovery_asks():
    assert group_path("v1") == "/api/v1"
    assert group_path("apps/v1") == "/apis/apps/v1"


def test_parameters_that_say_nothing_are_left_out():
    said = query({"a": "", "b": None, "c": False, "d": True, "e": 500, "f": "x=y", "g": 0})

    assert said == [("d", "true"), ("e", "500"), ("f", "x=y")]
