"""The pytest plugin, as somebody meets it who has only installed the package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "hack" / "import"
FIXTURES = """
import asyncio
import json
import time
import urllib.request

import pytest

from hybridpg.controller import SECRETS, Client, ObjectKey

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}}


@pytest.mark.asyncio
async def test_in_memory(fake_cluster):
    client = Client(fake_cluster)
    await client.create(SECRETS, SECRET, namespace="default")
    assert [each.method for each in fake_cluster.requests] == ["POST"]


@pytest.mark.asyncio
async def test_over_http(fake_cluster, fake_cluster_url):
    await Client(fake_cluster).create(SECRETS, SECRET, namespace="default")
    url = f"{fake_cluster_url}/api/v1/namespaces/default/secrets/one"
    answer = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
    assert json.loads(answer)["metadata"]["name"] == "one"


@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_an_hour(eventually):
    loop, began = asyncio.get_running_loop(), time.monotonic()
    await eventually(lambda: loop.time() >= 3600, seconds=4000, interval=60)
    assert loop.time() == 3600
    assert time.monotonic() - began < 5


@pytest.mark.asyncio
async def test_others_keep_real_time():
    assert type(asyncio.get_running_loop()).__module__.startswith("asyncio.")
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest on the text of a test file, in a folder and a process of its own."""

    def run(text: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(text)
        for name, value in {"PYTHONPATH": str(SOURCES), **environment}.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-m", "pytest", "-q", "-rs", "--strict-markers"]
        return subprocess.run(
            [*command, "-p", "no:cacheprovider", *options, "test_it.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_fixtures_and_marker_are_there_without_any_configuration(run):
    done = run(FIXTURES)
    assert "4 passed" in done.stdout, done.stdout


def test_the_names_of_tests_stay_as_they_were(run):
    done = run(FIXTURES, "--collect-only")
    assert "test_it.py::test_an_hour\n" in done.stdout
    assert "test_it.py::test_others_keep_real_time\n" in done.stdout


def test_the_loops_of_somebody_else_stay_where_the_marker_is_not(run, tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import asyncio\n"
        "class Loop(asyncio.SelectorEventLoop): ...\n"
        "def pytest_asyncio_loop_factories(config, item):\n"
        "    return {'theirs': Loop}\n"
    )
    done = run(
        "import asyncio, pytest\n"
        "@pytest.mark.asyncio\n"
        "async def test_theirs():\n"
        "    assert type(asyncio.get_running_loop()).__name__ == 'Loop'\n"
        "@pytest.mark.asyncio\n"
        "@pytest.mark.virtual_time\n"
        "async def test_ours():\n"
        "    assert type(asyncio.get_running_loop()).__name__ == 'VirtualTimeLoop'\n"
    )
    assert "2 passed" in done.stdout, done.stdout


def test_without_the_other_plugin_the_marker_fails_and_the_rest_runs(run):
    done = run(
        "import pytest\n"
        "def test_plain(): ...\n"
        "@pytest.mark.virtual_time\n"
        "def test_virtual(): ...\n",
        "-p",
        "no:asyncio",
    )
    assert "1 passed" in done.stdout, done.stdout
    assert "virtual_time needs pytest-asyncio" in done.stdout


def test_a_run_that_needs_nothing_of_it_does_not_import_the_runtime(run):
    done = run(
        "import sys\n"
        "def test_light():\n"
        "    assert not [name for name in sys.modules if name.startswith('hybridpg.')\n"
        "                and name != 'hybridpg.pytest_plugin']\n"
        "    assert 'aiohttp' not in sys.modules\n"
    )
    assert "1 passed" in done.stdout, done.stdout


def test_a_control_plane_that_cannot_be_had_skips_and_says_what_to_set(run, tmp_path):
    done = run(
        "def test_real(control_plane): ...\n",
        HOME=str(tmp_path),
        PATH=str(tmp_path),
        KUBEBUILDER_ASSETS="",
        XDG_DATA_HOME=str(tmp_path),
    )
    assert "1 skipped" in done.stdout, done.stdout
    assert "KUBEBUILDER_ASSETS" in done.stdout
