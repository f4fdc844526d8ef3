"""The reference page of the fault classes, written from the classes themselves."""

from __future__ import annotations

from itertools import groupby

from regreen.tasks.inject.operators.catalog import describe

__all__ = ["reference_page"]

_HEAD = """# Fault classes

Written by `make docs`; a test compares it with the code. Name one with
`regreen tasks inject SOURCE --operators NAME ...`; set shares in a TOML file under `[inject.mix]`.
"""


def reference_page() -> str:
    """The page in Markdown, families in alphabetical order."""
    rows = sorted(describe(), key=lambda row: (row.family, row.id))
    parts = [_HEAD]
    for family, members in groupby(rows, key=lambda row: row.family):
        lines = [f"| `{row.id}` | {row.summary} | {_cell(row.conditions)} |" for row in members]
        table = "\n".join(["| class | what it does | when it applies |", "|---|---|---|", *lines])
        parts.append(f"## {family}\n\n{table}\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
