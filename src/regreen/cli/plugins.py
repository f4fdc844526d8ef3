"""``regreen plugins``: agents, sandbox providers and fault classes that can be named."""

from __future__ import annotations

from importlib.metadata import entry_points

from regreen.agents import AGENTS
from regreen.cli.shared import Output
from regreen.sandbox import PROVIDERS
from regreen.tasks.operators import describe

__all__ = ["plugins"]


def plugins(*, output: Output | None = None) -> int:
    """List what can be given by name: agents, sandbox providers, fault classes.

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
    if output.json:
        console.json(
            {
                "agents": agents,
                "sandboxes": PROVIDERS,
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
        ("fault class", "family", "what it does"),
        [(row.id, row.family, row.summary) for row in operators],
    )
    return 0
