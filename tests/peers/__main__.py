"""Usage: python -m tests.peers [--only CLIENT]... [FAULT...]

Puts every client through every fault, each in a fresh process, and prints what became of it; writes
build/watch-faults.json.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import threading
from pathlib import Path

from tests.peers.clients import CLIENTS
from tests.peers.faults import FAULTS
from tests.peers.quiet import requests_per_second
from tests.peers.run import NotStarted, Outcome, run

OUTPUT = Path("build/watch-faults.json")
AT_ONCE = 4
"""Runs side by side: most of them only wait."""
OURS = "hybridpg"
ALONE = "closes-at-once"
"""Is run by itself: a client that does not wait takes a whole core."""
RUN_SECONDS = 240.0
"""More than any run takes: a start, the longest patience and some."""

Results = dict[str, dict[str, Outcome]]
"""Fault -> client -> outcome."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.peers")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--only", action="append", choices=CLIENTS, metavar="CLIENT")
    parser.add_argument("--client", nargs=2, metavar=("CLIENT", "URL"))
    parser.add_argument("--run", nargs=2, metavar=("CLIENT", "FAULT"))
    arguments = parser.parse_args()
    if arguments.client:
        name, url = arguments.client
        threading.Thread(target=_end_with_parent, daemon=True).start()
        asyncio.run(_client(name, url))
    elif arguments.run:
        client, fault = arguments.run
        print(json.dumps(dataclasses.asdict(outcome_of(client, fault))))
    else:
        if unknown := set(arguments.faults) - set(FAULTS):
            parser.error(f"no such fault: {', '.join(sorted(unknown))}")
        asyncio.run(matrix(arguments.only or list(CLIENTS), arguments.faults or list(FAULTS)))


def _end_with_parent() -> None:
    """End this process when the one that started it has gone, however that ended."""
    os.read(0, 1)  # not by sys.stdin, whose lock would disturb an ordinary end
    os._exit(1)


async def _client(name: str, url: str) -> None:
    await CLIENTS[name](url)


def outcome_of(client: str, fault: str) -> Outcome:
    """Run one client and one fault here."""
    outcome = asyncio.run(run(client, FAULTS[fault]))
    if (client, fault) == (OURS, ALONE):
        # its back-off grows for a minute, so ten seconds say little: virtual time does
        outcome = dataclasses.replace(outcome, requests_per_s=round(requests_per_second(), 4))
    return outcome


async def matrix(clients: list[str], faults: list[str]) -> None:
    """Take all runs, print and write them."""
    results: Results = {fault: {} for fault in faults}
    # those that wait longest begin first
    order = sorted(faults, key=lambda fault: -FAULTS[fault].patience)
    lanes = asyncio.Semaphore(AT_ONCE)
    long = asyncio.Semaphore(len(clients))

    async def one(client: str, fault: str, lane: asyncio.Semaphore) -> None:
        async with lane:
            results[fault][client] = await take(client, fault)

    first = max(FAULTS[fault].patience for fault in faults)
    async with asyncio.TaskGroup() as tasks:
        for fault in order:
            lane = long if FAULTS[fault].patience == first else lanes
            for client in clients if fault != ALONE else ():
                tasks.create_task(one(client, fault, lane))
    if ALONE in faults:
        for client in clients:
            results[ALONE][client] = await take(client, ALONE)
    write(clients, results)
    print_table(clients, results)


async def take(client: str, fault: str) -> Outcome:
    """Run one client and one fault in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "tests.peers", "--run", client, fault),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(RUN_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        raise NotStarted(f"{client} and {fault}: {' '.join(last)}")
    outcome = Outcome(**json.loads(output.splitlines()[-1]))
    print(f"{fault:16} {client:20} {outcome.requests_per_s:8} {outcome.why}", file=sys.stderr)
    return outcome


def write(clients: list[str], results: Results) -> None:
    """Write the file: client, fault, outcome."""
    table = {
        client: {
            fault: {
                "survived": by_client[client].survived,
                "requests_per_s": by_client[client].requests_per_s,
            }
            for fault, by_client in results.items()
        }
        for client in clients
    }
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(table, indent=2) + "\n")


def print_table(clients: list[str], results: Results) -> None:
    """Print the matrix as it stands in docs/runtime.md."""
    print(f"| fault | {' | '.join(clients)} |")
    print(f"|---|{'---|' * len(clients)}")
    for fault, by_client in results.items():
        cells = [cell(by_client[client], rate=fault == ALONE) for client in clients]
        print(f"| {FAULTS[fault].title} | {' | '.join(cells)} |")
    counts = [sum(each[client].survived for each in results.values()) for client in clients]
    print(f"| survived of {len(results)} | {' | '.join(map(str, counts))} |")


def cell(outcome: Outcome, *, rate: bool) -> str:
    """Return one cell: what became of the client, in a word or with its rate."""
    word = "survives" if outcome.survived else outcome.why.partition(":")[0]
    return f"{word}, {outcome.requests_per_s:g} requests/s" if rate else word


if __name__ == "__main__":
    main()
