"""The small part of the Kubernetes API that a backend may use."""

from __future__ import annotations

from typing import Protocol


class KubeApi(Protocol):
    """Kubernetes as a backend sees it, filled by ``app`` with the controller's client.

    Errors: :class:`~.errors.Unknown` where no clear answer came, :class:`~.errors.Denied` where
    the controller's rights do not suffice.
    """

    async def get_secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """Return the decoded data of one Secret, or None where it is proven absent."""
        ...
