"""Where a server really is: the mark decides, and what status says is only a hint.

Whoever may write ``/status`` can forge the binding or wipe it. So a binding counts once the mark of
the object was found there; where it was not, the other backends are asked before anything is made,
and a new server goes only where its namespace may have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import structlog

from ..backends import (
    Absent,
    Backend,
    BackendError,
    Observed,
    ServerRef,
    ServerState,
    Unavailable,
)
from ..crds import ServerSpec
from .deletion import has_secret
from .references import own_server_name, server_ref
from .runtime import Runtime
from .status import StatusDraft

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """The backend of a server and its reference there."""

    backend: Backend
    ref: ServerRef

    @property
    def place(self) -> tuple[str, str]:
        """The names of backend and server, as status records them."""
        return self.backend.name, self.ref.external_name

    def recorded(self, draft: StatusDraft) -> bool:
        """Return whether status says so already."""
        return (draft.get("backend"), draft.get("externalName")) == self.place


Found: TypeAlias = tuple[ServerTarget, Observed[ServerState]]
"""A place that was looked at, and what is there."""


async def bound_target(runtime: Runtime, draft: StatusDraft) -> ServerTarget | None:
    """Return where a server was found by this process, else where status says that it is.

    Raises:
        Unavailable: the backend cannot be used.
    """
    known = runtime.bindings.get(draft.subject)
    place = known or (str(draft.get("backend") or ""), str(draft.get("externalName") or ""))
    if not place[0]:
        return None
    try:
        return _target(runtime, draft, *place)
    except Unavailable:
        found = await find_marked(runtime, draft, strict=False)
        if found is None:
            raise
        return found[0]


def new_target(runtime: Runtime, draft: StatusDraft, spec: ServerSpec) -> ServerTarget:
    """Return where a new server goes, whatever status says.

    Raises:
        Unavailable: no backend that may be used here can be.
        Quota: the namespace may not have another such server.
    """
    name = runtime.backends.choose(draft.subject.namespace, spec.backend)
    runtime.quotas.admit(draft.subject, spec)
    return _own_target(runtime, draft, runtime.backends.get(name))


async def proven_target(
    runtime: Runtime, draft: StatusDraft, target: ServerTarget, spec: ServerSpec
) -> Found:
    """Return the target where the server is or is to be made, and what is there.

    A backend that gives no answer is passed over here: it must not keep everybody else from
    getting a server.

    Raises:
        BackendError: the target gives no clear answer, or nothing may be made there.
    """
    observed = await target.backend.observe_server(target.ref)
    if not is_ours(target.ref, observed) and runtime.bindings.get(draft.subject) != target.place:
        found = await find_marked(runtime, draft, target, strict=False)
        target, observed = found or await _to_be_made(runtime, draft, (target, observed), spec)
    runtime.bindings.remember(draft.subject, target.place)
    return target, observed


async def _to_be_made(
    runtime: Runtime, draft: StatusDraft, looked: Found, spec: ServerSpec
) -> Found:
    """Return what was looked at if a new server may be made there; never by a forged name."""
    backend = looked[0].backend
    runtime.backends.check_permitted(draft.subject.namespace, backend.name)
    runtime.quotas.admit(draft.subject, spec)
    own = _own_target(runtime, draft, backend)
    if own.place == looked[0].place:
        return looked
    return own, await backend.observe_server(own.ref)


async def target_to_delete(runtime: Runtime, draft: StatusDraft) -> Found | None:
    """Return what a deletion has to look after; None where nothing of the object is anywhere.

    Raises:
        BackendError: that is not certain.
    """
    target = await bound_target(runtime, draft)
    if target is None:
        made = await has_secret(runtime, draft)
        return await find_marked(runtime, draft, strict=made)
    known = runtime.bindings.get(draft.subject) is not None
    if not target.backend.capabilities.provisions:
        return None if known else await find_marked(runtime, draft, target, strict=False)
    observed = await target.backend.observe_server(target.ref)
    if known or is_ours(target.ref, observed):
        return target, observed
    return await find_marked(runtime, draft, target, strict=True) or (target, observed)


async def target_to_serve(runtime: Runtime, draft: StatusDraft) -> Found | None:
    """Return where the databases of a server find it that is not converged: deleted, or paused.

    A deletion concludes from what is absent there, so it takes no word of status for the place.

    Raises:
        BackendError: that is not certain.
    """
    found = await target_to_delete(runtime, draft) if draft.subject.deleting else None
    if found is not None:
        return found
    target = await bound_target(runtime, draft)
    return None if target is None else (target, await target.backend.observe_server(target.ref))


async def find_marked(
    runtime: Runtime, draft: StatusDraft, beside: ServerTarget | None = None, *, strict: bool
) -> Found | None:
    """Look in every backend that makes servers for one with the mark of this object.

    ``beside`` was looked at already. With ``strict`` a backend that gives no answer is an error:
    nothing is concluded then.

    Raises:
        BackendError: there may be one where no clear answer came from.
    """
    for backend in runtime.backends:
        if not backend.capabilities.provisions:
            continue
        try:
            found = await _look_in(runtime, draft, backend, beside)
        except BackendError as error:
            if strict:
                raise
            _log.info("a backend cannot be asked", backend=backend.name, error=str(error))
            continue
        if found is not None:
            return found
    return None


async def _look_in(
    runtime: Runtime, draft: StatusDraft, backend: Backend, beside: ServerTarget | None
) -> Found | None:
    target = _own_target(runtime, draft, backend)
    if beside is not None and target.place == beside.place:
        return None
    observed = await backend.observe_server(target.ref)
    return (target, observed) if is_ours(target.ref, observed) else None


def is_ours(ref: ServerRef, observed: Observed[ServerState]) -> bool:
    """Return whether what is there carries the mark of the object."""
    return not isinstance(observed, Absent) and ref.owner.same(observed.state.owner)


def _own_target(runtime: Runtime, draft: StatusDraft, backend: Backend) -> ServerTarget:
    """Return where a server is that was bound to a backend by us."""
    name = own_server_name(draft.subject, backend, runtime.cluster_id)
    return ServerTarget(backend, server_ref(draft, backend, runtime.cluster_id, name=name))


def _target(runtime: Runtime, draft: StatusDraft, backend_name: str, name: str) -> ServerTarget:
    backend = runtime.backends.get(backend_name)
    return ServerTarget(backend, server_ref(draft, backend, runtime.cluster_id, name=name))
