"""Errors of the operating system as the operator understands them."""

from __future__ import annotations

import errno
import os

import pytest

from hybridpg.backends import BackendError, Denied, Quota, Unknown
from hybridpg.backends.local.failures import as_backend_error, translated


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOSPC, Quota, "free some space"),
        (errno.EDQUOT, Quota, "free some space"),
        (errno.EACCES, Denied, "let the controller's user write there"),
        (errno.EROFS, Denied, "let the controller's user write there"),
        (errno.EIO, Unknown, "input/output error"),
        (errno.ENOENT, Unknown, "no such file"),
    ],
)
def test_each_kind_of_failure_says_what_to_do(
    number: int, kind: type[BackendError], advice: str
) -> None:
    foreign = OSError(number, os.strerror(number), "/data/x")
    with pytest.raises(kind, match=advice) as raised, translated():
        raise foreign
    assert "/data/x" in str(raised.value)
    assert raised.value.__cause__ is foreign


def test_an_error_of_ours_passes_as_it_is() -> None:
    ours = Quota("full")
    assert as_backend_error(ours) is ours
    with pytest.raises(Quota) as raised, translated():
        raise ours
    assert raised.value is ours


def test_a_mistake_in_the_code_is_not_dressed_up() -> None:
    assert as_backend_error(KeyError("x")) is None
    with pytest.raises(KeyError), translated():
        raise KeyError("x")
