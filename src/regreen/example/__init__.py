"""A small library with its tests, shipped with regreen: the whole loop runs on it offline.

It is data, not a part of regreen: nothing imports it, and only copies of it are ever broken.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["example_source"]


def example_source() -> Path:
    """The directory of the library ``ledger``: its pyproject.toml, its package and its tests."""
    return Path(__file__).parent / "ledger"
