"""Tuning of the garbage collector belongs to the process, so the test gives back what it took."""

import asyncio
import gc
import platform
import ssl
import subprocess
import sys
from asyncio import sslproto

import pytest

from hybridpg.app.cli import collector
from hybridpg.app.cli.collector import (
    THRESHOLDS,
    TLS_BUFFER,
    pause_collections,
    resume_collections,
    tune_collector,
)

GIVEN_BACK = """
import asyncio
from hybridpg.app.cli import collector

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

async def run():
    collector.GIVE_BACK_SECONDS = 0.01
    started = collector.tune_collector()
    started()
    before = resident()
    blocks = [bytes(2000) for _ in range(20_000)]
    last = bytes(2000)  # keeps the heap from becoming shorter
    blocks.clear()
    taken = resident() - before
    while 2 * (resident() - before) > taken:
        await asyncio.sleep(0.01)
    print(taken, len(last))

asyncio.run(asyncio.wait_for(run(), 20))
"""
FREED = """
import ctypes
from hybridpg.app.cli.collector import pause_collections

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

pause_collections()
bytearray(2**23)  # freed at once: glibc would take blocks of this size from its heap from now on
before, kept, blocks = resident(), [], []
for number in range(200):
    blocks.append(bytearray(2**18))
    kept.append(bytes(30_000 + number))
blocks.clear()
print(resident() - before)
"""


@pytest.fixture(autouse=True)
def _as_it_was():
    before, buffer = gc.get_threshold(), sslproto.SSLProtocol.max_size
    yield
    sslproto.SSLProtocol.max_size = buffer
    gc.unfreeze()
    gc.set_threshold(*before)
    gc.enable()


def test_collections_pause_while_the_caches_are_filled():
    pause_collections()

    assert not gc.isenabled()


def test_afterwards_they_are_rare_and_skip_what_was_there():
    pause_collections()
    resume_collections()

    assert gc.isenabled()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > 0


async def test_a_tls_connection_reads_into_a_small_buffer():
    pause_collections()
    loop = asyncio.get_running_loop()
    context, waiter = ssl.create_default_context(), loop.create_future()
    made = sslproto.SSLProtocol(loop, asyncio.Protocol(), context, waiter)

    assert len(made.get_buffer(2**20)) == TLS_BUFFER
    made.connection_lost(None)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_blocks_that_are_freed_go_back_to_the_system():
    command = [sys.executable, "-c", FREED]
    held = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert held < 2**24, "of 50 MiB"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_a_burst_left_behind_goes_back_to_the_system_while_it_runs():
    command = [sys.executable, "-c", GIVEN_BACK]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    taken, _ = map(int, done.stdout.split())

    assert taken > 2**25


async def test_collections_go_on_where_the_caches_stay_incomplete(monkeypatch):
    monkeypatch.setattr(collector, "PAUSED_SECONDS", 0.0)
    tune_collector()
    assert not gc.isenabled()
    for _ in range(3):
        await asyncio.sleep(0)
    assert gc.isenabled()
