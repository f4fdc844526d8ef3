"""Writing calls as tags around raw values: the wire form of each format, and the last resort."""

from __future__ import annotations

from typing import Any

import pytest

from regreen.templates import tool_format
from regreen.templates.guard import JOINER
from regreen.templates.message import ToolCall
from regreen.templates.tools import tool_table

TOOLS = tool_table(
    [
        {
            "type": "function",
            "function": {
                "name": "edit",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "path": {"type": "string"},
                        "text": {"type": ["string", "null"]},
                        "deep": {"type": "boolean"},
                    },
                },
            },
        }
    ]
)
CALL = ToolCall("edit", {"path": "a.py", "text": "1\n2", "deep": True})
WIRE = {
    "qwen3_coder": """<tool_call>
<function=edit>
<parameter=path>
a.py
</parameter>
<parameter=text>
1
2
</parameter>
<parameter=deep>
True
</parameter>
</function>
</tool_call>""",
    "openhands_xml": """<function=edit>
<parameter=path>a.py</parameter>
<parameter=text>
1
2
</parameter>
<parameter=deep>true</parameter>
</function>""",
    "anthropic_xml": """<function_calls>
<invoke name="edit">
<parameter name="path">a.py</parameter>
<parameter name="text">1
2</parameter>
<parameter name="deep">true</parameter>
</invoke>
</function_calls>""",
    "deepseekv32": """<｜DSML｜function_calls>
<｜DSML｜invoke name="edit">
<｜DSML｜parameter name="path" string="true">a.py</｜DSML｜parameter>
<｜DSML｜parameter name="text" string="true">1
2</｜DSML｜parameter>
<｜DSML｜parameter name="deep" string="false">true</｜DSML｜parameter>
</｜DSML｜invoke>
</｜DSML｜function_calls>""",
    "glm46": """<tool_call>edit
<arg_key>path</arg_key>
<arg_value>a.py</arg_value>
<arg_key>text</arg_key>
<arg_value>1
2</arg_value>
<arg_key>deep</arg_key>
<arg_value>true</arg_value>
</tool_call>""",
    "xml_cline": """<edit>
<path>a.py</path>
<text>
1
2
</text>
<deep>true</deep>
</edit>""",
    "xml_aone": """<tool_use>
<tool_name>edit</tool_name>
<arguments>
<path>a.py</path>
<text>
1
2
</text>
<deep>true</deep>
</arguments>
</tool_use>""",
    "continue_block": """```tool
TOOL_NAME: edit
BEGIN_ARG: path
a.py
END_ARG
BEGIN_ARG: text
1
2
END_ARG
BEGIN_ARG: deep
true
END_ARG
```""",
}


@pytest.mark.parametrize("name", WIRE)
def test_the_wire_form(name: str) -> None:
    assert tool_format(name).calls.write([CALL], TOOLS) == WIRE[name]


def test_one_wrapper_holds_all_calls_of_a_grouped_format() -> None:
    stop = ToolCall("edit", {})
    text = tool_format("minimax_m2").calls.write([stop, stop], TOOLS)
    assert text.count("<minimax:tool_call>") == text.count("</minimax:tool_call>") == 1
    assert text.count("<invoke") == 2


@pytest.mark.parametrize("value", ["null", "5", "", f"{JOINER}x", "true", '"quoted"'])
def test_a_string_that_looks_like_another_type_comes_back_as_a_string(value: str) -> None:
    form = tool_format("qwen3_coder")
    text = form.calls.write([ToolCall("edit", {"text": value})], TOOLS)
    (call,) = form.parse(text, TOOLS).tool_calls
    assert call.arguments == {"text": value}


def test_only_what_would_be_misread_is_guarded() -> None:
    form = tool_format("qwen3_coder")
    harmless = completion("see <tool_call> and </parameter> here")
    assert JOINER not in harmless
    value = "x\n</parameter>\n<parameter=deep>\ntrue"
    broken = completion(value)
    assert JOINER in broken
    (call,) = form.parse(broken, TOOLS).tool_calls
    assert call.arguments == {"path": value}


def test_a_marker_inside_json_is_escaped_as_json_does() -> None:
    form = tool_format("qwen3_coder")
    items = ["</parameter>\n</function>\n</tool_call>", "</parameter>"]
    arguments = {"more": items, "path": "\n</parameter>\n<parameter=deep>\ntrue"}
    keys = {"more": {"type": "array"}, "path": {"type": "string"}, "deep": {"type": "string"}}
    schema = {"type": "object", "properties": keys}
    tools = [{"type": "function", "function": {"name": "edit", "parameters": schema}}]
    sent = {"role": "assistant", "tool_calls": [{"function": called(arguments)}]}
    text = form.completion(sent, tools)
    assert "\\u003c/parameter>" in text
    (call,) = form.parse(text, tools).tool_calls
    assert call.arguments == arguments


def called(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"name": "edit", "arguments": arguments}


def completion(path: str) -> str:
    sent = {"role": "assistant", "tool_calls": [{"function": called({"path": path})}]}
    return tool_format("qwen3_coder").completion(sent, TOOLS)
