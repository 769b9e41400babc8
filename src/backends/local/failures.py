"""Errors of the operating system as errors of a backend."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BackendError, Denied, Quota, Unknown

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def as_backend_error(error: BaseException) -> BackendError | None:
    """Return what an error means to the operator, or None for one that is a mistake of ours."""
    if isinstance(error, BackendError):
        return error
    if not isinstance(error, OSError):
        return None
    where = f" {error.filename}" if error.filename else ""
    text = f"{(error.strerror or type(error).__name__).lower()}:{where}"
    if error.errno in _FULL:
        return Quota(f"{text}; free some space or move backends.local.path")
    if error.errno in _FORBIDDEN:
        return Denied(f"{text}; let the controller's user write there")
    return Unknown(text)


@contextmanager
def translated() -> Iterator[None]:
    """Let no error of the operating system out of the block."""
    try:
        yield
    except OSError as error:
        known = as_backend_error(error)
        if known is None:
            raise
        raise known from error
