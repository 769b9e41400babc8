"""What it means when the API server refuses a call on a Secret: somebody has to act, and on what.

Left to the work queue, the object would show for ever what was true before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..backends import Denied
from ..controller import ApiError, Forbidden, Invalid
from .errors import SecretRefused

_TERMINATING = "NamespaceTerminating"


@contextmanager
def refusals_named(verb: str, namespace: str, name: str) -> Iterator[None]:
    """Say of a refused call which right it lacks, or what is wrong with the Secret.

    A namespace that ends takes nothing new: that passes through, for the object goes with it.

    Raises:
        Denied: the controller may not do that; nothing was done.
        SecretRefused: the API server does not take the Secret like that; nothing was written.
    """
    secret = f"secret {namespace}/{name}"
    try:
        yield
    except Forbidden as error:
        if _namespace_ends(error):
            raise
        raise Denied(
            f"the controller may not {verb} {secret}; grant it {verb} on secrets in this "
            f"namespace, or change what forbids it: {error.message}"
        ) from error
    except Invalid as error:
        raise SecretRefused(
            f"the API server refuses to {verb} {secret}: {error.message}; name another one in "
            f"spec.credentialsSecret, which gets the same password, or mend or delete this one"
        ) from error


def _namespace_ends(error: ApiError) -> bool:
    causes = error.details.get("causes") or []
    return any(cause.get("reason") == _TERMINATING for cause in causes)
