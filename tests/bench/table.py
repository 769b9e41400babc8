"""The results as the table that stands in docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

Row = dict[str, Any]
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
_HERE = Path(__file__).parent


def render(rows: list[Row]) -> str:
    """Return a Markdown table with a line for each row, and one below it for each failure."""
    lines = [
        "| row | unit | hybridpg | floor | ratio | peers |",
        "|---|---|---|---|---|---|",
    ]
    failures = []
    for row in rows:
        peers = ", ".join(f"{peer} {_figure(each)}" for peer, each in row["peers"].items())
        lines.append(
            f"| `{row['name']}` | {row['unit']} | {_figure(row['ours'])} "
            f"| {_figure(row['floor'])} | {_figure(row['ratio'])} | {peers or '-'} |"
        )
        failures += [
            f"- {client} has no figure in `{row['name']}`: {reason}"
            for client, reason in row.get("failed", {}).items()
        ]
    return "\n".join([*lines, *(["", *failures] if failures else [])])


def environment() -> str:
    """Say on which machine and against which versions the figures of this machine are taken."""
    return (
        f"{os.cpu_count()} cores ({_processor()}), Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}; {', '.join(versions())}"
    )


def versions() -> list[str]:
    """Return the peers with their pins."""
    pins = [line.strip() for line in (_HERE / "peers.txt").read_text().splitlines()]
    modules = (_HERE / "clientgo" / "go.mod").read_text().split()
    go = modules[modules.index("k8s.io/client-go") + 1]
    peers = [pin.replace("==", " ") for pin in pins if pin and not pin.startswith("#")]
    return [*peers, f"client-go {go}"]


def insert(path: Path, rows: list[Row]) -> None:
    """Put the table and what it was taken on between the two marks of a document."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"{path} has no marks {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{render(rows)}\n\nTaken on {environment()}.\n{END}{after}")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _figure(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
