"""Tools for tests and local runs of controllers: an API server in memory, and virtual time."""

from __future__ import annotations

from .clock import VirtualTimeLoop, run_virtual
from .cluster import FakeCluster, RecordedRequest
from .controlplane import ControlPlane, find_programs
from .faults import Fault, Faults
from .harness import eventually, settled
from .node import SimulatedNode
from .server import FakeClusterServer

__all__ = [
    "ControlPlane",
    "FakeCluster",
    "FakeClusterServer",
    "Fault",
    "Faults",
    "RecordedRequest",
    "SimulatedNode",
    "VirtualTimeLoop",
    "eventually",
    "find_programs",
    "run_virtual",
    "settled",
]
