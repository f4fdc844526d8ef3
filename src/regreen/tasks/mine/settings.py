"""What to mine, and how long to try."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MineSettings"]


class MineSettings(BaseModel):
    """Settings of a mining job; a journal belongs to one set of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_files: int = Field(default=15, ge=1)
    """Source files that a change may touch."""
    max_lines: int = Field(default=1000, ge=1)
    """Lines that its source side may add and remove together."""
    pass_to_pass: int = Field(default=250, ge=1)
    """Tests that must stay green, at most; those nearest to the change are taken."""
    test_seconds: float = Field(default=60.0, gt=0)
    """Wall seconds of one test."""
    run_seconds: float = Field(default=600.0, gt=0)
    """Wall seconds of one run of a change's tests."""
    installed: bool = False
    """Copy each environment from this installation, without network: enough for pure Python without
    dependencies."""
    row_bytes: int = Field(default=50_000, ge=1000)
    """Bytes that a task's row may have; tests that must stay green are left out until it fits."""
