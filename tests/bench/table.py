"""The results as the table that stands in docs/benchmarks.md."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


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
            f"{client} has no figure in `{row['name']}`: {reason}"
            for client, reason in row.get("failed", {}).items()
        ]
    return "\n".join([*lines, *(["", *failures] if failures else [])])


def _figure(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
