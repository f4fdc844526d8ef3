"""Reports as text: aligned columns, cut to size, or Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Column:
    """How one column looks."""

    title: str
    align: str = "left"
    width: int | None = None

    def __post_init__(self) -> None:
        if self.align not in ("left", "right", "center"):
            raise LedgerError(f"unknown alignment: {self.align!r}")


def shorten(text: str, width: int, mark: str = "…") -> str:
    """The text itself, or its beginning with a mark, in at most ``width`` characters."""
    if len(text) <= width:
        return text
    return text[: max(0, width - len(mark))].rstrip() + mark[:width]


def pad(text: str, width: int, align: str = "left") -> str:
    """The text with spaces around it; an odd one goes to the right when centred."""
    if align == "right":
        return text.rjust(width)
    if align == "center":
        left = (width - len(text)) // 2
        return " " * left + text.ljust(width - left)
    return text.ljust(width)


def paragraph(text: str, width: int = 72, bullet: str = "") -> str:
    """Wrapped text, further lines hanging under the first word after the bullet."""
    return textwrap.fill(
        text,
        width=width,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
    )


class Table:
    """Rows under columns, as aligned text."""

    gap = "  "

    def __init__(self, *columns: Column) -> None:
        self.columns = columns
        self.rows: list[list[str]] = []

    def add(self, *cells: object) -> None:
        """Add a row.

        Raises:
            LedgerError: it has not one cell per column.
        """
        if len(cells) != len(self.columns):
            raise LedgerError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append([self.cell(value) for value in cells])

    def cell(self, value: object) -> str:
        """How a value is shown."""
        return "" if value is None else str(value)

    def widths(self) -> list[int]:
        """Width of each column: its longest cell, or less where the column says so."""
        found = []
        for index, column in enumerate(self.columns):
            widest = max(len(column.title), *(len(row[index]) for row in self.rows), 0)
            found.append(widest if column.width is None else min(widest, column.width))
        return found

    def line(self, cells: Sequence[str]) -> str:
        """One row as text."""
        shown = []
        for text, column, width in zip(cells, self.columns, self.widths(), strict=True):
            shown.append(pad(shorten(text, width), width, column.align))
        return self.gap.join(shown)

    def rule(self) -> str:
        """The line under the titles."""
        return self.gap.join("-" * width for width in self.widths())

    def lines(self) -> Iterator[str]:
        """Titles, rule and rows."""
        yield self.line([column.title for column in self.columns])
        yield self.rule()
        for row in self.rows:
            yield self.line(row)

    def render(self) -> str:
        """The whole table; no line ends in spaces."""
        return "\n".join(line.rstrip() for line in self.lines())


class MarkdownTable(Table):
    """The same rows as a table in Markdown."""

    gap = " | "

    def cell(self, value: object) -> str:
        """A value with the pipes in it escaped."""
        return super().cell(value).replace("|", "\\|")

    def line(self, cells: Sequence[str]) -> str:
        """One row between pipes."""
        return f"| {super().line(cells)} |"

    def rule(self) -> str:
        """The line that tells the alignment."""
        ends = {"left": (":", "-"), "right": ("-", ":"), "center": (":", ":")}
        parts = []
        for column, width in zip(self.columns, self.widths(), strict=True):
            first, last = ends[column.align]
            parts.append(first + "-" * (width - 2) + last)
        return f"| {self.gap.join(parts)} |"
