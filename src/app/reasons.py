"""Condition types and reasons: they are API, so each stands here once and says what it means."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """The condition types of both kinds."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PAUSED = "Paused"
    SYNCED = "Synced"
    CREDENTIALS_READY = "CredentialsReady"
    ENDPOINT_READY = "EndpointReady"
    SERVER_READY = "ServerReady"
    ROLE_READY = "RoleReady"
    EXTENSIONS_READY = "ExtensionsReady"
    SECRET_READY = "SecretReady"  # noqa: S105


class Reason(StrEnum):
    """The reasons on ``Ready``; other conditions use them as well where they fit."""

    AVAILABLE = "Available"
    CREATING = "Creating"
    UPDATING = "Updating"
    DELETING = "Deleting"
    WAITING_FOR_SERVER = "WaitingForServer"
    SERVER_NOT_FOUND = "ServerNotFound"
    SERVER_GONE = "ServerGone"
    PASSWORD_RESET = "PasswordReset"  # noqa: S105
    INVALID_SPEC = "InvalidSpec"
    EXTENSION_REFUSED = "ExtensionRefused"
    CONFLICT = "Conflict"
    SECRET_CONFLICT = "SecretConflict"  # noqa: S105
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    DENIED = "Denied"
    QUOTA_EXCEEDED = "QuotaExceeded"
    UNREACHABLE = "Unreachable"
    BACKEND_UNAVAILABLE = "BackendUnavailable"
    BACKEND_RETIRED = "BackendRetired"
    DELETION_BLOCKED = "DeletionBlocked"


MEANING: dict[Reason, str] = {
    Reason.AVAILABLE: "A login with the published Secret works.",
    Reason.CREATING: "It is being made for the first time.",
    Reason.UPDATING: "It answers, and a change of the spec is being carried out.",
    Reason.DELETING: "The object is being deleted; the message says what is done with the data.",
    Reason.WAITING_FOR_SERVER: "The server of this database is not ready yet.",
    Reason.SERVER_NOT_FOUND: "No PostgreSQLServer of that name is in this namespace.",
    Reason.SERVER_GONE: "The server that held this database no longer exists.",
    Reason.PASSWORD_RESET: "A password reset is under way; the old or the new password works.",
    Reason.INVALID_SPEC: "The spec cannot be carried out; the message names field and cause.",
    Reason.EXTENSION_REFUSED: "An extension is not offered or not allowed.",
    Reason.CONFLICT: "A thing of that name exists and is not ours; the message says how to adopt.",
    Reason.SECRET_CONFLICT: "The Secret of that name is somebody else's, or cannot be written.",
    Reason.AUTHENTICATION_FAILED: "The published Secret does not log in.",
    Reason.DENIED: "The controller lacks a right; the message names it.",
    Reason.QUOTA_EXCEEDED: "A limit is reached; the message names it.",
    Reason.UNREACHABLE: "The target gives no clear answer, or has no time; it is asked again.",
    Reason.BACKEND_UNAVAILABLE: "The backend is not configured, not allowed or not installed.",
    Reason.BACKEND_RETIRED: "The provider has ended this service.",
    Reason.DELETION_BLOCKED: "The deletion waits; the message says for what and how to go on.",
}
"""What each reason means to a user; ``docs/status.md`` shows this table."""

PROGRESSING = frozenset(
    {Reason.CREATING, Reason.UPDATING, Reason.DELETING, Reason.WAITING_FOR_SERVER}
    | {Reason.PASSWORD_RESET}
)
"""Reasons that are part of a normal course: their events are Normal although Ready is False."""
