"""``harmony_xml``: gpt-oss's TypeScript definitions with calls in tags, our reading."""

from __future__ import annotations

from regreen.templates.calls.tags import TagSyntax
from regreen.templates.chat import Results
from regreen.templates.definitions.signatures import typescript
from regreen.templates.format import ToolFormat
from regreen.templates.tools import ToolTable

__all__ = ["FORMAT"]

_RULES = """

To call a function of the namespace, write:

<call to="functions.example">
<parameter name="text">
a value as it is, over several lines if need be
</parameter>
<parameter name="count">
3
</parameter>
</call>

Strings are written as they are, everything else as JSON. Think first, call last."""


def definitions(tools: ToolTable) -> str:
    """The tool block."""
    return "# Tools\n\n## functions\n\n" + typescript(tools.tools) + _RULES


FORMAT = ToolFormat(
    name="harmony_xml",
    title="gpt-oss's definitions, our reading: TypeScript types, calls in tags to a recipient",
    definitions=definitions,
    calls=TagSyntax(
        call=('<call to="functions.{name}">\n', "</call>"),
        param=('<parameter name="{key}">\n', "\n</parameter>\n"),
    ),
    results=Results(each=('<result from="functions.{name}">\n', "\n</result>"), between="\n"),
    source="ours: that definitions are TypeScript and calls XML is all that is published",
    notes=(
        "The grammar is our own reading; it keeps gpt-oss's name of the recipient, `functions.`, "
        "which its definitions explain.",
    ),
)
