"""The reference page is what the registry makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from regreen.templates import ALIASES, FORMATS, tool_format
from regreen.templates.diversity.probes import reads_back
from regreen.templates.reference import aliases, example, reference_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "tool-formats.md"


def test_the_reference_of_formats_is_current() -> None:
    assert PAGE.read_text() == reference_page(), "run: make docs"


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_has_a_section_with_an_example_and_a_source(name: str) -> None:
    page = reference_page()
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    form = tool_format(name)

    assert form.name == name
    assert form.title in section
    assert form.source, "a format names where it is defined"
    assert form.source in section
    assert all(note in section for note in form.notes)
    assert all(reads_back(form, [call], example(form).tools) for call in example(form).calls)
    assert "text\n" in section
    assert f"| [`{name}`](#{name}) |" in page


def test_every_alias_is_named_and_leads_somewhere() -> None:
    page = reference_page()

    assert all(f"`{alias}`" in page for alias in ALIASES)
    assert set(ALIASES.values()) <= set(FORMATS)
    assert not set(ALIASES) & set(FORMATS)
    assert sum(len(aliases(name)) for name in FORMATS) == len(ALIASES)
