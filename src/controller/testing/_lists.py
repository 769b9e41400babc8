"""Lists: which moment, which objects, which page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..types import JsonObject, ObjectKey
from ._kinds import Kind
from ._request import Call
from ._selectors import Match, field_selector, label_selector
from ._status import (
    Cause,
    StatusError,
    bad_request,
    expired,
    forbidden_value,
    invalid_options,
    unsupported,
)
from ._storage import Storage

EXACT: Final = "Exact"
NOT_OLDER: Final = "NotOlderThan"
FORMAT: Final = "meta.k8s.io/v1"
NEWEST: Final = -1
"""The version in a token that goes on with whatever is there now."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query of a list or watch, checked."""

    resource_version: str
    match: str
    limit: int
    token: str
    timeout: int | None
    bookmarks: bool
    send_initial: bool | None
    matches: Match
    selective: bool


def list_options(call: Call, *, watch: bool = False) -> ListOptions:
    """Read the options of a list or watch.

    Errors: 400 and 422 as the server gives them for values that make no sense.
    """
    query = call.query
    send_initial = call.flag("sendInitialEvents") if "sendInitialEvents" in query else None
    options = ListOptions(
        resource_version=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        limit=_integer(query, "limit"),
        token=query.get("continue", ""),
        timeout=_integer(query, "timeoutSeconds") or None,
        bookmarks=call.flag("allowWatchBookmarks"),
        send_initial=send_initial,
        matches=_matcher(query, call.target.kind),
        selective=bool(query.get("labelSelector") or query.get("fieldSelector")),
    )
    if watch:
        _check_watch(options)
    else:
        _check_list(options)
    return options


def _integer(query: Mapping[str, str], name: str) -> int:
    value = query.get(name, "")
    try:
        return int(value or 0)
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax') from error


def _matcher(query: Mapping[str, str], kind: Kind) -> Match:
    labels = label_selector(query.get("labelSelector", ""))
    fields = field_selector(query.get("fieldSelector", ""), kind)
    return lambda obj: labels(obj) and fields(obj)


def _check_watch(options: ListOptions) -> None:
    match, causes = options.match, []
    if options.send_initial is not None and match != NOT_OLDER:
        problem = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        causes.append(forbidden_value("resourceVersionMatch", problem))
    if match and options.send_initial is None:
        problem = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        causes.append(forbidden_value("resourceVersionMatch", problem))
    if match and match != NOT_OLDER:
        causes.append(unsupported("resourceVersionMatch", match, (NOT_OLDER,)))
    # a watch of whatever is there is one with initial events, in the server's eyes
    if options.token and (match or options.resource_version in ("", "0")):
        causes.append(_with_token())
    if causes:
        raise invalid_options("ListOptions", *causes)
    if options.resource_version and not options.resource_version.isdigit():
        problem = f'strconv.ParseUint: parsing "{options.resource_version}": invalid syntax'
        text = f'resourceVersion: Invalid value: "{options.resource_version}": {problem}'
        raise StatusError(500, "", text)


def _with_token() -> Cause:
    problem = "resourceVersionMatch is forbidden when continue is provided"
    return forbidden_value("resourceVersionMatch", problem)


def _check_list(options: ListOptions) -> None:
    version = options.resource_version
    causes = list(_match_causes(options)) if options.match else []
    if options.send_initial is not None:
        problem = "sendInitialEvents is forbidden for list"
        causes.append(forbidden_value("sendInitialEvents", problem))
    if causes:
        raise invalid_options("ListOptions", *causes)
    if version and not version.isdigit():
        problem = f'strconv.ParseUint: parsing "{version}": invalid syntax'
        text = f'resourceVersion: Invalid value: "{version}": {problem}'
        raise bad_request(f"invalid resource version: {text}")
    if options.token and version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")


def _match_causes(options: ListOptions) -> Iterator[Cause]:
    version, match = options.resource_version, options.match
    if not version:
        problem = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        yield forbidden_value("resourceVersionMatch", problem)
    if options.token:
        yield _with_token()
    if match not in (EXACT, NOT_OLDER):
        yield unsupported("resourceVersionMatch", match, (EXACT, NOT_OLDER, ""))
    if match == EXACT and version == "0":
        problem = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        yield forbidden_value("resourceVersionMatch", problem)


def list_objects(storage: Storage, call: Call) -> tuple[list[JsonObject], JsonObject]:
    """Return the objects of a page as they are shown, and the metadata of the list."""
    options = list_options(call)
    kind = call.target.kind
    version, start = _moment(storage, options)
    if version == storage.version:
        entries = list(storage.items(kind.stored_as))
    else:
        entries = storage.at(kind.stored_as, version)
    place = call.target.namespace
    shown = [
        (key, kind.show(obj))
        for key, obj in entries
        if (not place or key.namespace == place) and (start is None or key > start)
    ]
    if options.selective:
        shown = [(key, obj) for key, obj in shown if options.matches(obj)]
    return _page(shown, options, version)


def _page(
    entries: list[tuple[ObjectKey, JsonObject]], options: ListOptions, version: int
) -> tuple[list[JsonObject], JsonObject]:
    meta: JsonObject = {"resourceVersion": str(version)}
    # a list "at any version" comes from the cache, which knows no pages
    limit = 0 if options.resource_version == "0" and not options.token else options.limit
    if 0 < limit < len(entries):
        rest = len(entries) - limit
        entries = entries[:limit]
        meta["continue"] = _token(version, entries[-1][0])
        if not options.selective:
            meta["remainingItemCount"] = rest
    return [obj for _, obj in entries], meta


def _moment(storage: Storage, options: ListOptions) -> tuple[int, ObjectKey | None]:
    """Return the version that is listed, and the key after which the page starts."""
    if options.token:
        version, start = _parse_token(options.token)
        if version == NEWEST:
            return storage.version, start
        if version < storage.compacted:
            raise _expired_token(start)
        return min(version, storage.version), start
    wanted = int(options.resource_version or 0)
    if wanted > storage.version:
        raise too_large(wanted, storage.version)
    exact = options.match == EXACT or (wanted and options.limit > 0 and not options.match)
    if not exact:
        return storage.version, None
    if wanted < storage.compacted:
        raise expired("The resourceVersion for the provided list is too old.")
    return wanted, None


def too_large(wanted: int, current: int) -> StatusError:
    """504: a version from the future."""
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details: JsonObject = {"causes": [cause], "retryAfterSeconds": 1}
    return StatusError(504, "Timeout", message, details, {"retry-after": "1"})


def _expired_token(start: ObjectKey) -> StatusError:
    return expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted between "
        "the time the first chunk was returned and now may show up in the list.",
        continue_token=_token(NEWEST, start),
    )


def _token(version: int, last: ObjectKey) -> str:
    fields = {"v": FORMAT, "rv": version, "start": f"{last.namespace}/{last.name}\0"}
    raw = json.dumps(fields, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _parse_token(token: str) -> tuple[int, ObjectKey]:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        fields: Any = json.loads(raw)
        namespace, _, name = fields["start"].rstrip("\0").partition("/")
        return int(fields["rv"]), ObjectKey(namespace, name)
    except (ValueError, KeyError, TypeError) as error:
        problem = f"continue key is not valid: {error}"
        raise bad_request(f"invalid continue token: {problem}") from error
