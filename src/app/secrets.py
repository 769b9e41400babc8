"""Credentials Secrets in Kubernetes: read three-valued, owned by proof, changed by name only.

A Secret that this object does not own is never read for its password, written or deleted.
Secrets are got, created and patched; never listed or watched, so that the controller needs no
right to read everybody's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..backends import Password, Unknown
from ..controller import (
    SECRETS,
    AlreadyExists,
    Client,
    JsonObject,
    MergePatch,
    NotFound,
    ObjectKey,
    controller_reference,
)
from .connection_keys import NEXT_PASSWORD, OUR_KEYS
from .errors import SecretConflict
from .kinds import MANAGED_BY, RETAINED_FROM, SECRET_ROTATION, SECRET_STATE
from .secret_refusals import refusals_named
from .subject import Subject
from .verification import PublishedSecret, PublishedSecrets

PENDING = "pending"
ACTIVE = "active"


@dataclass(frozen=True, slots=True, repr=False)
class CredentialsSecret:
    """One Secret of ours as it was read; its ``repr`` shows the name alone."""

    obj: JsonObject

    def __repr__(self) -> str:
        """Show the name alone: the rest is secret."""
        return f"CredentialsSecret({self.name!r})"

    @property
    def name(self) -> str:
        """The name of the Secret."""
        return str(self.obj["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The UID of the Secret."""
        return str(self.obj["metadata"]["uid"])

    @property
    def resource_version(self) -> str:
        """The version that was read."""
        return str(self.obj["metadata"]["resourceVersion"])

    @property
    def created(self) -> str:
        """When the Secret was made, in RFC 3339."""
        return str(self.obj["metadata"].get("creationTimestamp") or "")

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations."""
        return self.obj["metadata"].get("annotations") or {}

    @property
    def active(self) -> bool:
        """Whether its password logged in once."""
        return self.annotations.get(SECRET_STATE) == ACTIVE

    @property
    def rotation(self) -> str:
        """The id of the newest reset that reached this Secret."""
        return self.annotations.get(SECRET_ROTATION, "")

    @property
    def password(self) -> Password | None:
        """The published password; None where the key is missing or unreadable."""
        return self._secret("password")

    @property
    def next_password(self) -> Password | None:
        """The password of a reset under way."""
        return self._secret(NEXT_PASSWORD)

    def value(self, key: str) -> str | None:
        """Return one decoded value; None where it is missing or not base64 of UTF-8."""
        encoded = (self.obj.get("data") or {}).get(key)
        try:
            return None if encoded is None else base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None

    def _secret(self, key: str) -> Password | None:
        value = self.value(key)
        # everything that speaks C would cut the password at a NUL, down to an empty one
        return Password(value) if value and "\0" not in value else None


class SecretStore:
    """Reads and writes the credentials Secrets of our objects.

    Every method raises ``Denied`` where the controller lacks a right, and ``SecretRefused`` where
    the API server does not take a Secret; the messages say what to do.
    """

    def __init__(self, client: Client, published: PublishedSecrets) -> None:
        self._client = client
        self._published = published

    async def read(
        self, subject: Subject, name: str, *, adopting: str = ""
    ) -> CredentialsSecret | None:
        """Return the Secret, or None where it is proven absent.

        ``adopting`` is the external name of a retained thing that the user handed over: its
        Secret, which has no owner since, is then taken over with it.

        Raises:
            SecretConflict: the Secret belongs to somebody else.
            Unknown: what was read is older than what we know.
            ApiError, TransportError: no clear answer; nothing may be concluded.
        """
        secret = await self.find(subject, name, adopting=adopting)
        if secret is None or self.owns(subject, secret):
            return secret
        return await self._take_over(subject, secret)

    async def find(
        self, subject: Subject, name: str, *, adopting: str = ""
    ) -> CredentialsSecret | None:
        """Return the Secret as :meth:`read` does, but take nothing over: it may not be ours yet.

        Raises:
            SecretConflict: the Secret belongs to somebody else.
            Unknown: what was read is older than what we know.
            ApiError, TransportError: no clear answer; nothing may be concluded.
        """
        obj = await self._get(subject.namespace, name)
        if obj is None:
            return None
        self._refuse_older(subject, obj)
        if owned_by(obj, subject.uid) or (adopting and _retained_for(obj, adopting)):
            return CredentialsSecret(obj)
        raise SecretConflict(
            f"secret {subject.namespace}/{name} exists and does not belong to this object; "
            f"name another one in spec.credentialsSecret or delete it"
        )

    def _refuse_older(self, subject: Subject, obj: JsonObject) -> None:
        """Take no answer that is older than what this process wrote or read before.

        An old password would be refused by the server and set again there, and the published one
        would log in no more. It is asked for once more: an API server that was restored from a
        backup says the same again, and is right.
        """
        read = PublishedSecret(
            subject.namespace, obj["metadata"]["name"], str(obj["metadata"]["resourceVersion"])
        )
        if self._published.is_older(subject.resource.kind, read, subject.key):
            self._published.forget(subject.resource.kind, subject.key)
            raise Unknown(
                f"the API server answered with an older version of secret "
                f"{read.namespace}/{read.name} than it had; it is read again"
            )

    def owns(self, subject: Subject, secret: CredentialsSecret) -> bool:
        """Return whether a Secret belongs to an object by proof."""
        return owned_by(secret.obj, subject.uid)

    async def create(
        self, subject: Subject, name: str, values: Mapping[str, str], *, rotation: str = ""
    ) -> CredentialsSecret:
        """Create the Secret, owned and ``pending``; an existing one is never overwritten."""
        annotations = {SECRET_STATE: PENDING} | ({SECRET_ROTATION: rotation} if rotation else {})
        body: JsonObject = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {
                "name": name,
                "namespace": subject.namespace,
                "labels": dict([MANAGED_BY]),
                "annotations": annotations,
                "ownerReferences": [controller_reference(subject.resource, subject.obj)],
            },
            "data": _encode(values),
        }
        try:
            with refusals_named("create", subject.namespace, name):
                created = await self._client.create(SECRETS, body, namespace=subject.namespace)
        except AlreadyExists as error:
            raise SecretConflict(
                f"secret {subject.namespace}/{name} appeared while it was being created; "
                f"it is read again"
            ) from error
        return CredentialsSecret(created)

    async def publish(
        self,
        secret: CredentialsSecret,
        values: Mapping[str, str],
        *,
        annotations: Mapping[str, str] | None = None,
    ) -> CredentialsSecret:
        """Make our keys, label and annotations as given; keys of others stay; no change, no write.

        A key of ours that is not in ``values`` is removed.
        """
        patch = _difference(secret, values, annotations or {})
        if not patch:
            return secret
        return await self._patch(secret, patch)

    async def release(self, subject: Subject, name: str, external_name: str) -> bool:
        """Take our ownership off, so that the Secret outlives the object; False where none is."""
        obj = await self._get(subject.namespace, name)
        if obj is None or not owned_by(obj, subject.uid):
            return False
        others = [o for o in obj["metadata"]["ownerReferences"] if o["uid"] != subject.uid]
        metadata = {"ownerReferences": others, "annotations": {RETAINED_FROM: external_name}}
        await self._patch(CredentialsSecret(obj), {"metadata": metadata})
        return True

    async def remove_renamed(self, subject: Subject, secret: CredentialsSecret) -> None:
        """Delete the former Secret of a renamed ``credentialsSecret``, exactly as it was read."""
        key = ObjectKey(subject.namespace, secret.name)
        with refusals_named("delete", key.namespace, key.name):
            await self._client.delete(
                SECRETS, key, uid=secret.uid, resource_version=secret.resource_version
            )

    async def _get(self, namespace: str, name: str) -> JsonObject | None:
        try:
            with refusals_named("get", namespace, name):
                return await self._client.get(SECRETS, ObjectKey(namespace, name))
        except NotFound:
            return None

    async def _take_over(self, subject: Subject, secret: CredentialsSecret) -> CredentialsSecret:
        metadata = {
            "ownerReferences": [controller_reference(subject.resource, subject.obj)],
            "annotations": {RETAINED_FROM: None, SECRET_STATE: PENDING},
        }
        return await self._patch(secret, {"metadata": metadata})

    async def _patch(self, secret: CredentialsSecret, patch: JsonObject) -> CredentialsSecret:
        key = ObjectKey(str(secret.obj["metadata"]["namespace"]), secret.name)
        metadata = {**patch.get("metadata", {}), "resourceVersion": secret.resource_version}
        body = MergePatch({**patch, "metadata": metadata})
        with refusals_named("patch", key.namespace, key.name):
            return CredentialsSecret(await self._client.patch(SECRETS, key, body))


def owned_by(obj: JsonObject, uid: str) -> bool:
    """Return whether the controller reference of an object is the one of ``uid``."""
    references = obj["metadata"].get("ownerReferences") or []
    return any(o.get("uid") == uid and o.get("controller") for o in references)


def _retained_for(obj: JsonObject, external_name: str) -> bool:
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    return not metadata.get("ownerReferences") and annotations.get(RETAINED_FROM) == external_name


def _encode(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def _difference(
    secret: CredentialsSecret, values: Mapping[str, str], annotations: Mapping[str, str]
) -> JsonObject:
    stored: Mapping[str, str] = secret.obj.get("data") or {}
    encoded = _encode(values)
    data: dict[str, str | None] = {k: v for k, v in encoded.items() if stored.get(k) != v}
    data |= dict.fromkeys(k for k in OUR_KEYS - encoded.keys() if k in stored)
    marks = {k: v for k, v in annotations.items() if secret.annotations.get(k) != v}
    label, value = MANAGED_BY
    labels = secret.obj["metadata"].get("labels") or {}
    metadata: dict[str, Any] = {}
    if marks:
        metadata["annotations"] = marks
    if labels.get(label) != value:
        metadata["labels"] = {label: value}
    return ({"data": data} if data else {}) | ({"metadata": metadata} if metadata else {})
