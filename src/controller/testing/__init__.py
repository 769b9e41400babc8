"""Tools for tests and local runs of controllers: an API server in memory, and virtual time."""

from __future__ import annotations

from .clock import VirtualTimeLoop, run_virtual
from .cluster import FakeCluster

__all__ = ["FakeCluster", "VirtualTimeLoop", "run_virtual"]
