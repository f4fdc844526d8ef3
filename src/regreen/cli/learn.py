"""``regreen learn``: the demonstration that a policy learns here, from nothing to a curve."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from regreen.cli.report import write_reports
from regreen.cli.shared import Output, check_run, check_writable, interrupted
from regreen.core.config import resolve_config
from regreen.core.errors import UsageError

if TYPE_CHECKING:
    from regreen.core.console import Console
    from regreen.train.learn.demo import Learnt
    from regreen.train.learn.settings import LearnConfig

__all__ = ["learn"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LearnFlags(Output):
    """Flags of the verb."""

    guard: bool = True
    """Without the guard, an answer lies planted in every box, and nothing keeps anybody from it."""
    steps: int | None = None
    """Batches of reinforcement learning (default as measured for ten minutes)."""
    held_out: int | None = None
    """Held-out puzzles of the first and the last evaluation (default 768)."""
    seed: int | None = None
    """Decides everything that is drawn (default 0)."""
    config: Annotated[Path | None, Parameter(alias="-c")] = None
    """TOML file with the table [learn]; REGREEN_* variables and flags win over it."""
    resume: Annotated[bool, Parameter(negative="")] = False
    """Go on with an interrupted demonstration in the same directory."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Check everything that needs no data, then stop."""

    def settings(self) -> LearnConfig:
        """The settings, checked."""
        from regreen.train.learn.settings import LearnConfig, UnguardedConfig

        given: dict[str, Any] = {
            "seed": self.seed,
            "rl": {"steps": self.steps},
            "stage": {"held_out": self.held_out},
        }
        kind = LearnConfig if self.guard else UnguardedConfig
        return resolve_config(
            kind, file=self.config, table="learn", environ=dict(os.environ), flags=given
        )


def learn(
    *, out: Annotated[Path | None, Parameter(alias="-o")] = None, flags: LearnFlags | None = None
) -> int:
    """Teach a small model to repair one-line bugs, from new weights, in about ten minutes.

    A scripted agent that is right about a quarter of the time teaches a hybrid model of 1.2 million
    parameters the tools and their format; then the model improves by reinforcement learning in real
    boxes, rewarded by hidden tests alone. Needs no GPU, Docker, key or network. The last line is
    JSON: success on puzzles never seen, before and after.

    For example:

        regreen learn
        regreen learn --seed 1 -o runs/learn-1
        regreen learn --no-guard

    Parameters
    ----------
    out
        Directory for everything made (default runs/learn-DATE).
    """
    flags = flags or LearnFlags()
    console, config = flags.console(), flags.settings()
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    kind = "learn" if flags.guard else "learn-unguarded"
    folder = out or Path("runs") / f"{kind}-{stamp}"
    check_run(folder)
    if folder.is_dir() and any(folder.iterdir()) and not flags.resume:
        msg = "the directory is not empty"
        raise UsageError(msg, where=str(folder), mend="add --resume, or give another --out")
    if flags.dry_run:
        console.note(f"would write to {folder}; nothing was run")
        return 0
    check_writable(folder / "report.html", "the report")
    found = _run(config, folder, console)
    if found is None:
        interrupted(console, resume=flags.resume)
    page = _report(folder, guarded=flags.guard)
    console.note(f"the curve is {page.parent / 'curve.png'}; read the rollouts in {page}")
    console.result(json.dumps(_told(found)))
    return 0


def _run(config: LearnConfig, folder: Path, console: Console) -> Learnt | None:
    from regreen.train.learn.demo import learn as demonstrate
    from regreen.train.stop import asked_to_stop

    with asked_to_stop() as asked:
        return demonstrate(config, folder, console=console, asked=asked)


def _report(folder: Path, *, guarded: bool) -> Path:
    from regreen.store.run import RunDirectory

    title = "A policy learns to repair bugs" + ("" if guarded else ", unguarded")
    with RunDirectory.open(folder / "rl") as directory:
        return write_reports(directory, title=title)


def _told(found: Learnt) -> dict[str, Any]:
    return {
        "held_out_before": round(found.before["resolved"], 4),
        "held_out_after": round(found.after["resolved"], 4),
        "standard_error": round(found.standard_error, 4),
        "tasks": int(found.after["rollouts"]),
        "clean_before": round(found.before["clean_resolved"], 4),
        "clean_after": round(found.after["clean_resolved"], 4),
        "hack_rate_after": round(found.after["hacked"], 4),
        "seconds": round(found.seconds, 1),
    }
