"""Which backend holds an object, and whether that backend can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from ..backends import Backend, Unavailable
from .config import Config


class Backends:
    """The backends of this process by name: usable ones, and why the others are not."""

    def __init__(
        self, config: Config, backends: Mapping[str, Backend | Unavailable], cluster_id: str
    ) -> None:
        self.cluster_id = cluster_id
        self._config = config
        self._backends = dict(backends)

    def __iter__(self) -> Iterator[Backend]:
        """Iterate over the usable backends."""
        return iter([b for b in self._backends.values() if not isinstance(b, Unavailable)])

    def get(self, name: str) -> Backend:
        """Return a backend by name.

        Raises:
            Unavailable: it cannot be used; the message says what an administrator must do.
        """
        found = self._backends.get(name)
        if found is None:
            raise Unavailable(
                f"backend {name!r} is not configured; add a section backends.{name} "
                f"to the configuration"
            )
        if isinstance(found, Unavailable):
            raise found
        return found

    def choose(self, namespace: str, wanted: str | None) -> str:
        """Return the backend of a new object.

        As documented for the predecessor: with an empty ``allowed_backends`` the default is used
        whatever the user asks for; otherwise what is not in the list is refused.

        Raises:
            Unavailable: the wanted backend is not allowed here.
        """
        name = wanted if wanted and self._config.allowed_backends else self._config.backend
        self.check_permitted(namespace, name)
        return name

    def check_permitted(self, namespace: str, name: str) -> None:
        """Refuse a backend that new objects of a namespace may not be bound to.

        Raises:
            Unavailable: the message names those that are allowed.
        """
        default = self._config.backend
        offered = [default, *(n for n in self._config.allowed_backends if n != default)]
        for pattern, policy in self._config.namespaces.items():
            if fnmatchcase(namespace, pattern) and policy.allowed_backends:
                offered = [n for n in offered if n in policy.allowed_backends]
        if name not in offered:
            shown = ", ".join(offered) or "none"
            raise Unavailable(
                f"backend {name!r} is not allowed in namespace {namespace}; allowed: {shown}"
            )

    async def close(self) -> None:
        """Close every usable backend; servers stay."""
        for backend in self:
            await backend.close()
