"""The page on training data: its code runs, and it names every filter and form."""

from __future__ import annotations

import re
from pathlib import Path

from regreen.packing.filters import DEFAULT_DROP, FILTERS
from regreen.train.data.settings import FORMS

PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "training-data.md").read_text("utf-8")


def test_the_code_of_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, {})


def test_filters_and_forms_are_named() -> None:
    assert all(f"| `{name}` |" in PAGE for name in FILTERS)
    assert f"`{','.join(DEFAULT_DROP)}`" in PAGE
    assert all(f"--form {form}" in PAGE for form in FORMS)
