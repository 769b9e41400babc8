"""The API server's refusals: ``Status`` objects in the wording that clients know.

A client reads the reason and the HTTP status, a person reads the message; tests compare both with
a real server, so every sentence here is the server's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..types import JsonObject, Resource

CAUSES: Final = {
    "Invalid value": "FieldValueInvalid",
    "Required value": "FieldValueRequired",
    "Unsupported value": "FieldValueNotSupported",
    "Duplicate value": "FieldValueDuplicate",
    "Forbidden": "FieldValueForbidden",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with an object: ``field: problem``."""

    field: str
    message: str
    reason: str = ""

    def as_json(self) -> JsonObject:
        """Return the entry of ``details.causes``."""
        reason = self.reason or CAUSES.get(self.message.split(":", 1)[0], "FieldValueInvalid")
        return {"reason": reason, "message": self.message, "field": self.field}


@dataclass(slots=True)
class StatusError(Exception):
    """A request is refused; ``body`` is the Status object that the client is given."""

    status: int
    reason: str
    message: str
    details: JsonObject | None = None
    headers: dict[str, str] = field(default_factory=dict)
    metadata: JsonObject = field(default_factory=dict)

    @property
    def body(self) -> JsonObject:
        """Return the ``Status`` object."""
        body: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.status}


def shown(value: Any) -> str:
    """Return a value as the server quotes it in messages."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def invalid_value(field_path: str, value: Any, problem: str, reason: str = "") -> Cause:
    """Return ``Invalid value: "x": problem``."""
    return Cause(field_path, f"Invalid value: {shown(value)}: {problem}", reason)


def required(field_path: str, hint: str = "") -> Cause:
    """Return ``Required value``, with a hint where the server gives one."""
    return Cause(field_path, f"Required value: {hint}" if hint else "Required value")


def unsupported(field_path: str, value: Any, allowed: Sequence[Any]) -> Cause:
    """Return ``Unsupported value`` with the values that are supported."""
    names = ", ".join(shown(item if isinstance(item, str) else shown(item)) for item in allowed)
    return Cause(field_path, f"Unsupported value: {shown(value)}: supported values: {names}")


def forbidden_value(field_path: str, problem: str) -> Cause:
    """Return ``Forbidden: problem``."""
    return Cause(field_path, f"Forbidden: {problem}")


def details_of(resource: Resource, name: str = "") -> JsonObject:
    """Return the details object that names a resource."""
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in details.items() if value}


def not_found(resource: Resource, name: str) -> StatusError:
    """404 for one object."""
    message = f'{resource} "{name}" not found'
    return StatusError(404, "NotFound", message, details_of(resource, name))


def already_exists(resource: Resource, name: str) -> StatusError:
    """409 for a create."""
    message = f'{resource} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, details_of(resource, name))


def conflict(resource: Resource, name: str, problem: str, *, by_kind: bool = False) -> StatusError:
    """409 for an update; preconditions of a delete name the kind, everything else the plural."""
    details = details_of(resource, name)
    subject = str(resource)
    if by_kind:
        details["kind"] = resource.kind
        subject = kind_name(resource)
    message = f'Operation cannot be fulfilled on {subject} "{name}": {problem}'
    return StatusError(409, "Conflict", message, details)


def modified(resource: Resource, name: str) -> StatusError:
    """409 for a stale resourceVersion."""
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version "
        "and try again",
    )


def kind_name(resource: Resource) -> str:
    """Return ``Kind.group``, the name that messages about invalid objects use."""
    return f"{resource.kind}.{resource.group}" if resource.group else resource.kind


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """422 with one or more causes."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    subject = f"{kind}.{group}" if group else kind
    details = {"name": name, "group": group, "kind": kind}
    shown_details: JsonObject = {key: value for key, value in details.items() if value}
    shown_details["causes"] = [cause.as_json() for cause in causes]
    return StatusError(422, "Invalid", f'{subject} "{name}" is invalid: {listed}', shown_details)


def invalid_object(resource: Resource, name: str, causes: Sequence[Cause]) -> StatusError:
    """422 for an object of a resource."""
    return invalid(resource.kind, resource.group, name, causes)


def invalid_options(kind: str, *causes: Cause) -> StatusError:
    """422 for query options such as ``ListOptions``."""
    return invalid(kind, "meta.k8s.io", "", causes)


def bad_request(message: str) -> StatusError:
    """400: the request cannot be understood."""
    return StatusError(400, "BadRequest", message)


def forbidden(
    resource: Resource, name: str, problem: str, cause: Cause | None = None
) -> StatusError:
    """403 by policy of the server, not by rights of the client."""
    details = details_of(resource, name)
    if cause is not None:
        details["causes"] = [cause.as_json()]
    return StatusError(403, "Forbidden", f'{resource} "{name}" is forbidden: {problem}', details)


def expired(message: str, *, continue_token: str = "") -> StatusError:
    """410: the asked-for moment is no longer known."""
    metadata = {"continue": continue_token} if continue_token else {}
    return StatusError(410, "Expired", message, metadata=metadata)


def method_not_allowed() -> StatusError:
    """405: the path exists, the method does not."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, {})


def unsupported_media(accepted: Sequence[str]) -> StatusError:
    """415 with the media types that would do."""
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return StatusError(415, "UnsupportedMediaType", message)
