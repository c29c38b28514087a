"""Results held against what is to be reached."""

# ruff: noqa: RUF001 - the page is typeset: the dash and the times sign are meant

from __future__ import annotations

import statistics

import measure
from bench import Gauge, Table
from results import Part
from targets import TARGETS, Cost, Limit, Speed, Target
from typesetting import gauge_words, ratio_words, speed

HEADER = ["", "to reach", "measured", "reached"]


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
    return speed_row(target, table) if isinstance(target, Speed) else cost_row(target, table)


def speed_row(target: Speed, table: Table) -> list[str]:
    ratio = speed(table, target.row, table.subject, target.peer)
    peer = table.columns.get(target.peer, target.peer)
    return [
        f"{table.rows[target.row]}{where_measured(table)}",
        f"≥ {target.ratio:g} × {peer}",
        ratio_words(ratio),
        verdict(None if ratio is None else ratio.median >= target.ratio),
    ]


def cost_row(target: Cost, table: Table) -> list[str]:
    other = target.other or next(iter(table.columns))
    ratio = measure.speed_ratio(
        table.values(target.row, other), table.values(target.row, table.subject)
    )
    return [
        f"{table.rows[target.row]}: {table.columns[table.subject]}{where_measured(table)}",
        f"≤ {target.ratio:g} × {table.columns[other]}",
        ratio_words(ratio),
        verdict(None if ratio is None else ratio.median <= target.ratio),
    ]


def where_measured(table: Table) -> str:
    """Say it where it is not the usual: pinned."""
    return ", unpinned" if table.key.endswith("unpinned") else ""


def limit_row(target: Limit, gauge: Gauge) -> list[str]:
    met = gauge.value >= target.limit if target.at_least else gauge.value <= target.limit
    sign = "≥" if target.at_least else "≤"
    return [
        f"{gauge.title} ({gauge.of})" if gauge.of and gauge.unit != "×" else gauge.title,
        f"{sign} {target.limit:g} {gauge.unit} {gauge.of if gauge.unit == '×' else ''}".strip(),
        gauge_words(gauge),
        verdict(met),
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
