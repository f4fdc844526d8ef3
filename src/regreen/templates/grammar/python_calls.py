"""The grammar of calls written as Python calls, in a list or as lines of a block.

Values are Python literals by their schema; a string may stand in either quotes, or in three of them
with its lines as they are. Prose must not hold a bracket with the name of an offered tool and a
round bracket behind it, in the usual spellings.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from regreen.templates.calls.python_write import literal
from regreen.templates.grammar.notation import Notation, Rules, quoted
from regreen.templates.grammar.parts import CallGrammar, Format, any_text, const, either, seq
from regreen.templates.grammar.schema import properties

if TYPE_CHECKING:
    from regreen.templates.calls.code_blocks import CodeSyntax
    from regreen.templates.calls.python_calls import PythonicSyntax
    from regreen.templates.tools import Tool, ToolTable

__all__ = ["code_calls", "python_calls"]

_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f"
_STRINGS = (
    "string ::= single | double | lines | dlines",
    "key ::= single | double",
    rf"""single ::= "'" ([^'\\\x09\x0a{_CONTROLS}] | escape)* "'" """,
    rf"""double ::= "\"" ([^"\\\x09\x0a{_CONTROLS}] | escape)* "\"" """,
    rf"""lines ::= "\'\'\'" (("'" "'"?)? ([^'\\{_CONTROLS}] | escape))* "\'\'\'" """,
    rf"""dlines ::= "\"\"\"" (("\"" "\""?)? ([^"\\{_CONTROLS}] | escape))* "\"\"\"" """,
    r"""escape ::= "\\" ([\\'"abfnrtv] | "x" hex hex | "u" scalar)""",
    "scalar ::= [0-9a-cefA-CEF] hex hex hex | [dD] [0-7] hex hex",
    "hex ::= [0-9a-fA-F]",
)


def _notation(quote: str) -> Notation:
    spell = partial(literal, quote=quote)
    return Notation(_STRINGS, ("True", "False", "None"), key=spell, spell=spell)


def python_calls(syntax: PythonicSyntax, tools: ToolTable) -> CallGrammar:
    """The grammar of a list of calls."""
    names = [tool.name + gap for tool in tools.tools for gap in ("", " ")]
    bars = [f"[{space}{name}(" for name in names for space in ("", " ", "\n")]
    marks = [syntax.wrap[0]] if syntax.wrap[0] else []
    one, many = (
        seq(const("["), _calls(syntax.quote, tools, between), const("]"))
        for between in ("", quoted(", "))
    )
    return CallGrammar(one, many, (*marks, *bars), line=bool(syntax.lead))


def code_calls(syntax: CodeSyntax, tools: ToolTable, runner: tuple[str, str] | None) -> CallGrammar:
    """The grammar of a block of calls, or of code.

    Code is any text without the block's end. A block of code that turns out to be nothing but calls
    is read as those, and they have not been held to their schemas.

    Args:
        syntax: the block.
        tools: the tools offered.
        runner: name and parameter of the tool that runs code; None without one.
    """
    opening, closing = syntax.block
    bars = tuple(f"{opening}{space}\n" for space in ("", " ", "\t", "\r"))
    found = []
    for between in ("", quoted("\n")):
        body = _calls(syntax.quote, tools, between)
        if runner is not None:
            body = either((body, any_text((closing,))))
        found.append(seq(const(f"{opening}\n"), body, const(f"\n{closing}")))
    return CallGrammar(found[0], found[1], bars)


def _calls(quote: str, tools: ToolTable, between: str) -> Format:
    """One call; several of them where something stands between two."""
    rules = Rules(_notation(quote))
    call = rules.add(" | ".join(_call(rules, tool) for tool in tools.tools))
    return rules.grammar(f"{call} ({between} {call})*" if between else call)


def _call(rules: Rules, tool: Tool) -> str:
    parts = []
    for key, schema, required in properties(tool):
        named = key.isidentifier()
        before = quoted(f"{key}=" if named else f"**{{{rules.notation.key(key)}: ")
        behind = "" if named else ' "}"'
        parts.append((f"{before} ({rules.value(schema)}){behind}", required))
    return f'{quoted(tool.name + "(")} {rules.members(parts)} ")"'
