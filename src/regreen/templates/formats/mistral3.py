"""``mistral3``: Mistral Large 3 and its family, the name in front of the arguments' JSON."""

from __future__ import annotations

import json

from regreen.templates.calls.json_calls import JsonSyntax
from regreen.templates.chat import Results
from regreen.templates.format import ToolFormat
from regreen.templates.formats.chats_json import MISTRAL
from regreen.templates.parser import Reasoning
from regreen.templates.tools import ToolTable

__all__ = ["CALLS", "FORMAT"]

CALLS = JsonSyntax(
    call=("[TOOL_CALLS]", ""),
    header=("", "[ARGS]"),
    header_pattern=r"(?P<name>[\w.:/-]{1,128}?)(?:\[CALL_ID\](?P<id>\w{1,64}))?\s{0,8}\[ARGS\]",
    between="",
    lead="",
    tokens=True,
)


def definitions(tools: ToolTable) -> str:
    """One JSON array of the tools as declared."""
    return json.dumps([tool.declared for tool in tools.tools], ensure_ascii=False)


FORMAT = ToolFormat(
    name="mistral3",
    title="Mistral Large 3: [TOOL_CALLS]NAME[ARGS]{JSON}",
    definitions=definitions,
    calls=CALLS,
    results=Results(each=("", ""), role="tool", folded=False),
    chat=MISTRAL,
    reasoning=Reasoning("[THINK]", "[/THINK]"),
    source="chat template of mistralai/Mistral-Large-3-675B-Instruct-2512",
    notes=(
        "The published template writes a long default system text with dates when there is none,"
        " and joins messages of one role that follow each other; here neither happens.",
        "Since version 13 of the format calls have no ids; the [CALL_ID] of version 11 and the"
        " JSON array of version 3 are read.",
    ),
)
