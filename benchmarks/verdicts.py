"""Results held against what is to be reached."""

# ruff: noqa: RUF001 - the page is typeset: the dash and the times sign are meant

from __future__ import annotations

import statistics

import measure
from bench import Gauge, Table
from results import Part
from targets import TARGETS, Cost, Limit, Speed, Target
from typesetting import gauge_words, ratio_words, speed

HEADER = ["", "to reach", "measured, pinned", "reached", "unpinned"]


def rows(parts: list[Part]) -> list[list[str]]:
    """Return a row for each target of what was measured."""
    tables = {table.key: table for part in parts for table in part.tables}
    gauges = {gauge.key: gauge for part in parts for gauge in part.gauges}
    found = [row_of(target, tables, gauges) for target in TARGETS]
    return [row for row in found if row is not None]


def row_of(target: Target, tables: dict[str, Table], gauges: dict[str, Gauge]) -> list[str] | None:
    """Return the row of one target; None if nobody measured that."""
    if isinstance(target, Limit):
        gauge = gauges.get(target.gauge)
        return None if gauge is None else limit_row(target, gauge)
    table = tables.get(target.table)
    if table is None or target.row not in table.rows:  # kept of an older run, perhaps
        return None
    unpinned = tables.get(target.table.removesuffix("pinned") + "unpinned")
    ratio = ratio_of(target, table)
    met = None if ratio is None else is_met(target, ratio.median)
    other = None if unpinned is None else ratio_of(target, unpinned)
    return [
        *words(target, table),
        ratio_words(ratio),
        verdict(met),
        "" if other is None else ratio_words(other),
    ]


def words(target: Speed | Cost, table: Table) -> tuple[str, str]:
    """Say what was measured, and what is to be reached."""
    row = table.rows[target.row]
    if isinstance(target, Speed):
        return row, f"≥ {target.ratio:g} × {table.columns.get(target.peer, target.peer)}"
    other = table.columns[target.other or next(iter(table.columns))]
    return f"{row}: {table.columns[table.subject]}", f"≤ {target.ratio:g} × {other}"


def ratio_of(target: Speed | Cost, table: Table) -> measure.Ratio | None:
    """Return what a target limits, as measured in one of its tables."""
    if isinstance(target, Speed):
        return speed(table, target.row, table.subject, target.peer)
    other = target.other or next(iter(table.columns))
    return measure.speed_ratio(
        table.values(target.row, other), table.values(target.row, table.subject)
    )


def is_met(target: Speed | Cost, ratio: float) -> bool:
    return ratio >= target.ratio if isinstance(target, Speed) else ratio <= target.ratio


def limit_row(target: Limit, gauge: Gauge) -> list[str]:
    met = gauge.value >= target.limit if target.at_least else gauge.value <= target.limit
    sign = "≥" if target.at_least else "≤"
    return [
        f"{gauge.title} ({gauge.of})" if gauge.of and gauge.unit != "×" else gauge.title,
        f"{sign} {target.limit:g} {gauge.unit} {gauge.of if gauge.unit == '×' else ''}".strip(),
        gauge_words(gauge),
        verdict(met),
        "",
    ]


def verdict(met: bool | None) -> str:
    return "–" if met is None else "yes" if met else "**no**"


def cost_medians(table: Table, row: str) -> list[tuple[str, float]]:
    """Return the median of each column of a row, for plots."""
    found = []
    for column in table.columns:
        values = table.values(row, column)
        if values:
            found.append((column, statistics.median(values)))
    return found
