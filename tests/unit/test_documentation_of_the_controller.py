"""The page about the runtime is true: each of its blocks is run, in virtual time."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import hybridpg.controller
from hybridpg.controller import CUSTOM_RESOURCE_DEFINITIONS, Client
from hybridpg.controller.testing import FakeCluster

pytestmark = pytest.mark.virtual_time

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "controller.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
Example = Callable[[FakeCluster], Awaitable[None]]

[TEXT] = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
DEFINITION = yaml.safe_load(TEXT)


def examples() -> dict[str, Example]:
    """The functions that the blocks define, each block seeing those before it."""
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, PAGE.name, "exec"), names)
    return {
        name: each
        for name, each in names.items()
        if name.endswith("_example") and inspect.iscoroutinefunction(each)
    }


EXAMPLES = examples()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_an_example_does_what_it_says(name: str, fake_cluster: FakeCluster):
    await Client(fake_cluster).create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
    await EXAMPLES[name](fake_cluster)


def test_every_section_has_an_example():
    sections = re.findall(r"^## ", PAGE.read_text(), re.MULTILINE)
    assert len(EXAMPLES) == len(sections) == len(BLOCKS)


def test_the_examples_are_typed_strictly(tmp_path):
    module = tmp_path / "page.py"
    module.write_text("\n".join(BLOCKS))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


USED = (
    "Manager Informer Controller Client LeaseConfig GuardedPatch apply retry_on_conflict "
    "write_status enqueue_owner ensure_finalizer remove_finalizer set_condition"
)


@pytest.mark.parametrize("name", USED.split())
def test_what_embedders_use_is_on_the_page(name):
    assert name in hybridpg.controller.__all__
    assert f"`{name}`" in PAGE.read_text() or f"{name}(" in PAGE.read_text()
