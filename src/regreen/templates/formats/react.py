"""``react``: thoughts, actions and observations as labelled lines, arguments as JSON."""

from __future__ import annotations

from dataclasses import replace

from regreen.templates.calls.react_calls import ANSWER, OBSERVATION, ReactSyntax
from regreen.templates.calls.text_channels import TextChannels
from regreen.templates.chat import CHATML, Results
from regreen.templates.definitions.blocks import plain_list
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = ReactSyntax()
_CHAT = replace(CHATML, stops=(*CHATML.stops, OBSERVATION))

_RULES = """\
Work in steps. To use a tool, write exactly these lines and then stop:

Thought: what you know and what you want to find out
Action: the name of one tool
Action Input: its arguments as one JSON object

You are then shown what the tool returned, as `Observation: ...`. When nothing is left to do, write

Thought: why you are done
Final Answer: what you have to say to the user"""


def definitions(tools: ToolTable) -> str:
    """The tools and the lines to write."""
    return "\n\n".join(["# Tools", plain_list(tools.tools), _RULES])


FORMAT = ToolFormat(
    name="react",
    title="ReAct: Thought, Action and Action Input lines, answered by Observation",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("Observation: ", ""), folded=False),
    chat=_CHAT,
    channels=TextChannels(CALLS, _CHAT.stops, thought="Thought: ", answer=f"{ANSWER} "),
    parallel=False,
    source="Yao et al. 2022 (arXiv 2210.03629); the labels are those of LangChain and Qwen-Agent",
    notes=(
        "Text beside a call is the thought, text without one the final answer; the label in "
        "front of either is no content, and a completion without an action is an answer.",
        "`Observation:` ends a completion. What a model writes behind one of its own making is "
        "text, its actions are not calls.",
        "Several actions in one completion are read as several calls.",
        "The wording is ours.",
    ),
)
