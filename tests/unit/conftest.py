"""Modules that say ``pytestmark = pytest.mark.virtual_time`` run on a virtual-time loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from hybridpg.controller.testing.clock import VirtualTimeLoop


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: runs on a loop whose time costs nothing")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualTimeLoop}
    return {"real": asyncio.new_event_loop}
