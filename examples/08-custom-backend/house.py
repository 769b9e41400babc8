"""A backend of one's own: the local one with the rules of the house.

It offers small servers only and says so in the status of whoever asks for more. The program gives
its factory to ``prepare_backends``; a package would name it as an entry point of the group
``hybridpg.backends`` (see ``09-platform-team``, whose backend is written from scratch).
"""

from __future__ import annotations

import asyncio

from hybridpg.app import Config, install, log_scope, prepare_backends
from hybridpg.backends import Problem
from hybridpg.backends.local import Local
from hybridpg.controller import AiohttpTransport, Client, Manager, load_default, stop_on_signals
from hybridpg.crds import ServerSpec

LARGEST = 10
CONFIG = {"backend": "house", "controller": {"cluster_id": "house-1"}}


class House(Local):
    """PostgreSQL processes on this machine, small ones."""

    def server_spec_valid(self, spec: ServerSpec) -> tuple[Problem, ...]:
        """Refuse what is too large; the rest of the spec is applied all the same."""
        problems = super().server_spec_valid(spec)
        if (spec.size.storage_gb or 0) > LARGEST:
            too_large = f"no server of this house has more than {LARGEST} GB"
            problems += (Problem("size.storageGB", too_large),)
        return problems


async def main() -> None:
    """Run until told to stop."""
    client = Client(AiohttpTransport(await load_default()))
    config = Config.model_validate(CONFIG)
    manager = Manager(client, scope=log_scope)
    backends = await prepare_backends(config, manager.client, factories={"house": House})
    install(manager, config, backends)
    with stop_on_signals() as stop:
        try:
            await manager.run(stop)
        finally:
            await backends.close()


if __name__ == "__main__":
    asyncio.run(main())
