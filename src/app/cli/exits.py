"""The exit codes of every verb: they are part of the interface that scripts rely on."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a verb's exit code says."""

    OK = 0
    """It did what was asked."""
    FAILED = 1
    """It could not do it, or something is not ready."""
    USAGE = 2
    """Wrong options or a wrong configuration: it will fail again until they change."""
    UNREACHABLE = 3
    """The Kubernetes API did not answer."""
