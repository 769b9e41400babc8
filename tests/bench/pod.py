"""Usage: python -m tests.bench.pod CONFIG ACCOUNT

The controller as in a pod: what ``hybridpg run`` does, with the service account in a folder instead
of where a pod has it. It imports nothing else: its memory is measured.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from hybridpg.app import run_operator
from hybridpg.app.cli import logs
from hybridpg.app.cli.collector import tune_collector
from hybridpg.app.cli.options import installed_options
from hybridpg.app.cli.run import health_address
from hybridpg.app.config import load_config
from hybridpg.controller import AiohttpTransport, load_in_cluster, stop_on_signals


def main(config: Path, account: Path) -> None:
    """Run until told to stop."""
    loaded = load_config(config, {}, installed_options())
    logs.configure(logs.handler(sys.stderr, as_json=True))
    cluster = load_in_cluster(folder=account)

    async def run() -> None:
        with stop_on_signals() as stop:
            await run_operator(
                loaded,
                AiohttpTransport(cluster),
                stop,
                health=health_address(loaded.controller, in_pod=False),
                on_started=tune_collector(),
            )

    asyncio.run(run())
    assert "kubernetes_asyncio" not in sys.modules, "the token of a pod needs no other client"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
