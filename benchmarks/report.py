"""What a benchmark hands back: tables for people, figures for programs, and the bars it had to reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over several rounds: the median, and the lowest and highest beside it."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure to quote."""
        return median(self.values)

    def text(self, digits: int = 0) -> str:
        """Write `median (lowest..highest)`."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f})"

    def figures(self) -> dict[str, float]:
        """Return what the file of results keeps."""
        return {"median": round(self.median, 4), "min": round(min(self.values), 4), "max": round(max(self.values), 4)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One promise of RELIABILITY or of an issue, and whether this run kept it."""

    name: str
    wanted: str
    measured: str
    is_met: bool


@dataclass(slots=True, kw_only=True)
class Table:
    """A table with a sentence above it."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]]

    def lines(self) -> list[str]:
        """Lay the table out; the first column to the left, the others to the right."""
        widths = [max(len(row[at]) for row in [list(self.columns), *self.rows]) for at in range(len(self.columns))]
        laid_out = [
            "  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(pairs))
            for pairs in (list(zip(row, widths, strict=True)) for row in [list(self.columns), *self.rows])
        ]
        return [self.title, laid_out[0], "-" * len(laid_out[0]), *laid_out[1:], ""]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """All that one benchmark found."""

    tables: list[Table]
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Write everything for a terminal."""
        lines = [line for table in self.tables for line in table.lines()]
        lines += [f"{'reached' if bar.is_met else 'MISSED '}  {bar.name}: {bar.measured} (wanted {bar.wanted})"
                  for bar in self.bars]  # fmt: skip
        return "\n".join([*lines, "", *self.notes])

    def as_json(self) -> dict[str, Any]:
        """Return what the file of results keeps."""
        bars = [{"name": b.name, "wanted": b.wanted, "measured": b.measured, "is_met": b.is_met} for b in self.bars]
        return {"figures": self.figures, "bars": bars, "notes": self.notes}
