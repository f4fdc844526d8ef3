"""Reports of a run: Markdown for a terminal, one self-contained page for a browser."""

from regreen.view.facts import RunFacts
from regreen.view.report_html import render_html
from regreen.view.report_md import render_markdown
from regreen.view.summary import digest, slices, summarise

__all__ = ["RunFacts", "digest", "render_html", "render_markdown", "slices", "summarise"]
