"""Figures and tables as markdown."""

# ruff: noqa: RUF001 - the page is typeset: the dash and the times sign are meant

from __future__ import annotations

from collections.abc import Iterable, Sequence

import measure
from bench import Gauge, Table
from measure import Ratio


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out a table, first column to the left and the others to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(line) + " |" for line in (header, rule, *rows)]


def microseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio_words(ratio: Ratio | None) -> str:
    """Put a ratio as median with the least and most of the rounds."""
    if ratio is None:
        return "–"
    spread = "" if ratio.low == ratio.high else f" ({ratio.low:.2f}–{ratio.high:.2f})"
    return f"**{ratio.median:.2f}**{spread}"


def size_words(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


def gauge_words(gauge: Gauge) -> str:
    if gauge.unit == "×":
        return f"{gauge.value:.2f} ×"
    digits = 0 if gauge.value >= 1000 else 1 if gauge.value >= 10 else 3
    return f"{gauge.value:,.{digits}f} {gauge.unit}"


def speed(table: Table, row: str, subject: str, other: str) -> Ratio | None:
    """Return how many times as many *subject* does as *other*."""
    ours, theirs = table.values(row, subject), table.values(row, other)
    return measure.speed_ratio(ours, theirs) if ours and theirs else None


def table_section(table: Table) -> list[str]:
    """Ratios first, then the times they come from."""
    present = {
        key: title
        for key, title in table.columns.items()
        if any(table.values(row, key) for row in table.rows)
    }
    lines: list[str] = [f"## {table.title}", ""]
    if table.about:
        lines += [table.about, ""]
    others = [key for key in present if key != table.subject]
    if table.subject in present and others:
        lines += [*ratios(table, present, others), ""]
    lines += [
        "Microseconds per operation, median of the rounds (they prove nothing: other machine, "
        "other figures):",
        "",
        *markdown(
            ["", *present.values()],
            (
                [title, *(microseconds(table.median(row, key)) for key in present)]
                for row, title in table.rows.items()
            ),
        ),
        "",
        *tail_section(table, present),
    ]
    for key, reason in table.failed.items():
        lines += [f"- {table.columns[key]} dropped out: {reason}", ""]
    return lines


def ratios(table: Table, present: dict[str, str], others: list[str]) -> list[str]:
    """Hold the subject against the others: by speed if that is djafs, else by cost."""
    subject = table.subject
    title = present[subject]
    if subject == "djafs":
        about = (
            f"How many times as many operations per second {title} does as each of the others: "
            "median of the rounds (least–most)."
        )
    else:
        about = f"How many times as long an operation takes: {title}, held against the others."

    def cell(row: str, other: str) -> str:
        pair = (subject, other) if subject == "djafs" else (other, subject)
        return ratio_words(speed(table, row, *pair))

    header = ["", *(f"vs {present[key]}" for key in others)]
    rows = ([title, *(cell(row, key) for key in others)] for row, title in table.rows.items())
    return [about, "", *markdown(header, rows)]


def tail_section(table: Table, present: dict[str, str]) -> list[str]:
    """Percentiles of creating, where a slow one would hurt."""
    rows = []
    for key, title in present.items():
        timings = table.tails.get(f"create/{key}", [])
        if timings:
            rows.append(
                [
                    title,
                    microseconds(sorted(t.p50 for t in timings)[len(timings) // 2]),
                    microseconds(sorted(t.p99 for t in timings)[len(timings) // 2]),
                    microseconds(max(t.slowest for t in timings)),
                ]
            )
    if not rows:
        return []
    header = ["create + write + close, µs", "median", "99 %", "slowest of all"]
    return [*markdown(header, rows), ""]
