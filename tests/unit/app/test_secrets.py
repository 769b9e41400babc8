"""Secrets: owned by proof, written by name, changed only where they differ."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from hybridpg.app.errors import SecretConflict
from hybridpg.app.kinds import DATABASES, RETAINED_FROM
from hybridpg.app.secrets import CredentialsSecret, SecretStore, owned_by
from hybridpg.app.subject import Subject
from hybridpg.app.verification import PublishedSecret, PublishedSecrets
from hybridpg.backends import Denied, Unknown
from hybridpg.controller import (
    SECRETS,
    ApiError,
    Client,
    Conflict,
    MergePatch,
    ObjectKey,
    TransportError,
)
from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time

KEY = ObjectKey("default", "login")


def encode(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


class Fixture:
    def __init__(self) -> None:
        self.cluster = FakeCluster(seed=1)
        self.client = Client(self.cluster)
        self.published = PublishedSecrets()
        self.store = SecretStore(self.client, self.published)
        self.subject = subject("uid-1")

    async def stored(self) -> dict[str, Any]:
        return await self.client.get(SECRETS, KEY)

    async def foreign(self, **metadata: Any) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "login", **metadata},
            "data": {"password": encode("theirs")},
        }
        await self.client.create(SECRETS, body, namespace="default")

    def writes(self) -> int:
        return sum(r.method not in ("GET", "WATCH") for r in self.cluster.requests)


def subject(uid: str) -> Subject:
    metadata = {"namespace": "default", "name": "app", "uid": uid, "resourceVersion": "1"}
    return Subject(DATABASES, {"metadata": metadata})


@pytest.fixture
async def fix() -> Fixture:
    return Fixture()


async def test_absence_is_proven_by_a_404_only(fix: Fixture):
    assert await fix.store.read(fix.subject, "login") is None


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_an_error_is_not_an_absence(fix: Fixture, status: int):
    """D17."""
    fix.cluster.faults.error(status, "Any", method="GET", times=9)
    with pytest.raises(Denied if status == 403 else ApiError):
        await fix.store.read(fix.subject, "login")


async def test_a_lost_answer_is_not_an_absence(fix: Fixture):
    """D17."""
    fix.cluster.faults.lost_before(method="GET", times=9)
    with pytest.raises(TransportError):
        await fix.store.read(fix.subject, "login")


async def test_a_created_secret_is_owned_pending_and_readable(fix: Fixture):
    """D28."""
    await fix.store.create(fix.subject, "login", {"password": "pässword"})
    obj = await fix.stored()
    assert owned_by(obj, "uid-1")
    assert not owned_by(obj, "uid-2")
    assert obj["type"] == "Opaque"
    secret = await fix.store.read(fix.subject, "login")
    assert secret is not None
    assert secret.password == "pässword"
    assert not secret.active


async def test_a_secret_older_than_what_this_process_had_is_taken_at_the_second_answer_only(
    fix: Fixture,
):
    """T2: an old password would be set again on the server; a restored API server is right."""
    created = await fix.store.create(fix.subject, "login", {"password": "one"})
    newer = str(int(created.resource_version) + 1)
    kind, key = fix.subject.resource.kind, fix.subject.key
    fix.published.record(kind, key, PublishedSecret("default", "login", newer))
    with pytest.raises(Unknown, match="older version of secret default/login"):
        await fix.store.read(fix.subject, "login")
    assert await fix.store.read(fix.subject, "login") == created


@pytest.mark.parametrize(
    ("name", "version"), [("login", "0"), ("login", "opaque"), ("another", "99999999")]
)
async def test_a_secret_that_is_not_proven_older_is_taken(fix: Fixture, name: str, version: str):
    created = await fix.store.create(fix.subject, "login", {"password": "one"})
    known = PublishedSecret("default", name, version)
    fix.published.record(fix.subject.resource.kind, fix.subject.key, known)
    assert await fix.store.read(fix.subject, "login") == created


async def test_an_existing_secret_is_never_overwritten_by_a_create(fix: Fixture):
    """M4."""
    await fix.foreign()
    with pytest.raises(SecretConflict, match="default/login"):
        await fix.store.create(fix.subject, "login", {"password": "ours"})
    assert (await fix.stored())["data"] == {"password": encode("theirs")}


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({}, id="nobody's"),
        pytest.param(
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "x", "controller": True}
                ]
            },
            id="another's",
        ),
        pytest.param(
            {"ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "a", "uid": "uid-1"}]},
            id="not-the-controller",
        ),
        pytest.param(
            {"labels": {"app.kubernetes.io/managed-by": "hybridpg"}}, id="label-proves-nothing"
        ),
    ],
)
async def test_a_secret_without_our_reference_is_a_conflict(fix: Fixture, metadata: dict[str, Any]):
    """S12, D18."""
    await fix.foreign(**metadata)
    with pytest.raises(SecretConflict, match="does not belong"):
        await fix.store.read(fix.subject, "login")


async def test_publishing_the_same_again_writes_nothing(fix: Fixture):
    secret = await fix.store.create(fix.subject, "login", {"password": "a", "host": "h"})
    before = fix.writes()
    again = await fix.store.publish(secret, {"password": "a", "host": "h"})
    assert again == secret
    assert fix.writes() == before


async def test_publishing_repairs_ours_and_keeps_the_users_keys(fix: Fixture):
    """D20, D28."""
    await fix.store.create(fix.subject, "login", {"password": "a", "port": "1"})
    patch = {
        "data": {"mine": encode("x")},
        "metadata": {"labels": {"mine": "y"}, "annotations": {"mine": "z"}},
    }
    await fix.client.patch(SECRETS, KEY, MergePatch(patch))
    found = await fix.store.read(fix.subject, "login")
    assert found is not None
    await fix.store.publish(found, {"password": "b"}, annotations={"ours": "1"})
    obj = await fix.stored()
    assert obj["data"] == {"password": encode("b"), "mine": encode("x")}
    assert obj["metadata"]["labels"]["mine"] == "y"
    assert obj["metadata"]["annotations"]["mine"] == "z"
    assert obj["metadata"]["annotations"]["ours"] == "1"


async def test_a_stale_view_never_overwrites(fix: Fixture):
    secret = await fix.store.create(fix.subject, "login", {"password": "a"})
    await fix.client.patch(SECRETS, KEY, MergePatch({"data": {"password": encode("newer")}}))
    with pytest.raises(Conflict):
        await fix.store.publish(secret, {"password": "b"})
    assert (await fix.stored())["data"]["password"] == encode("newer")


async def test_a_removed_label_comes_back(fix: Fixture):
    secret = await fix.store.create(fix.subject, "login", {"password": "a"})
    await fix.client.patch(SECRETS, KEY, MergePatch({"metadata": {"labels": None}}))
    secret = CredentialsSecret(await fix.stored())
    await fix.store.publish(secret, {"password": "a"})
    assert (await fix.stored())["metadata"]["labels"]


async def test_a_released_secret_belongs_to_nobody_and_says_whose_it_was(fix: Fixture):
    await fix.store.create(fix.subject, "login", {"password": "a"})
    assert await fix.store.release(fix.subject, "login", "app")
    metadata = (await fix.stored())["metadata"]
    assert not metadata.get("ownerReferences")
    assert metadata["annotations"][RETAINED_FROM] == "app"


async def test_releasing_what_is_not_ours_touches_nothing(fix: Fixture):
    assert not await fix.store.release(fix.subject, "login", "app")
    await fix.foreign()
    before = fix.writes()
    assert not await fix.store.release(fix.subject, "login", "app")
    assert fix.writes() == before


@pytest.mark.parametrize(
    ("adopting", "taken"), [("app", True), ("other", False), ("", False)], ids=str
)
async def test_a_retained_secret_is_taken_over_by_its_exact_name(
    fix: Fixture, adopting: str, taken: bool
):
    await fix.store.create(fix.subject, "login", {"password": "kept"})
    await fix.store.release(fix.subject, "login", "app")
    heir = subject("uid-2")
    if not taken:
        with pytest.raises(SecretConflict):
            await fix.store.read(heir, "login", adopting=adopting)
        return
    secret = await fix.store.read(heir, "login", adopting=adopting)
    assert secret is not None
    assert secret.password == "kept"
    assert not secret.active  # its password is tried again before it counts
    assert owned_by(secret.obj, "uid-2")
    assert RETAINED_FROM not in secret.annotations


async def test_a_foreign_secret_is_not_adopted_whatever_is_named(fix: Fixture):
    """M5."""
    await fix.foreign()
    with pytest.raises(SecretConflict):
        await fix.store.read(fix.subject, "login", adopting="app")


async def test_a_former_secret_is_deleted_only_as_it_was_read(fix: Fixture):
    secret = await fix.store.create(fix.subject, "login", {"password": "a"})
    await fix.client.patch(SECRETS, KEY, MergePatch({"data": {"mine": encode("x")}}))
    with pytest.raises(Conflict):
        await fix.store.remove_renamed(fix.subject, secret)
    await fix.store.remove_renamed(fix.subject, CredentialsSecret(await fix.stored()))
    assert await fix.store.read(fix.subject, "login") is None


@pytest.mark.parametrize(
    "value", ["", "%%%", base64.b64encode(b"\xff\xfe").decode()], ids=["empty", "rubbish", "bytes"]
)
async def test_an_unreadable_password_counts_as_missing(fix: Fixture, value: str):
    """D19."""
    obj = {"metadata": {"name": "login"}, "data": {"password": value}}
    assert CredentialsSecret(obj).password is None


async def test_a_secret_never_shows_in_a_repr(fix: Fixture):
    secret = await fix.store.create(fix.subject, "login", {"password": "topsecret"})
    assert "topsecret" not in repr(secret)
    assert encode("topsecret") not in repr(secret)
    assert "topsecret" not in repr(secret.password)
