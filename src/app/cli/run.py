"""``hybridpg run``: the controller as a process, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from ... import __version__
from ...controller import (
    Address,
    AiohttpTransport,
    load_default,
    load_kubeconfig,
    stop_on_signals,
)
from ..config import Config, ControllerConfig, load_config
from ..operator import run_operator
from . import logs
from .collector import tune_collector
from .options import ConfigFile, Kubeconfig, installed_options

if TYPE_CHECKING:
    from ...controller.tracing import Tracing

POD_HEALTH: Final = ":8080"
"""Every address of the pod, and the port that the predecessor's probes ask."""

_log = structlog.get_logger("hybridpg.app.cli.run")


def run(config: ConfigFile = None, kubeconfig: Kubeconfig = None) -> None:
    """Run the controller until SIGTERM or Ctrl-C.

    In a pod it uses the pod's service account, elsewhere the current kubeconfig. Of several
    replicas one works at a time; one that loses its lease ends with exit code 1.
    """
    loaded = load_config(config, os.environ, installed_options())
    logs.configure(logs.handler(sys.stderr, as_json=not sys.stderr.isatty()))
    asyncio.run(_run(loaded, kubeconfig))


async def _run(config: Config, kubeconfig: Path | None) -> None:
    cluster = await (load_kubeconfig(kubeconfig) if kubeconfig else load_default())
    with stop_on_signals() as stop:
        _log.info("starting", version=__version__, server=cluster.host, backend=config.backend)
        await run_operator(
            config,
            AiohttpTransport(cluster),
            stop,
            lease=config.controller.lease.lease(cluster.namespace),
            health=health_address(config.controller, in_pod=_in_pod(kubeconfig)),
            tracing=_tracing() if config.controller.tracing else None,
            on_started=tune_collector() if config.controller.tune_collector else None,
        )
    _log.info("stopped")


def _tracing() -> Tracing:
    """Return what makes spans for the process's provider; without an SDK they lead nowhere."""
    # here: who does not ask for spans does not pay for the library
    from opentelemetry import trace

    from ...controller.tracing import Tracing

    return Tracing(trace.get_tracer_provider())


def _in_pod(kubeconfig: Path | None) -> bool:
    return kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ


def health_address(config: ControllerConfig, *, in_pod: bool) -> Address | None:
    """Return where health and metrics are served: in a pod where its probes look, if unsaid."""
    text = config.health_address or (POD_HEALTH if in_pod else "")
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port)) if text else None
