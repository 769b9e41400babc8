"""What of a server's spec cannot be honoured: status says it, and the rest is applied."""

from __future__ import annotations

from ..backends import Change, Problem, Refused
from ..crds import set_fields
from .quota import OverCap
from .reasons import Condition, Reason
from .schedule import ROTATE_EVERY
from .server_pass import ServerPass
from .spec import fields_not_in


def show_spec(server: ServerPass, plan: tuple[Change, ...], *, backend_chosen: bool) -> None:
    """Set the condition Synced and the list of unsupported fields.

    ``backend_chosen`` is whether tenants of this configuration choose their backends.
    """
    _show_unsupported(server)
    draft = server.draft
    problems = list(server.backend.server_spec_valid(server.spec))
    problems += [Problem(c.field, c.message) for c in plan if isinstance(c, Refused)]
    texts = [_problem_text(p.field, p.message, p.fallback) for p in problems]
    wanted = server.spec.backend
    if wanted and wanted != server.provider and backend_chosen:
        texts.append(f"spec.backend: bound to {server.provider}, which cannot change")
    refused = any(not p.fallback for p in problems)
    message = "; ".join(texts) or "the server is as the spec asks for"
    before = draft.message(Condition.SYNCED)
    refused_before = bool(before) and not draft.met(Condition.SYNCED)
    if texts and message != before and (refused_before or not refused):
        draft.note("SpecNotHonoured", message, warning=True)  # no transition tells it
    reason = Reason.INVALID_SPEC if refused else Reason.AVAILABLE
    if any(isinstance(change, OverCap) for change in plan):
        reason = Reason.QUOTA_EXCEEDED
    draft.condition(Condition.SYNCED, not refused, reason, message)


def _show_unsupported(server: ServerPass) -> None:
    draft, honoured = server.draft, server.backend.capabilities.server_fields
    if server.publishes_admin:
        honoured |= {ROTATE_EVERY}
    unsupported = fields_not_in(set_fields(server.spec), honoured)
    if unsupported == (draft.get("unsupportedFields") or []):
        return
    draft.set("unsupportedFields", unsupported)
    if unsupported:
        fields = ", ".join(unsupported)
        draft.note("UnsupportedFields", f"not supported here: {fields}", warning=True)


def _problem_text(field: str, message: str, fallback: str) -> str:
    text = f"spec.{field}: {message}"
    return f"{text}; using {fallback}" if fallback else text
