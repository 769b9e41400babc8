"""Tenants beside the running product: what they may is what a namespace's users may, and no more.

One controller with the backends ``local`` and ``external`` beside a real kube-apiserver; two
namespaces whose names run together (``x`` and ``x-b``), a third with caps, and a platform's
namespace with the admin login of an existing server, which no tenant can see.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.fix_postgres import SUPERUSER, PgServer, running_server
from tests.fix_product import real_plane, remove_objects
from tests.product import GROUP, Done, Plane

if TYPE_CHECKING:
    from tests.fix_testenv import TestEnv

KINDS = ["postgresqlservers", "postgresqldatabases"]
SECRETS = ["mine", "app-tls", *(f"s{number}" for number in range(30))]
"""The Secrets that a tenant may get: their own, by name."""


@dataclass
class Tenant:
    """Somebody with a ServiceAccount in one namespace; ``plane`` shows an administrator's view."""

    plane: Plane
    account: str = "tenant"

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self.plane.namespace

    @property
    def who(self) -> str:
        """The option that makes kubectl act as this account."""
        return f"--as=system:serviceaccount:{self.namespace}:{self.account}"

    def may(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl as the tenant, who is allowed to."""
        return self.plane.ok(self.who, *arguments, stdin=stdin)

    def may_not(self, *arguments: str, stdin: Any = None) -> str:
        """Run kubectl as the tenant, who is refused, and return why."""
        return self.plane.refused(self.who, *arguments, stdin=stdin)

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply manifests as the tenant."""
        self.may("apply", "--validate=strict", "-f", "-", stdin=documents)

    def delete(self, name: str) -> None:
        """Delete an object as the tenant, and wait until it is gone."""
        self.may("delete", name, "--timeout=60s")

    def forge(self, name: str, status: dict[str, Any]) -> Done:
        """Write status with the rights of somebody who may."""
        forger = Tenant(self.plane, "forger")
        patch = json.dumps({"status": status})
        arguments = (forger.who, "patch", name, "--subresource=status", "--type=merge", "-p", patch)
        return self.plane.kubectl(*arguments)


@dataclass
class Tenants:
    """The stage of all threats."""

    a: Tenant
    b: Tenant
    """In a namespace whose name begins with that of ``a``; it may use the backend local alone."""
    capped: Tenant
    pg: PgServer
    platform: str

    @property
    def servers(self) -> Path:
        """The folder with the data of the servers of the backend local."""
        return self.a.plane.home / "postgres" / "servers"


def tenant_of(plane: Plane) -> Tenant:
    """Make accounts and rights in the namespace of a view."""
    namespace = plane.namespace
    rules = [
        {"apiGroups": [GROUP], "resources": KINDS, "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": SECRETS},
    ]
    status = {"apiGroups": [GROUP], "resources": [f"{k}/status" for k in KINDS], "verbs": ["*"]}
    documents = [
        *_account(namespace, "tenant", rules),
        *_account(namespace, "forger", [*rules, status]),
    ]
    plane.ok("apply", "-f", "-", stdin=documents)
    return Tenant(plane)


def _account(namespace: str, name: str, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    meta = {"name": name, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def _sections(platform: str) -> dict[str, Any]:
    main = {"secret": f"{platform}/admin", "allowed_namespaces": ["product-*", "caps-*"]}
    vault = {"secret": f"{platform}/admin", "allowed_namespaces": ["vault-*"]}
    return {
        "allowed_backends": ["local", "external"],
        "backends": {"external": {"servers": {"main": main, "vault": vault}}},
        "extensions": {"allowed": ["hstore", "pgcrypto"]},
        "namespaces": {
            "product-*-b": {"allowed_backends": ["local"]},
            "caps-*": {
                "limits": {"servers": 4, "storageGB": 20, "cpu": 8},
                "allowed_classes": ["small"],
            },
        },
    }


def _view(plane: Plane, namespace: str) -> Plane:
    found = Plane(
        title=plane.title,
        binary=plane.binary,
        kubeconfig=plane.kubeconfig,
        namespace=namespace,
        home=plane.home,
        controller=plane.controller,
        log=plane.log,
        written=plane.written,
    )
    found.ok("create", "namespace", namespace)
    return found


@pytest.fixture(scope="module")
def tenants(testenv: TestEnv) -> Iterator[Tenants]:
    """Three tenants, a platform, and the product between them."""
    suffix = uuid.uuid4().hex[:8]
    platform, caps = f"platform-{suffix}", f"caps-{suffix}"
    with (
        running_server(17) as pg,
        real_plane(testenv, caps, **_sections(platform)) as plane,
    ):
        owner = _view(plane, platform)
        login = {
            "host": "127.0.0.1",
            "port": str(pg.port),
            "username": SUPERUSER,
            "password": pg.password,
            "ca.crt": pg.ca,
        }
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "admin"}}
        owner.ok("create", "-f", "-", stdin={**secret, "stringData": login})
        a = tenant_of(plane)
        b = tenant_of(_view(plane, f"{plane.namespace}-b"))
        capped = tenant_of(_view(plane, caps))
        yield Tenants(a, b, capped, pg, platform)
        for each in (b, capped):
            remove_objects(each.plane)
        owner.ok("delete", "namespace", platform, "--wait=false")
