"""Starts controllers in milliseconds: a process with everything imported forks one at each order.

The zygote is forked off a lane before that has threads or a loop. A controller is killed for real,
by a descriptor of its process, so that a number that was used again can never be hit.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import random
import select
import signal
import socket
import sys
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import clock
from tests.faults.mutants import plant

from hybridpg.app.cli import logs
from hybridpg.app.cli.options import installed_options
from hybridpg.app.config import Config, load_config
from hybridpg.app.operator import run_operator
from hybridpg.backends.local import installations
from hybridpg.controller import AiohttpTransport, stop_on_signals
from hybridpg.controller.client import Config as Cluster
from hybridpg.controller.client import Timeouts

PR_SET_PDEATHSIG = 1
DEATH_MS = 5000
"""A process that was killed is gone in a millisecond; one that is not shows a broken machine."""
ORDER_LIMIT = 2**16


@dataclass(frozen=True, slots=True)
class Order:
    """How a controller is started; all of it is what an administrator or embedder can set."""

    config: str
    api: str
    """The URL of the API server: to read a kubeconfig takes longer than all else of a start."""
    log: str
    request_seconds: float = 3.0
    """A hung request is given up: by default after 75 s, for which no point has time."""
    silence_seconds: float = 90.0
    mutant: str = ""
    variables: dict[str, str] = field(default_factory=dict)


class Zygote:
    """The lane's side of the fork server."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _serve(theirs, parent)
        theirs.close()
        self._socket = ours

    def spawn(self, order: Order) -> Child:
        """Start a controller; it is already there when this returns."""
        self._socket.sendall(json.dumps(asdict(order)).encode() + b"\n")
        return Child(int(_line(self._socket)))

    def close(self) -> None:
        """End the zygote; what it started dies with it."""
        self._socket.close()
        os.waitpid(self.pid, 0)


class Child:
    """One controller; it implements :class:`tests.faults.seam.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._descriptor = -1

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._descriptor >= 0 and not _readable(self._descriptor, 0)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out, and wait until it is gone."""
        if self._descriptor >= 0:
            self._signal(signal.SIGKILL)
            assert _readable(self._descriptor, DEATH_MS), f"process {self.pid} does not die"
            os.close(self._descriptor)
            self._descriptor = -1

    def freeze(self) -> None:
        """Stop it, all threads."""
        self._signal(signal.SIGSTOP)
        while self.alive and _state(self.pid) not in ("T", "Z", "X"):
            os.sched_yield()

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def stop(self, seconds: float) -> bool:
        """End it as Kubernetes does; return whether it went by itself."""
        self._signal(signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + seconds
        while self.alive and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        went = not self.alive
        self.kill()
        return went

    @property
    def running(self) -> bool:
        """Whether a thread of it wants the processor: one that got none yet is not quiet."""
        try:
            tasks = [*Path(f"/proc/{self.pid}/task").iterdir()]
            return any(_state_of(task / "stat") in "RD" for task in tasks)
        except OSError:
            return False

    def command_line(self) -> bytes:
        """Return what everybody on the machine can read of it."""
        return Path(f"/proc/{self.pid}/cmdline").read_bytes() if self.alive else b""

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            try:
                signal.pidfd_send_signal(self._descriptor, number)
            except ProcessLookupError:
                return  # it ended in this moment


def _readable(descriptor: int, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _state(pid: int) -> str:
    try:
        return _state_of(Path(f"/proc/{pid}/stat"))
    except OSError:
        return "X"


def _state_of(stat: Path) -> str:
    return stat.read_text().rpartition(")")[2].split()[0]


def _line(source: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        read = source.recv(ORDER_LIMIT)
        if not read:
            raise EOFError
        data += read
    return data


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when the one that started it is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the kernel was asked
        os._exit(1)


def _serve(orders: socket.socket, parent: int) -> None:
    die_with_parent(parent)
    options = installed_options()  # imports the backends
    # a seam stands in the way of its own programs alone: no others may be found
    installations.SYSTEM_ROOTS = ()
    os.environ |= {"XDG_CACHE_HOME": os.devnull, "PATH": "/bin"}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # nothing asks how a child ended: the kernel shall bury it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # pages that children share stay shared
    here = os.getpid()
    read: dict[str, Config] = {}  # here, as it takes a sixth of a start
    while True:
        try:
            order: dict[str, Any] = json.loads(_line(orders))
        except (EOFError, OSError):
            os._exit(0)
        text = Path(order["config"]).read_text()
        if text not in read:
            read = {text: load_config(Path(order["config"]), {}, options)}
        pid = os.fork()
        if pid == 0:
            orders.close()
            _become(Order(**order), read[text], here)
        orders.sendall(f"{pid}\n".encode())


def _become(order: Order, config: Config, parent: int) -> None:
    """Be the controller until the end of the process."""
    status = 1
    try:
        die_with_parent(parent)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        random.seed()
        log = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.environ.update(order.variables)
        clock.install()
        plant(order.mutant)
        asyncio.run(_run(order, config))
        status = 0
    except BaseException:  # noqa: BLE001  # whatever it is, this process must not go on as another
        traceback.print_exc()
    finally:
        os._exit(status)


async def _run(order: Order, config: Config) -> None:
    """Do what ``hybridpg run`` does, with shorter limits on requests."""
    logs.configure(logs.handler(sys.stderr, as_json=True))
    cluster = Cluster(order.api)
    timeouts = Timeouts(request=order.request_seconds, silence=order.silence_seconds)
    with stop_on_signals() as stop:
        await run_operator(
            config,
            AiohttpTransport(cluster, timeouts=timeouts),
            stop,
            lease=config.controller.lease.lease(cluster.namespace),
        )
