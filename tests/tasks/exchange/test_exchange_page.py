"""docs/reference/exchange.md: its program runs, and it names every format there is."""

from __future__ import annotations

import re
from pathlib import Path

from regreen.tasks.exchange.kinds import KINDS
from regreen.tasks.exchange.writers import TARGETS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "exchange.md").read_text()


def test_its_program_runs() -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)

    exec(compile(program, "exchange.md", "exec"), {})


def test_it_names_every_format() -> None:
    assert [name for name in (*KINDS, *TARGETS) if f"| `{name}` |" not in PAGE] == []
