"""One server during one pass: what its steps have in common."""

from __future__ import annotations

from dataclasses import dataclass

from ..backends import Backend, Credentials, Observed, Password, Present, ServerRef, ServerState
from ..crds import CredentialRotation, ServerSpec
from .connection_keys import pending_keys
from .status import StatusDraft


@dataclass(frozen=True, slots=True)
class ServerPass:
    """The spec of a server, the backend it is bound to and its reference."""

    draft: StatusDraft
    spec: ServerSpec
    backend: Backend
    ref: ServerRef

    @property
    def provider(self) -> str:
        """The name of the backend, as Secrets show it."""
        return self.backend.name

    @property
    def publishes_admin(self) -> bool:
        """Whether the admin login is the tenant's."""
        return self.backend.capabilities.publishes_admin

    @property
    def schedule(self) -> CredentialRotation:
        """When the password is changed: never where it is not the tenant's."""
        return self.spec.credentials if self.publishes_admin else CredentialRotation()

    def admin_username(self, observed: Observed[ServerState]) -> str:
        """Return the name of the admin: as it was found, else as the backend makes it."""
        state = observed.state if isinstance(observed, Present) else None
        return (state.admin_username if state else "") or self.backend.capabilities.admin_username

    def render_pending(self, username: str, password: Password) -> dict[str, str]:
        """Return the keys of a Secret whose login is not known to work yet."""
        return pending_keys(Credentials(username, password), self.provider)
