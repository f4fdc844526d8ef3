"""Tools, fragments and readings that the tests of the text formats share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from regreen.templates.format import ToolFormat
from regreen.templates.message import ParsedMessage, collect
from regreen.templates.registry import tool_format

NAMES = ("bash_block", "swe_agent", "aider_diff", "apply_patch", "react")
BLOCK = "```mswea_bash_command\n"
EDIT = "a/b.py\n```python\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n```\n"
PATCH = "*** Begin Patch\n*** Update File: a.py\n@@\n-x\n+y\n*** End Patch"


def function(name: str, required: list[str], **types: str) -> dict[str, Any]:
    """A tool in OpenAI's shape."""
    properties = {key: {"type": kind} for key, kind in types.items()}
    schema = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


SHELL = function("bash", ["command"], command="string", timeout="integer")
SEARCH = function("search", ["query"], query="string", limit="integer")
EDITOR = function(
    "edit_file",
    ["path", "search", "replace"],
    path="string",
    search="string",
    replace="string",
)
PATCHER = function("apply_patch", ["input"], input="string")
TOOLS = [SHELL, SEARCH, EDITOR, PATCHER, function("submit", [])]

FRAGMENTS = (
    *("```", "````", "`", "\n", "\n\n", " ", "\t", "\r", "x", "é", "😀", '"', "\\", "{", "}"),
    *(
        "```\n",
        "\n```\n",
        "  ```\n",
        "```python\n",
        BLOCK,
        "```bash\nsearch <<'JSON'\n{}\nJSON\n```",
    ),
    *("<<'JSON'", "search <<'JSON'\n", "JSON\n", "cat <<EOF\n", "EOF\n", "<<'E'", '{"query": "q"}'),
    *("<<<<<<< SEARCH\n", "=======\n", "\n=======", ">>>>>>> REPLACE\n", "a.py", "a/b.py\n", EDIT),
    *("*** Begin Patch\n", "*** Update File: x\n", "\n*** End Patch", "*** End Patch\n", PATCH),
    *("Thought: ", "Action: search\n", "Action Input: {}", "Observation: ", "Final Answer: "),
    *("\u2060", "`\u2060``", "A\u2060ction:", "<|im_end|>", "<think>", "</think>"),
)
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=7).map("".join)
patches = texts.map(lambda text: f"*** Begin Patch\n*** Add File: x\n{text}\n*** End Patch")
calls = st.one_of(
    st.tuples(st.just("bash"), st.fixed_dictionaries({"command": texts})),
    st.tuples(st.just("bash"), st.fixed_dictionaries({"command": texts, "timeout": st.just(3)})),
    st.tuples(st.just("search"), st.fixed_dictionaries({"query": texts})),
    st.tuples(
        st.just("edit_file"),
        st.fixed_dictionaries({"path": texts | st.just("a.py"), "search": texts, "replace": texts}),
    ),
    st.tuples(st.just("apply_patch"), st.fixed_dictionaries({"input": texts | patches})),
    st.tuples(st.just("submit"), st.just({})),
)


def message(content: str, *made: tuple[str, dict[str, Any]], reasoning: str = "") -> dict[str, Any]:
    """An assistant's message."""
    rows = [{"function": {"name": name, "arguments": given}} for name, given in made]
    return {
        "role": "assistant",
        "content": content,
        "reasoning_content": reasoning,
        "tool_calls": rows,
    }


def streamed(form: ToolFormat, text: str, tools: Any, size: int = 1) -> ParsedMessage:
    """A text read in pieces."""
    parser = form.stream(tools)
    deltas = [
        delta for at in range(0, len(text), size) for delta in parser.feed(text[at : at + size])
    ]
    return collect([*deltas, *parser.finish()])


def read(name: str, text: str, tools: Any = TOOLS) -> ParsedMessage:
    """A text read whole, after checking that reading it in pieces is the same."""
    form = tool_format(name)
    whole = form.parse(text, tools)
    for size in (1, 2, 3, 7):
        assert streamed(form, text, tools, size) == whole
    return whole


def made(parsed: ParsedMessage) -> list[tuple[str, dict[str, Any]]]:
    """Name and arguments of the complete calls."""
    return [(call.name, call.arguments) for call in parsed.tool_calls]
