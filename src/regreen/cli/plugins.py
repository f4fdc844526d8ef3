"""``regreen plugins``: what can be given by name: agents, sandboxes, formats, fault classes."""

from __future__ import annotations

from importlib.metadata import entry_points

from regreen.agents import AGENTS
from regreen.cli.shared import Output
from regreen.sandbox import PROVIDERS
from regreen.tasks.inject.operators import describe
from regreen.templates.reference import aliases
from regreen.templates.registry import FORMATS, tool_format

__all__ = ["plugins"]


def plugins(*, output: Output | None = None) -> int:
    """List what can be given by name: agents, sandboxes, tool-calling formats, fault classes.

    Others come by entry point (`regreen.agents`) or as a dotted path `package.module:Class`.

    For example:

        regreen plugins
        regreen plugins --json

    Parameters
    ----------
    output
        How to talk.
    """
    output = output or Output()
    console = output.console()
    installed = {point.name: point.value for point in entry_points(group="regreen.agents")}
    agents = {**AGENTS, **installed}
    operators = describe()
    formats = {name: tool_format(name) for name in FORMATS}
    if output.json:
        console.json(
            {
                "agents": agents,
                "sandboxes": PROVIDERS,
                "formats": [
                    {"id": name, "aliases": aliases(name), "title": form.title}
                    for name, form in sorted(formats.items())
                ],
                "operators": [
                    {
                        "id": row.id,
                        "family": row.family,
                        "summary": row.summary,
                        "conditions": row.conditions,
                    }
                    for row in operators
                ],
            }
        )
        return 0
    console.table(("agent", "class"), sorted(agents.items()))
    console.result("")
    console.table(("sandbox", "class"), sorted(PROVIDERS.items()))
    console.result("")
    console.table(
        ("tool-calling format", "also called", "what it is"),
        [(name, " ".join(aliases(name)), form.title) for name, form in sorted(formats.items())],
    )
    console.result("")
    console.table(
        ("fault class", "family", "what it does"),
        [(row.id, row.family, row.summary) for row in operators],
    )
    return 0
