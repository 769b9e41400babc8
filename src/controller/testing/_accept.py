"""``Accept``: in which form a client wants its objects: whole, as a table, or metadata alone."""

from __future__ import annotations

from typing import Final, NamedTuple

from ..types import JsonObject
from ._kinds import Kind
from ._status import StatusError

TABLE: Final = "Table"
PARTIAL: Final = "PartialObjectMetadata"
PARTIAL_LIST: Final = "PartialObjectMetadataList"
GROUP: Final = "meta.k8s.io"
VERSIONS: Final = ("v1", "v1beta1")
MEDIA: Final = ("application/json", "application/*", "*/*")
SERVED: Final = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
STREAMED: Final = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"


class Form(NamedTuple):
    """How objects are shown; without ``name`` they are shown whole."""

    name: str = ""
    version: str = ""

    @property
    def api_version(self) -> str:
        """The apiVersion of the form itself."""
        return f"{GROUP}/{self.version}"


WHOLE: Final = Form()


def form_of(accept: str) -> Form:
    """Return the first form that is served of those which a client accepts.

    Errors: 406 where none of them is.
    """
    known = False
    for clause in accept.split(",") if accept.strip() else ("*/*",):
        media, *parameters = [part.strip() for part in clause.split(";")]
        if media not in MEDIA:
            continue
        known = True
        form = _form(dict(part.split("=", 1) for part in parameters if "=" in part))
        if form is not None:
            return form
    raise _refused() if known else _unknown()


def _form(parameters: dict[str, str]) -> Form | None:
    name = parameters.get("as", "")
    if not name:
        return WHOLE
    served = name in (TABLE, PARTIAL, PARTIAL_LIST) and parameters.get("v") in VERSIONS
    if not served or parameters.get("g") != GROUP:
        return None
    return Form(name, parameters["v"])


def _refused() -> StatusError:
    message = f"only the following media types are accepted: {SERVED}"
    return StatusError(406, "NotAcceptable", message)


def _unknown() -> StatusError:
    message = f"406: Not Acceptable\n\nAvailable representations: {SERVED}, {STREAMED}"
    return StatusError(406, "NotAcceptable", message, {})


def partial(obj: JsonObject, form: Form) -> JsonObject:
    """Return an object's metadata alone."""
    return {"kind": PARTIAL, "apiVersion": form.api_version, "metadata": obj["metadata"]}


def partial_list(body: JsonObject, form: Form) -> JsonObject:
    """Return a list of the metadata of its items."""
    return {
        "kind": PARTIAL_LIST,
        "apiVersion": form.api_version,
        "metadata": body["metadata"],
        "items": [partial(item, form) for item in body["items"]],
    }


def check_partial(form: Form, kind: Kind, *, listed: bool) -> None:
    """Refuse the form of a list for an object, and the other way round, as the server does."""
    if form.name == PARTIAL and listed:
        problem = f"the requested object is a list ({_go_name(kind)}List)"
    elif form.name == PARTIAL_LIST and not listed:
        if kind.custom:
            raise StatusError(500, "", "content is not a list")
        problem = f"the requested object is not a list ({_go_name(kind)})"
    else:
        return
    raise StatusError(406, "NotAcceptable", f"you requested {form.name}, but {problem}")


def _go_name(kind: Kind) -> str:
    """Return the server's own type, which its refusals name."""
    if kind.custom:
        return "*unstructured.Unstructured"
    group = kind.stored_as[0].split(".")[0] or "core"
    return f"*{group}.{kind.resource.kind}"
