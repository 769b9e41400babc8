"""``hybridpg run``: the controller as a process, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import structlog

from ... import __version__
from ...controller import AiohttpTransport, load_default, load_kubeconfig, stop_on_signals
from ..config import Config, load_config
from ..operator import run_operator
from . import logs
from .collector import pause_collections, resume_collections
from .options import ConfigFile, Kubeconfig, installed_options

COLLECTIONS_PAUSED: Final = 60.0
"""Seconds at most: where the caches do not get complete, garbage must not pile up."""

_log = structlog.get_logger("hybridpg.app.cli.run")


def run(config: ConfigFile = None, kubeconfig: Kubeconfig = None) -> None:
    """Run the controller until SIGTERM or Ctrl-C.

    In a pod it uses the pod's service account, elsewhere the current kubeconfig.
    """
    loaded = load_config(config, os.environ, installed_options())
    logs.configure(logs.handler(sys.stderr, as_json=not sys.stderr.isatty()))
    asyncio.run(_run(loaded, kubeconfig))


async def _run(config: Config, kubeconfig: Path | None) -> None:
    cluster = await (load_kubeconfig(kubeconfig) if kubeconfig else load_default())
    loop = asyncio.get_running_loop()
    with stop_on_signals() as stop:
        _log.info("starting", version=__version__, server=cluster.host, backend=config.backend)
        pause_collections()
        limit = loop.call_later(COLLECTIONS_PAUSED, resume_collections)

        def started() -> None:
            limit.cancel()
            resume_collections()

        await run_operator(config, AiohttpTransport(cluster), stop, on_started=started)
    _log.info("stopped")
