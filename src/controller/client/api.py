"""The Kubernetes API: get, list, watch and the writes, over any transport.

Objects go in and out as plain JSON. There are no model classes: they cost more than the rest of
the request, and a custom resource has none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, TypeAlias

import msgspec

from ..decode import ListPage, decode_list
from ..fence import check_work
from ..protocols import Response, Transport
from ..types import Headers, JsonObject, ObjectKey, Query, Resource
from .patch import ApplyPatch, Patch
from .paths import collection_path, object_path, query
from .status import checked, json_object

JSON_TYPE: Final = "application/json"
ACCEPT: Final = ("accept", JSON_TYPE)
_METADATA: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
"""Falls back to whole objects: not every aggregated API server can cut them down."""
METADATA: Final = ("accept", _METADATA.format(""))
METADATA_LIST: Final = ("accept", _METADATA.format("List"))
Lines: TypeAlias = list[bytes]
Parameters: TypeAlias = dict[str, str | int | bool | None]


class Client:
    """Requests to one API server.

    Errors: every method raises :class:`~..errors.ApiError` for an answer that is an error,
    :class:`~..errors.TransportError` where no answer came and :class:`~..errors.DecodeError` for
    an answer that is no answer of an API server. A write that ends with a ``TransportError`` or a
    ``ServerError`` may have been carried out.
    """

    def __init__(self, transport: Transport, *, field_manager: str = "hybridpg") -> None:
        self._transport = transport
        self._field_manager = field_manager

    @property
    def transport(self) -> Transport:
        """What the requests go through."""
        return self._transport

    def over(self, transport: Transport) -> Client:
        """Return the same client over another transport, usually one that wraps this one's."""
        return Client(transport, field_manager=self._field_manager)

    async def get(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        subresource: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> JsonObject:
        """Read one object from the API server, not from a cache of ours.

        With ``resource_version`` it is at least as new as that, and may come from the server's own
        cache: with ``"0"`` it may be of any age, and costs etcd nothing. ``metadata_only`` reads it
        as a ``PartialObjectMetadata``: without spec, status and data.
        """
        path = object_path(resource, key, subresource)
        accept = METADATA if metadata_only else ACCEPT
        asked = query({"resourceVersion": resource_version})
        return json_object(await self._send("GET", path, query=asked, accept=accept))

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int | None = None,
        continue_token: str = "",
        resource_version: str | None = None,
        resource_version_match: str = "",
        metadata_only: bool = False,
    ) -> ListPage:
        """Read one page of the objects of a kind, of one namespace or of all.

        ``resource_version`` None reads what is newest (at quorum), "0" whatever is cached. A
        page after the first takes the ``continue_token`` of the one before, and neither
        ``resource_version`` nor its match. With ``metadata_only`` the items have no spec, status
        or data.
        """
        parameters: Parameters = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": limit,
            "continue": continue_token,
            "resourceVersion": resource_version,
            "resourceVersionMatch": resource_version_match,
        }
        path = collection_path(resource, namespace)
        accept = METADATA_LIST if metadata_only else ACCEPT
        response = await self._send("GET", path, query=query(parameters), accept=accept)
        return decode_list(checked(response).body)

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int,
        bookmarks: bool = True,
        send_initial_events: bool = False,
        metadata_only: bool = False,
    ) -> AsyncIterator[Lines]:
        """Follow the changes of a kind: the raw lines of the events, one list per read.

        ``send_initial_events`` streams the list first (which needs bookmarks). The stream ends
        by itself after ``timeout_seconds``; close the iterator to end it earlier. With
        ``metadata_only`` the objects have no spec, status or data.
        """
        parameters: Parameters = {
            "watch": True,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": resource_version,
            "allowWatchBookmarks": bookmarks,
            "timeoutSeconds": timeout_seconds,
        }
        if send_initial_events:
            parameters["sendInitialEvents"] = True
            parameters["resourceVersionMatch"] = "NotOlderThan"
        path = collection_path(resource, namespace)
        headers: Headers = [METADATA] if metadata_only else ()
        return self._transport.stream(path, query=query(parameters), headers=headers)

    async def create(
        self,
        resource: Resource,
        obj: JsonObject,
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        """Create an object and return it as stored; ``AlreadyExists`` if the name is taken.

        With ``name`` and ``subresource`` the object is created below an existing one, as the
        token of a service account or the eviction of a pod is. ``dry_run``, here and at the
        other writes: the server validates and answers, and stores nothing.
        """
        if subresource:
            path = object_path(resource, ObjectKey(namespace, name), subresource)
        elif resource.namespaced and not namespace:
            raise ValueError(f"a new object of {resource} needs a namespace")
        else:
            path = collection_path(resource, namespace)
        body = msgspec.json.encode(obj)
        return json_object(await self._write("POST", path, body, dry_run=dry_run))

    async def update(
        self,
        resource: Resource,
        key: ObjectKey,
        obj: JsonObject,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        """Replace an object and return it as stored.

        With ``metadata.resourceVersion`` in the object, ``Conflict`` where it has changed since.
        """
        path = object_path(resource, key, subresource)
        body = msgspec.json.encode(obj)
        return json_object(await self._write("PUT", path, body, dry_run=dry_run))

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        patch: Patch,
        *,
        subresource: str = "",
        dry_run: bool = False,
        field_manager: str = "",
    ) -> JsonObject:
        """Change a part of an object and return the whole as stored.

        ``field_manager`` is the client's by default; parts of a program that apply to the same
        objects need names of their own.
        """
        path = object_path(resource, key, subresource)
        force = isinstance(patch, ApplyPatch) and patch.force
        response = await self._write(
            "PATCH",
            path,
            patch.encode(),
            content_type=patch.content_type,
            force=force,
            dry_run=dry_run,
            field_manager=field_manager,
        )
        return json_object(response)

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
        dry_run: bool = False,
    ) -> None:
        """Delete an object; it stays, marked, as long as it has finalizers.

        ``uid`` and ``resource_version`` are preconditions: ``Conflict`` where another object of
        that name, or another state of it, is found. ``propagation`` says what happens to the
        objects that it owns: ``Background``, ``Foreground`` or ``Orphan``.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {name: value for name, value in preconditions.items() if value}
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            options["preconditions"] = preconditions
        if propagation:
            options["propagationPolicy"] = propagation
        if dry_run:
            options["dryRun"] = ["All"]
        path = object_path(resource, key)
        checked(await self._send("DELETE", path, body=msgspec.json.encode(options)))

    def check(self, what: str) -> None:
        """Refuse work elsewhere that only who may write through this client may do.

        To be called right before each step of it, in whatever thread, because a process may stand
        still between any two. Never refuses where no lease guards the client.

        Errors: :class:`~..errors.LeaseLost` naming the work.
        """
        check_work(self._transport, what)

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    async def _write(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        content_type: str = JSON_TYPE,
        force: bool = False,
        dry_run: bool = False,
        field_manager: str = "",
    ) -> Response:
        parameters: Parameters = {
            "fieldManager": field_manager or self._field_manager,
            "fieldValidation": "Strict",  # an unknown field is an error, not silently dropped
            "force": force,
            "dryRun": "All" if dry_run else "",
        }
        return await self._send(
            method, path, query=query(parameters), body=body, content_type=content_type
        )

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes | None = None,
        content_type: str = JSON_TYPE,
        accept: tuple[str, str] = ACCEPT,
    ) -> Response:
        headers = [accept] if body is None else [accept, ("content-type", content_type)]
        return await self._transport.request(method, path, query=query, headers=headers, body=body)
