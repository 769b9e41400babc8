"""The backend ``external``: whose server it is, and what of it a tenant may see or say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tests.external_harness import SecretKube, external_context, server_ref

from hybridpg.backends import (
    Absent,
    Backend,
    BackendContext,
    Credentials,
    Done,
    Endpoint,
    Password,
    Policy,
    Rejected,
    ServerState,
    Unavailable,
)
from hybridpg.backends.external import External, ExternalOptions, ExternalServer
from hybridpg.backends.local import LocalOptions
from hybridpg.crds import ServerSpec

STATE = ServerState(owner=None, ready=True, version="16.1", admin_username="root")
SECRET = {"host": b"db.example", "username": b"root", "password": b"canary"}
ADMIN = Credentials("root", Password("other"))

_: type[Backend] = External


def backend(
    secret: dict[str, bytes] | None = None, servers: dict[str, dict[str, Any]] | None = None
) -> External:
    data = SECRET if secret is None else secret
    kube = SecretKube({("platform", "main-admin"): data})
    return External(external_context(kube, servers))


def configured(**options: Any) -> dict[str, dict[str, Any]]:
    main = {"secret": "platform/main-admin", "allowed_namespaces": ["*"], **options}
    return {"main": main}


async def endpoint(secret: dict[str, bytes] | None = None, **options: Any) -> Endpoint:
    return await backend(secret, configured(**options)).endpoint(server_ref(), STATE)


async def test_host_and_login_come_from_the_administrators_secret():
    found = await endpoint()

    assert (found.host, found.port, found.sslmode) == ("db.example", 5432, "verify-full")
    assert found.admin is not None
    assert (found.admin.username, found.admin.password) == ("root", "canary")


async def test_the_configuration_wins_over_the_secret():
    secret = SECRET | {"port": b"1", "sslmode": b"disable", "ca.crt": b"of the secret"}
    found = await endpoint(secret, host="other", port=2, sslmode="require", ca="of the config")

    assert found.host == "other"
    assert (found.port, found.sslmode, found.ca) == (2, "require", "of the config")


@pytest.mark.parametrize(
    "secret",
    [
        {"hostname": b"db.example", "user": b"root", "password": b"canary"},
        {"host": b" db.example\n", "username": b"root\n", "password": b"canary"},
        {**SECRET, "user": b"that alone", "hostname": b"ignored"},
    ],
)
async def test_both_spellings_of_the_keys_are_read(secret: dict[str, bytes]):
    found = await endpoint(secret)

    assert found.host == "db.example"
    assert found.admin is not None
    assert found.admin.username == "root"


async def test_a_password_is_taken_as_it_is():
    found = await endpoint(SECRET | {"password": b" with spaces "})

    assert found.admin is not None
    assert found.admin.password == " with spaces "


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ({"username": b"root", "password": b"canary"}, "has no key host"),
        ({"host": b"db", "password": b"canary"}, "needs the keys username and password"),
        ({"host": b"db", "username": b"root"}, "needs the keys username and password"),
        ({**SECRET, "port": b"five"}, "key port that is no port"),
        ({**SECRET, "port": "\u00b2".encode()}, "key port that is no port"),
        ({**SECRET, "port": b"70000"}, "key port that is no port"),
        ({**SECRET, "password": b"canary\xff"}, "key password that is not UTF-8"),
        ({**SECRET, "password": b"canary\0"}, "key password with a NUL"),
        ({**SECRET, "sslmode": b"prefer"}, "is none of disable, require, verify-ca, verify-full"),
    ],
)
async def test_a_secret_that_lacks_something_says_what(secret: dict[str, bytes], message: str):
    with pytest.raises(Unavailable, match=message) as caught:
        await endpoint(secret)

    assert "main" in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_a_secret_that_is_not_there_is_named():
    kube = SecretKube()
    with pytest.raises(Unavailable, match="there is no Secret platform/main-admin; create it"):
        await External(external_context(kube)).observe_server(server_ref())


async def test_a_bare_name_is_a_secret_of_the_operators_namespace(monkeypatch):
    monkeypatch.setenv("KUBERNETES_NAMESPACE", "operators")
    kube = SecretKube({("operators", "main-admin"): SECRET})
    made = External(external_context(kube, configured(secret="main-admin")))

    assert (await made.endpoint(server_ref(), STATE)).host == "db.example"
    assert kube.reads == [("operators", "main-admin")]


async def test_a_bare_name_without_a_namespace_says_what_to_write(monkeypatch):
    monkeypatch.delenv("KUBERNETES_NAMESPACE", raising=False)
    made = backend(servers=configured(secret="main-admin"))
    with pytest.raises(
        Unavailable, match=r"servers.main.secret has no namespace .* write namespace"
    ):
        await made.endpoint(server_ref(), STATE)


@pytest.mark.parametrize(
    ("namespace", "allowed"),
    [("team-a", ["team-*"]), ("team-a", ["x", "team-a"]), ("anything", ["*"])],
)
async def test_a_namespace_that_is_listed_may_use_the_server(namespace: str, allowed: list[str]):
    made = backend(servers=configured(allowed_namespaces=allowed))

    assert (await made.endpoint(server_ref(namespace), STATE)).host == "db.example"


@pytest.mark.parametrize(
    ("namespace", "options", "allowed"),
    [
        ("other", {"server": "main"}, ["team-*"]),
        ("team-a", {"server": "main"}, []),
        ("team-a", {"server": "main"}, ["team"]),
        ("TEAM-A", {"server": "main"}, ["team-a"]),
        ("team-a", {"server": "unknown"}, ["team-*"]),
    ],
)
async def test_every_other_namespace_is_refused_before_the_secret_is_read(
    namespace: str, options: dict[str, str], allowed: list[str]
):
    """M8, M13: and nobody learns which servers there are."""
    kube = SecretKube({("platform", "main-admin"): SECRET})
    made = External(external_context(kube, configured(allowed_namespaces=allowed)))
    with pytest.raises(Rejected, match=f"is open to namespace '{namespace}'") as caught:
        await made.observe_server(server_ref(namespace, **options))

    assert caught.value.field == "backendOptions.server"
    assert kube.reads == []


async def test_no_choice_is_refused():
    with pytest.raises(Rejected, match="must name a server"):
        await backend().observe_server(server_ref(other="main"))


@pytest.mark.parametrize("key", ["host", "port", "hostaddr", "sslmode", "secret", "ca"])
async def test_a_tenant_cannot_turn_the_login_to_another_host(key: str):
    """M13: nothing that a tenant writes reaches the connection."""
    found = await backend().endpoint(server_ref(server="main", **{key: "evil"}), STATE)

    assert "evil" not in repr(found)


def test_an_option_that_is_not_known_is_reported():
    spec = ServerSpec.model_validate(
        {"credentialsSecret": "login", "backendOptions": {"server": "main", "host": "evil"}}
    )
    problems = backend().server_spec_valid(spec)

    assert [(problem.field, problem.fallback) for problem in problems] == [
        ("backendOptions.host", "that alone")
    ]


async def test_the_admins_password_is_not_ours_to_change():
    with pytest.raises(Rejected, match="change the password there"):
        await backend().update_admin_password(server_ref(), STATE, ADMIN)


@pytest.mark.parametrize("policy", list(Policy))
async def test_deleting_leaves_the_server_alone_and_asks_nobody(policy: Policy):
    kube = SecretKube()
    made = External(external_context(kube))

    assert await made.delete_server(server_ref(), Absent(), policy) == Done()
    assert kube.reads == []


async def test_there_is_never_anything_to_do_for_a_server():
    made = backend()
    spec = ServerSpec.model_validate({"credentialsSecret": "login", "version": "12"})

    assert made.plan_server(server_ref(), spec, Absent()) == ()
    assert await made.create_or_update_server(server_ref(), (), ADMIN) == Done()


def test_the_admin_login_is_declared_to_be_private():
    capabilities = backend().capabilities

    assert capabilities.publishes_admin is False
    assert capabilities.server_fields == {"backendOptions"}
    assert capabilities.deletion_policies == set(Policy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"servers": {"a": {}}}, "secret"),
        ({"servers": {"a": {"secret": ""}}}, "secret"),
        ({"servers": {"a": {"secret": "a/b/c"}}}, "must be namespace/name, or a name"),
        ({"servers": {"a": {"secret": "/b"}}}, "must be namespace/name, or a name"),
        ({"servers": {"a": {"secret": "s", "port": 0}}}, "port"),
        ({"servers": {"a": {"secret": "s", "port": 65536}}}, "port"),
        ({"servers": {"a": {"secret": "s", "sslmode": "prefer"}}}, "sslmode"),
        ({"servers": {"a": {"secret": "s", "password": "x"}}}, "password"),
        ({"server": {}}, "server"),
    ],
)
def test_a_wrong_configuration_is_named(options: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        ExternalOptions.model_validate(options)


def test_a_server_is_open_to_nobody_unless_the_administrator_says_so():
    assert ExternalServer(secret="s").allowed_namespaces == ()


def test_options_of_another_backend_are_a_mistake_of_the_caller():
    context = BackendContext("external", LocalOptions(), SecretKube(), "cluster")
    with pytest.raises(TypeError, match="needs ExternalOptions"):
        External(context)


async def test_the_endpoint_does_not_show_the_login():
    assert "canary" not in repr(await endpoint())
