"""How the index proxy works, for all rollouts of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["IndexSettings"]


class IndexSettings(BaseModel):
    """How the proxy works, for all rollouts of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache: Path
    """Directory of pages and files; runs share it."""
    upstream: str = ""
    """URL of a simple index, or a directory of wheels as a path or ``file://`` URL; empty is what
    this machine's installers are set up for."""
    file_hosts: tuple[str, ...] = ()
    """Origins that may hold its files (``https://files.example.org``), besides its own and those
    public ones that its pages name."""
    log: Path | None = None
    """Takes one JSON line per request; None keeps no log."""
    undated: Literal["refuse", "allow"] = "refuse"
    """What becomes of files without an upload time when a task has a date."""
    page_seconds: float = 3600.0
    """How long a page is believed before the upstream is asked again."""
    max_page_bytes: int = 64 << 20
    """Largest page taken from the upstream."""
    max_file_bytes: int = 2 << 30
    """Largest file."""
    rollout_bytes: int = 16 << 30
    """Most bytes one rollout may fetch."""
    stall_seconds: float = 30.0
    """Longest silence of the upstream or of a box."""
    total_seconds: float = 900.0
    """Longest time for one file."""
    connections: int = 128
    """Connections one box may hold open at once; uv opens fifty."""
    requests_per_second: float = 100.0
    """Sustained rate of one box; faster ones wait."""
    burst: int = 500
    """Requests that may come at once before that holds."""
    port: int = 3141
    """Port of the box's own loopback."""
