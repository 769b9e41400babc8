"""What the reconcile functions of both kinds have in common: guards, errors, status, events."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

import structlog

from ..backends import Busy, Denied, Policy
from ..controller import (
    LOW,
    Conflict,
    NotFound,
    ObjectKey,
    ReadStore,
    Request,
    Resource,
    Result,
    finalizer,
)
from .errors import NotOurs
from .failures import CONTRACT, failure_of
from .kinds import FINALIZER
from .own_writes import OwnWrites
from .patience import Patience
from .reasons import Condition, Reason
from .references import server_of
from .runtime import Runtime
from .status import StatusDraft
from .subject import Subject
from .waiting import deletion_message, show_busy, show_failure

_log = structlog.get_logger(__name__)

Step = Callable[[StatusDraft], Awaitable[Result]]

STALE_RETRY_SECONDS: Final = 0.2
"""After a write was refused as stale: the newer object is on its way through the watch."""

CATCH_UP_SECONDS: Final = 0.05
"""Until the cache shows our own last write: the watch tells of it within milliseconds."""

LOOK_ON_SECONDS: Final = 60.0
"""Until a paused object that others depend on is looked at again."""

EFFECTIVE_POLICY: Final = "deletionPolicy"
"""The key in ``status.effective`` that says what happens to the data in a deletion."""

STEP_BACK_SECONDS: Final = 0.001
"""Until the pass of an object that steps back: as soon as nothing more urgent waits."""


class ObjectReconciler(ABC):
    """Reads as: guards with early returns, then the kind's own work, then one status write."""

    resource: ClassVar[Resource]

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._patience = Patience(runtime.random)
        self.own_writes = OwnWrites()

    @property
    @abstractmethod
    def store(self) -> ReadStore:
        """The cache of this kind."""

    @abstractmethod
    async def converge(self, draft: StatusDraft) -> Result:
        """Make the world match the object and say in the draft how far it got."""

    @abstractmethod
    async def delete(self, draft: StatusDraft, policy: Policy) -> Result | None:
        """Go on with the deletion; None once nothing external holds the object any more."""

    @abstractmethod
    def policy(self, subject: Subject) -> Policy:
        """Return what happens to the data of this object."""

    @abstractmethod
    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of an object that is gone."""

    async def __call__(self, request: Request) -> Result:
        """Reconcile one object by key."""
        cached = self.store.get(request.key)
        if cached is None:
            self.forget(request.key)
            self.own_writes.forget(request.key)
            self._patience.forget(request.key)
            return Result()
        subject = Subject.of(self.resource, cached)
        behind = self.own_writes.behind(cached)
        if behind is not None:
            return Result(requeue_after=max(CATCH_UP_SECONDS, behind))
        if request.priority > LOW and nobody_uses(subject):
            # a thousand new objects must not delay an edit of one that somebody works with
            return Result(requeue_after=STEP_BACK_SECONDS, priority=LOW)
        draft = StatusDraft(subject, self.runtime.clock)
        try:
            return await self._guarded(draft)
        except Conflict:
            _log.debug("the object changed meanwhile, looking again", **_keys(draft.subject))
            return Result(requeue_after=STALE_RETRY_SECONDS)
        finally:
            if draft.subject.resource_version != subject.resource_version:
                self._wrote(draft.subject)

    def _wrote(self, subject: Subject, *, superseded: bool = False) -> None:
        """Remember our own write, so that no pass is made of what was before it."""
        self.own_writes.note(subject, self.store.get(subject.key), superseded=superseded)

    async def _guarded(self, draft: StatusDraft) -> Result:
        subject = draft.subject
        if subject.paused:
            return await self._pause(draft)
        if subject.deleting:
            return await self._delete(subject)
        draft.drop(Condition.PAUSED)
        return await self._attempt(draft, self._converge)

    async def _attempt(self, draft: StatusDraft, step: Step) -> Result:
        """Run a step; what it raises by contract becomes a condition."""
        # the error itself is not kept: a frame that holds its own traceback is garbage that only
        # the collector can find, and a target that is busy is met by every pass
        key, busy = draft.subject.key, False
        try:
            result = await step(draft)
            self._patience.answered(key)
            return result
        except Busy as error:
            busy = True
            await self._wait(draft, error)
            return Result(requeue_after=error.retry_after)
        except CONTRACT as error:
            return await self._fail(draft, error)
        finally:
            if not busy:
                self._patience.not_busy(key)

    async def _wait(self, draft: StatusDraft, error: Busy) -> None:
        """Say what a target is busy with once that lasts: a moment of it is worth no write."""
        key = draft.subject.key
        seconds = self._patience.busy(key)
        if self._patience.said_lately(key) or not show_busy(draft, error, seconds):
            return
        if draft.shows(Reason.UNREACHABLE):
            self.failed(draft.subject)
        self._show_policy(draft)
        await self._write(draft)
        self._patience.say(key)

    async def _converge(self, draft: StatusDraft) -> Result:
        result = await self.converge(draft)
        self._show_policy(draft)
        await self._write(draft)
        return result

    def _show_policy(self, draft: StatusDraft) -> None:
        """Say what a deletion would do, for whoever thinks of one."""
        if draft.get("backend") and not draft.subject.deleting:
            policy = {EFFECTIVE_POLICY: self.policy(draft.subject).value}
            draft.set("effective", {**(draft.get("effective") or {}), **policy})

    async def _pause(self, draft: StatusDraft) -> Result:
        message = "annotation paused is set: nothing is written until it is removed"
        draft.condition(Condition.PAUSED, True, Reason.UPDATING, message)
        await self._write(draft)
        try:
            await self.look_on(draft)
        except CONTRACT as error:
            _log.info(
                "a paused object is looked at later", error=str(error), **_keys(draft.subject)
            )
            return Result(requeue_after=LOOK_ON_SECONDS)
        return Result()

    async def look_on(self, draft: StatusDraft) -> None:  # noqa: B027  # most kinds serve nobody
        """Serve those who depend on a paused object, without writing anything."""

    async def _delete(self, cached: Subject) -> Result:
        """Delete by policy, decided on the live object: the cache may show an earlier one."""
        try:
            live = await self.live(cached)
        except (NotFound, NotOurs):
            return Result()  # gone already, or the name belongs to a new object
        if FINALIZER not in live.finalizers:
            return Result()  # other finalizers hold it; ours is done
        draft = StatusDraft(live, self.runtime.clock)
        draft.drop(Condition.PAUSED)
        draft.progressing(Reason.DELETING, deletion_message(draft, self.policy(live)))
        return await self._attempt(draft, self._delete_step)

    async def _delete_step(self, draft: StatusDraft) -> Result:
        result = await self.delete(draft, self.policy(draft.subject))
        if result is not None:
            await self._write(draft)
            return result
        draft.announce(self.runtime.events)
        await finalizer.remove(self.runtime.client, self.resource, draft.subject.obj, FINALIZER)
        self.forget(draft.subject.key)
        return Result()

    async def live(self, subject: Subject) -> Subject:
        """Read the object from the API server itself.

        Raises:
            NotFound: it is gone.
            NotOurs: the name belongs to a newer object.
        """
        obj = await self.runtime.client.get(self.resource, subject.key)
        found = Subject(self.resource, obj)
        if found.uid != subject.uid:
            raise NotOurs(f"{self.resource} {subject.key} is a newer object now")
        return found

    async def confirm(self, draft: StatusDraft) -> None:
        """Prove that the object is there and is to stay, before anything is made for it.

        A cache can lag, as after a start against an API server that is behind: what is made for an
        object that is gone nobody would ever remove, and what an earlier spec asked for may be in
        the way of the present one. A write of this pass has proven it already.

        Raises:
            Conflict: the cache does not show yet what became of the object.
        """
        if draft.has_written:
            return
        subject = draft.subject
        try:
            live = await self.live(subject)
        except (NotFound, NotOurs):
            live = None
        if live is None or live.resource_version != subject.resource_version:
            became = "changed" if live is not None and not live.deleting else "deleted"
            message = (
                f"{self.resource} {subject.key} was {became}: nothing is made for it as it was"
            )
            raise Conflict(409, "Conflict", message)

    async def finalizer_added(self, draft: StatusDraft) -> bool:
        """Add our finalizer; True means that nothing else is done in this pass."""
        added = await finalizer.ensure(
            self.runtime.client, self.resource, draft.subject.obj, FINALIZER
        )
        if added:
            draft.abandon()  # it would be refused: the object is a newer one now
            self._wrote(draft.subject, superseded=True)
        return added

    def failed(self, subject: Subject) -> None:  # noqa: B027  # most kinds have nobody to tell
        """Tell whom it concerns that a pass ended in an error."""

    async def _fail(self, draft: StatusDraft, error: Exception) -> Result:
        failure = failure_of(error, draft.subject)
        if failure is None:
            raise error
        self.failed(draft.subject)
        server = server_of(draft.subject) if isinstance(error, Denied) else None
        if server is not None:
            self.runtime.directory.question(server)
        next_look = failure.next_look(shown=draft.shows(failure.reason))
        show_failure(draft, failure)
        self._show_policy(draft)
        await self._write(draft)
        if next_look is None:
            next_look = self._patience.unanswered(draft.subject.key)
        _log.info("the object waits", reason=failure.reason.value, **_keys(draft.subject))
        return Result(requeue_after=next_look)

    async def _write(self, draft: StatusDraft) -> None:
        try:
            await draft.write(self.runtime.client)
        except NotFound:
            return  # deleted meanwhile: there is nobody left to tell
        draft.announce(self.runtime.events)
        await asyncio.sleep(0)  # a burst of converged objects must not hold the loop


def nobody_uses(subject: Subject) -> bool:
    """Return whether an object is new: nothing was published of it yet, and it is to stay."""
    return "binding" not in subject.status and not subject.deleting


def _keys(subject: Subject) -> dict[str, str]:
    return {
        "kind": subject.resource.kind,
        "namespace": subject.namespace,
        "name": subject.name,
    }
