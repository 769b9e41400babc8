"""The differences between a spec and a server of this machine; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...crds import ServerSpec
from ..errors import Conflict
from ..values import (
    Absent,
    Change,
    Observed,
    Refused,
    ServerRef,
)
from .installations import Installation, Installations
from .state import LocalState
from .wanted import NOTHING, Refusals, Wishes

PARAMETERS = "serverParameters"


@dataclass(frozen=True, slots=True)
class Create(Change):
    """Make the server, or go on making it."""

    major: int
    settings: Mapping[str, str] = field(default_factory=dict)
    storage_gb: int = 0


@dataclass(frozen=True, slots=True)
class TakeOver(Change):
    """Put our mark on a server that the user named for adoption."""


@dataclass(frozen=True, slots=True)
class Start(Change):
    """Start the server."""


@dataclass(frozen=True, slots=True)
class Restart(Change):
    """Restart the server to run a newer minor version."""


@dataclass(frozen=True, slots=True)
class MakeAdmin(Change):
    """Make the published admin's role."""


@dataclass(frozen=True, slots=True)
class Configure(Change):
    """Bring settings into effect, by a reload or a restart as they need."""

    settings: Mapping[str, str] = field(default_factory=dict)
    retried: frozenset[tuple[str, str]] = frozenset()
    """Names and values that were refused, and may be tried: nothing is asked for as it was."""


@dataclass(frozen=True, slots=True)
class Grow(Change):
    """Record a higher floor of the storage."""

    storage_gb: int = 0


@dataclass(frozen=True, slots=True)
class Certify(Change):
    """Renew the server's certificate."""


def plan(
    server: ServerRef,
    desired: ServerSpec,
    observed: Observed[LocalState],
    sources: tuple[Wishes, Installations],
) -> tuple[Change, ...]:
    """Return what is to be done; raises ``Conflict`` where the server is not ours."""
    wishes, installations = sources
    if isinstance(observed, Absent):
        installation, _ = wishes.version(desired.version)
        return (_create(desired, wishes, installation), *_refused(desired, wishes, installation))
    state = observed.state
    changes = _ownership(server, state)
    if not state.initialized:
        return (*changes, _create(desired, wishes, installations.get(state.major)))
    changes += _repairs(state)
    installation_now = installations.offered().get(state.major)
    if installation_now is not None:
        refused, retried = _sifted(state, wishes.asked(desired, installation_now), installation_now)
        wanted = wishes.of(desired, installation_now, refused).settings
        changes += _settings(desired, state, wanted, retried)
        changes += _refused(desired, wishes, installation_now, refused)
    changes += _version(desired, state, wishes)
    return changes + _storage(desired, state)


def _ownership(server: ServerRef, state: LocalState) -> tuple[Change, ...]:
    if server.owner.same(state.owner):
        return ()
    if state.owner is not None and state.owner.namespace != server.owner.namespace:
        # two namespaces can come to one name, and a namespace is the border between tenants
        raise Conflict(
            server.external_name,
            state.owner,
            f"server {server.external_name} belongs to {_whose(state)} and can only be adopted "
            "from that namespace",
        )
    if server.adopt:
        return (TakeOver("", f"take over server {server.external_name}", takes_over=True),)
    raise Conflict(
        server.external_name,
        state.owner,
        f"server {server.external_name} belongs to {_whose(state)}",
    )


def _whose(state: LocalState) -> str:
    if state.owner is None:
        return "nobody we know"
    kept = "the deleted object " if state.owner.retained else ""
    return f"{kept}{state.owner.namespace}/{state.owner.name}"


def _create(desired: ServerSpec, wishes: Wishes, installation: Installation) -> Create:
    return Create(
        "",
        f"make a server of postgresql {installation.major}",
        major=installation.major,
        settings=wishes.of(desired, installation).settings,
        storage_gb=desired.size.storage_gb or 0,
    )


def _repairs(state: LocalState) -> tuple[Change, ...]:
    changes: tuple[Change, ...] = ()
    if not state.running:
        changes += (Start("", "start the server"),)
    if not state.administered:
        changes += (MakeAdmin("", "make the admin role"),)
    if state.running and not state.certified:
        changes += (Certify("", "renew the certificate"),)
    return changes


def _sifted(
    state: LocalState, asked: frozenset[tuple[str, str]], installation: Installation
) -> tuple[Refusals, frozenset[tuple[str, str]]]:
    """Return what the server refused and is asked for as it was, and what may be tried again.

    Several that kept it from starting have one reason: where one is another now, so may all be.
    """
    reasons = {(name, value): reason for name, value, _, reason in state.refused}
    same = {
        (name, value)
        for name, value, version, _ in state.refused
        if (name, value) in asked and version == installation.version
    }
    changed = {reason for pair, reason in reasons.items() if pair not in same}
    refused = {pair: reasons[pair] for pair in same if reasons[pair] not in changed}
    return refused, frozenset(reasons.keys() - refused.keys())


def _refused(
    desired: ServerSpec,
    wishes: Wishes,
    installation: Installation,
    refused: Refusals = NOTHING,
) -> tuple[Change, ...]:
    """Return what this very major or server does not take, so that nothing is left out unsaid."""
    rest = wishes.rest(desired, installation, refused)
    return tuple(
        Refused(each.field, f"{each.message} (postgresql {installation.major})") for each in rest
    )


def _settings(
    desired: ServerSpec,
    state: LocalState,
    settings: Mapping[str, str],
    retried: frozenset[tuple[str, str]],
) -> tuple[Change, ...]:
    changed = sorted(
        name
        for name in {*settings, *state.settings}
        if settings.get(name) != state.settings.get(name)
    )
    if not changed and not retried:
        return ()
    path = "size" if changed and not {*changed} & {*desired.server_parameters} else PARAMETERS
    names = changed or sorted({name for name, _ in retried})
    what = f"change {', '.join(names)}" if changed else f"forget that {', '.join(names)} failed"
    return (Configure(path, what, settings=settings, retried=retried),)


def _version(desired: ServerSpec, state: LocalState, wishes: Wishes) -> tuple[Change, ...]:
    """A running server is upgraded within its major only, and only where it is asked for."""
    if desired.version in ("", "latest"):
        return ()
    installation, problems = wishes.version(desired.version)
    if installation.major == state.major:
        floor = desired.version.partition(".")[2]
        running = state.version.partition(".")[2]
        if floor and running and not problems and int(running) < int(floor):
            return (Restart("version", f"restart with postgresql {installation.version}"),)
        return ()
    if problems:
        return ()  # the fallback is for a new server; this one stays what it is
    message = (
        f"the server runs postgresql {state.major} and stays there: this backend does not change "
        f"the major yet; make a new server of {installation.major} and move the data with "
        "pg_dump and pg_restore"
    )
    return (Refused("version", message),)


def _storage(desired: ServerSpec, state: LocalState) -> tuple[Change, ...]:
    asked = desired.size.storage_gb or 0
    if asked > state.storage_gb:
        return (Grow("size.storageGB", f"grow storage to {asked} GB", storage_gb=asked),)
    if 0 < asked < state.storage_gb:
        message = (
            f"storage can not shrink from {state.storage_gb} GB to {asked} GB: "
            f"ask for {state.storage_gb} or more"
        )
        return (Refused("size.storageGB", message),)
    return ()
