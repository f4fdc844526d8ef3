"""``apply_patch``: the patch format of Codex, from ``*** Begin Patch`` to ``*** End Patch``."""

from __future__ import annotations

from regreen.templates.calls.edit_blocks import Patch
from regreen.templates.calls.text_calls import TextSyntax
from regreen.templates.calls.text_channels import TextChannels
from regreen.templates.chat import CHATML, Results
from regreen.templates.definitions.blocks import block_rules
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = TextSyntax(Patch())

_RULES = """\
To change files with `{name}`, write a patch, its first line at the start of a line and no fence \
around it:

*** Begin Patch
*** Update File: src/greeting.py
@@ def greet(who):
-    return "hello"
+    return f"hello {{who}}"
*** Add File: src/names.py
+NAMES = ["Ada"]
*** Delete File: src/old.py
*** End Patch

Below `*** Update File:` every line begins with a space (unchanged), `-` (removed) or `+` (added); \
`@@` and a line of the file say where a hunk belongs, and `*** Move to:` renames the file. A new \
file consists of lines with `+`."""


def definitions(tools: ToolTable) -> str:
    """The tools, and how to write patches and other calls."""
    native = CALLS.form.shape.find(tools)
    name = native.name if native else ""
    return block_rules(tools, name, _RULES.format(name=name), CALLS.form.shell[0])


FORMAT = ToolFormat(
    name="apply_patch",
    title="Codex's patches between *** Begin Patch and *** End Patch",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("", ""), folded=False),
    channels=TextChannels(CALLS, CHATML.stops),
    source="Codex, apply_patch",
    notes=(
        "The text of the patch, both marks included, is the argument of the tool whose only "
        "required parameter is one string (`input` or `patch`). Other calls are `NAME <<'JSON'` "
        "in a bash block; the wording is ours.",
        "An argument that is not one whole patch and nothing else, for instance one that ends in "
        "a newline, is written in the JSON form.",
        "A patch inside a fence is an example.",
    ),
)
