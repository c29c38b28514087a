"""The plots of the report, as SVG."""

# ruff: noqa: RUF001 - the times sign is meant

from __future__ import annotations

from pathlib import Path
from typing import Any

import verdicts
from bench import Table
from results import Part

try:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt
except ImportError:  # the page is readable without
    plt = None

STYLE = {"svg.fonttype": "none", "svg.hashsalt": "djafs", "font.size": 9, "axes.grid": True}
OURS, THEIRS = "#1f6f54", "#9aa5b1"


def draw(parts: list[Part], where: Path) -> dict[str, Path]:
    """Draw what there is to draw; return the files, by the key of table or series."""
    if plt is None:
        return {}
    where.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Path] = {}
    with mpl.rc_context(STYLE):
        for part in parts:
            for table in filter(is_complete, part.tables):
                if table.key == "scale-pinned":
                    drawn[table.key] = growth(table, where / "scale.svg")
                elif table.key == "operations-pinned":
                    drawn[table.key] = bars(table, ["create"], where / "create.svg")
                elif table.key == "archived-pinned":
                    drawn[table.key] = bars(table, ["walk", "random"], where / "archived.svg")
            for key, series in part.series.items():
                unit = "MB in the hot cache" if key == "ingest" else "× the source's bytes"
                drawn[key] = line(series, key, unit, where / f"{key}.svg")
    return drawn


def is_complete(table: Table) -> bool:
    """Whether every row has figures: a workload may have ended early."""
    return all(verdicts.cost_medians(table, row) for row in table.rows)


def finish(figure: Any, path: Path) -> Path:
    """Write a figure, the same bytes for the same figures."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def bars(table: Table, rows: list[str], path: Path) -> Path:
    """Compare the columns of a table in each row, microseconds per operation."""
    figure, axes = plt.subplots(1, len(rows), figsize=(4.5 * len(rows), 2.8), squeeze=False)
    for row, axis in zip(rows, axes[0], strict=True):
        medians = verdicts.cost_medians(table, row)
        names = [table.columns[column] for column, _ in medians]
        colours = [OURS if column == table.subject else THEIRS for column, _ in medians]
        axis.barh(names, [value for _, value in medians], color=colours)
        axis.invert_yaxis()
        axis.set_title(table.rows[row], fontsize=9)
        axis.set_xlabel("µs, less is better")
        axis.grid(axis="y", visible=False)
    return finish(figure, path)


def growth(table: Table, path: Path) -> Path:
    """Draw the cost of each operation over the number of files."""
    figure, axis = plt.subplots(figsize=(6, 3.2))
    for row, title in table.rows.items():
        points = [(int(column), value) for column, value in verdicts.cost_medians(table, row)]
        axis.plot(*zip(*points, strict=True), marker="o", label=title)
    axis.set(xscale="log", yscale="log", xlabel="files in the store", ylabel="µs per operation")
    axis.legend(fontsize=7)
    return finish(figure, path)


def line(series: list[tuple[float, float]], title: str, unit: str, path: Path) -> Path:
    """Draw what was followed over time."""
    figure, axis = plt.subplots(figsize=(6, 2.6))
    axis.plot(*zip(*series, strict=True), color=OURS, linewidth=1)
    axis.set(xlabel="seconds", ylabel=unit, title=title)
    axis.set_ylim(bottom=0)
    return finish(figure, path)
