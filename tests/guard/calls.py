"""Reads the stored calls: one per block, blocks apart by a line of two percent signs."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "calls"


def read_calls(name: str) -> list[str]:
    text = (FOLDER / f"{name}.txt").read_text()
    return [block.strip("\n") for block in text.split("\n%%\n")]
