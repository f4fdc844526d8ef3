"""Our own words around tools: paraphrases of a tool block, and wrappers of results.

A published block is one way to say it; a model that has read only that one learns its words. These
say the same in other words and orders of speech, and never name a format.
"""

from __future__ import annotations

from dataclasses import dataclass

from regreen.templates.chat import Results

__all__ = ["RESULTS", "WORDINGS", "Wording"]


@dataclass(frozen=True)
class Wording:
    """One way to introduce tools."""

    before: str
    """In front of the definitions."""
    behind: str
    """Between the definitions and the example of a call."""
    one: str
    """Behind the example, where one call may be made at a time."""
    many: str
    """Behind the example, where a message may hold several calls."""
    around: tuple[str, str] = ("", "")
    """Around the definitions."""


WORDINGS = (
    Wording(
        before="# Tools\n\nThese functions are at your disposal:\n\n",
        behind="\n\n# How to call one\n\nWrite a call exactly like this:\n\n",
        one="\n\nMake one call per message, then wait for its result.",
        many="\n\nSeveral calls may follow each other in one message.",
        around=("<tools>\n", "\n</tools>"),
    ),
    Wording(
        before="You can use tools to do the work. The tools are:\n\n",
        behind="\n\nTo use a tool, answer in the following form:\n\n",
        one="\n\nUse at most one tool in each answer.",
        many="\n\nYou may use more than one tool in an answer; results come in the same order.",
    ),
    Wording(
        before="Available tools:\n",
        behind="\nCall syntax:\n",
        one="\nOne call per turn.",
        many="\nOne or more calls per turn.",
    ),
    Wording(
        before=(
            "In this conversation you work with a computer through functions. What each function"
            " does and which arguments it takes is written below.\n\n"
        ),
        behind=(
            "\n\nWhen you decide to call a function, write the call as in this example, with the"
            " names and values that fit:\n\n"
        ),
        one=(
            "\n\nAfter a call, stop and wait: the result will be given to you in the next message."
            " Never write more than one call before you have seen the result."
        ),
        many=(
            "\n\nAfter the calls, stop and wait: the results will be given to you in the next"
            " message. Calls that do not depend on each other may be written together."
        ),
    ),
    Wording(
        before="## Functions\n\n",
        behind="\n\n## Calling\n\n",
        one="\n\nOnly one function is called at a time. Required arguments must be present.",
        many="\n\nIndependent calls may share a message. Required arguments must be present.",
        around=("```\n", "\n```"),
    ),
    Wording(
        before="Here is everything you are able to do besides writing text:\n\n",
        behind="\n\nHere is what doing it looks like:\n\n",
        one="\n\nDo a single thing, look at what came of it, and go on from there.",
        many="\n\nYou can do several things at once when none needs the outcome of another.",
    ),
    Wording(
        before=(
            "You are connected to an environment that carries out tool calls. Say in a sentence"
            " what you are about to do, if that helps, and then call a tool.\n\nTOOLS\n\n"
        ),
        behind="\n\nFORM OF A CALL\n\n",
        one="\n\nLIMITS\n\nOne call in each message. Nothing may follow it.",
        many="\n\nLIMITS\n\nNothing may follow the last call of a message.",
    ),
    Wording(
        before="<available_functions>\n",
        behind="\n\nA call must look like this, tags and all:\n\n",
        one="\n\nIf no function is needed, simply answer. Otherwise make exactly one call.",
        many="\n\nIf no function is needed, simply answer. Otherwise make the calls you need.",
        around=("", "\n</available_functions>"),
    ),
    Wording(
        before="The following operations may be requested from the system.\n\n",
        behind="\n\nA request is made by writing:\n\n",
        one="\n\nThe system replies to one request at a time.",
        many="\n\nThe system replies to all requests of a message at once.",
        around=("---\n", "\n---"),
    ),
    Wording(
        before="Tools you may call, with their parameters:\n\n",
        behind=(
            "\n\nCall them only when they help, never invent a tool or a parameter, and keep to"
            " this notation:\n\n"
        ),
        one="\n\nPlease send no second call before the answer to the first.",
        many="\n\nIt is fine to send several calls together.",
    ),
)
"""From terse to wordy; a draw names one by its index, so new ones are added at the end."""

RESULTS = {
    "tool_response": Results(each=("<tool_response>\n", "\n</tool_response>"), between="\n"),
    "named": Results(each=("Result of {name}:\n", ""), between="\n\n"),
    "observation": Results(each=("Observation: ", ""), between="\n"),
    "output": Results(each=("<output>\n", "\n</output>"), between="\n"),
    "fenced": Results(each=("```output\n", "\n```"), between="\n\n"),
    "brackets": Results(each=("[{name} returned]\n", "\n[end of {name}]"), between="\n"),
    "attributed": Results(each=('<result tool="{name}">\n', "\n</result>"), between="\n"),
    "list": Results(
        each=("<result>\n", "\n</result>"),
        between="\n",
        around=("<function_results>\n", "\n</function_results>"),
    ),
}
"""Wrappers of results that no chat framing is needed for: they stand in the user's turn."""
