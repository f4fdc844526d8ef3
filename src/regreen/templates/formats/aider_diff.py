"""``aider_diff``: Aider's SEARCH/REPLACE blocks, the file's name above the fence."""

from __future__ import annotations

from regreen.templates.calls.edit_blocks import SearchReplace
from regreen.templates.calls.text_calls import TextSyntax
from regreen.templates.calls.text_channels import TextChannels
from regreen.templates.chat import CHATML, Results
from regreen.templates.definitions.blocks import block_rules
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = TextSyntax(SearchReplace(), named=True)

_RULES = """\
To change a file with `{name}`, write its path on a line of its own and directly below it a \
fenced block that says which lines to replace and with what:

src/greeting.py
```
<<<<<<< SEARCH
    return "hello"
=======
    return f"hello {{who}}"
>>>>>>> REPLACE
```

The lines to search must stand in the file exactly like this, white space included. Leave that \
part empty to create a file. Write one block for each change."""


def definitions(tools: ToolTable) -> str:
    """The tools, and how to write edits and other calls."""
    native = CALLS.form.shape.find(tools)
    name = native.name if native else ""
    return block_rules(tools, name, _RULES.format(name=name), CALLS.form.shell[0])


FORMAT = ToolFormat(
    name="aider_diff",
    title="Aider's edit format diff: SEARCH/REPLACE blocks below a file's name",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("", ""), folded=False),
    channels=TextChannels(CALLS, CHATML.stops),
    source="Aider, edit format diff",
    notes=(
        "Aider sends no tools: an edit is a call of the tool whose required parameters are among "
        "a path, a text to search and its replacement. Other calls are `NAME <<'JSON'` in a bash "
        "block; the wording is ours.",
        "The newline in front of a mark is framing: an empty text is no line at all, and a text "
        "that ends in a newline ends in an empty line.",
        "Edits whose text holds a line that is one of the marks, or whose path has white space, "
        "are written in the JSON form.",
        "Several edits in one block are read as several calls of the same path.",
        "A single word at the start of a line is held back until what follows it is known.",
    ),
)
