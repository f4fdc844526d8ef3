"""The grammar of calls that are text: ReAct lines, shell blocks, edits and patches.

Arguments that stand as JSON follow their schema. Raw text of a block follows the rules by which the
block is read: a shell block of three backticks holds no such fence and only here-documents that
end, one of four holds anything without four; edits hold no line that is one of their marks;
a patch has the shape of a patch, whether or not it applies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from regreen.templates.grammar.parts import (
    NOTHING,
    CallGrammar,
    Format,
    any_text,
    const,
    either,
    optional,
    regex,
    schema,
    seq,
    several,
)
from regreen.templates.grammar.schema import argument_schema

if TYPE_CHECKING:
    from regreen.templates.calls.react_calls import ReactSyntax
    from regreen.templates.calls.text_calls import TextSyntax
    from regreen.templates.tools import Tool, ToolTable

__all__ = ["EDIT", "PATCH", "react_calls", "shell_block", "text_calls"]

_TICKS = "```"
_JSON = [
    f"<<{dash}{space}{quote}JSON"
    for dash in ("", "-")
    for space in ("", " ")
    for quote in ("", "'", '"')
]


def react_calls(syntax: ReactSyntax, tools: ToolTable) -> CallGrammar:
    """The grammar of ``Action:`` and ``Action Input:`` lines."""
    one = either(
        seq(
            const(f"Action: {tool.name}\nAction Input: "),
            schema(argument_schema(tool)),
        )
        for tool in tools.tools
    )
    bars = ("Action Input:",)
    return CallGrammar(one, several(one, "\n"), bars, line=True, fenced=False)


def text_calls(syntax: TextSyntax, tools: ToolTable) -> CallGrammar:
    """The grammar of blocks: the native form, and commands that read JSON."""
    native = syntax.form.shape.find(tools)
    form, marks = syntax.form.structure()
    forms = [form] if native is not None else []
    forms += [_command(syntax, tool) for tool in tools.tools]
    one = either(forms)
    own = syntax.form.shell[0] if len(syntax.form.shell) == 1 else None
    bars = ("<think>", *_JSON, *marks)
    text = _blocks(bars, own)
    front = either((NOTHING, seq(text, const("\n"))))
    return CallGrammar(one, several(one, "\n\n"), bars, text=text, front=front)


def _command(syntax: TextSyntax, tool: Tool) -> Format:
    """A block with one command that reads its arguments as JSON."""
    head = f"{_TICKS}{syntax.form.shell[0]}\n{tool.name} <<'JSON'\n"
    return seq(const(head), schema(argument_schema(tool)), const(f"\nJSON\n{_TICKS}"))


def _blocks(bars: tuple[str, ...], own: str | None) -> Format:
    """Text whose code blocks, of three backticks at the start of a line, are closed.

    Args:
        bars: what it must not hold.
        own: info of the blocks that are calls; None when all other blocks are text.
    """
    text = any_text((*bars, _TICKS))
    word = seq(regex("[A-Za-z]"), any_text(("`", "\n", "\r", *([own, own[1:]] if own else ()))))
    info = word if own == "" else optional(word)
    block = seq(const(_TICKS), info, const("\n"), text, const(f"\n{_TICKS}"))
    last = either((NOTHING, seq(const("\n"), text)))
    more = {"type": "star", "content": seq(const("\n"), block, last)}
    return seq(either((text, seq(block, last))), more)


# -- native forms -----------------------------------------------------------------------------

_WORDS = ("EOF", "EOT", "END", "PY", "PYTHON")


def shell_block(info: str) -> Format:
    """A fenced command."""
    plain = any_text((_TICKS, "<<"))
    shift = regex("<<[0-9a-z$(=]|<<<[ \"'$A-Za-z0-9]")
    rest = any_text(("\n", "<<", _TICKS))
    parts = seq(plain, {"type": "star", "content": seq(either([shift, *_documents(rest)]), plain)})
    short = seq(const(f"{_TICKS}{info}\n"), parts, const(f"\n{_TICKS}"))
    long = any_text((_TICKS + "`", *_JSON))
    return either((short, seq(const(f"{_TICKS}`{info}\n"), long, const(f"\n{_TICKS}`"))))


def _documents(rest: Format) -> Iterator[Format]:
    """Here-documents of the usual words, up to the word that ends them."""
    for word in _WORDS:
        mark = either(const(f"<<{quote}{word}{quote}") for quote in ("", "'", '"'))
        body = seq(regex(_other_than(word)), any_text((f"\n{word}\n", _TICKS)))
        behind = seq(const("\n"), optional(seq(body, const("\n"))), const(word))
        yield seq(mark, optional(seq(regex("[ \t|>;&)]"), rest)), behind, const("\n"))


def _other_than(word: str) -> str:
    """Pattern of empty lines and the beginning of one that is not ``word``."""
    begun = [rf"{word[:at]}[^{word[at]}\n`]" for at in range(len(word))]
    return rf"\n*({'|'.join(begun)}|{word}[^\n`])"


_PATH = r"[^\x00-\x20`*:#<>'\"\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000]"
_INNER = r"[^\x00-\x20`\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000]"
_LAST = r"[^\x00-\x20`*:\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000]"

EDIT: Format = {
    "type": "grammar",
    "grammar": rf"""
root ::= path "\n" ticks "\n<<<<<<< SEARCH\n" lines "=======\n" lines ">>>>>>> REPLACE\n" ticks
path ::= {_PATH} ({_INNER}{{0,150}} {_LAST})?
ticks ::= "```" "`"?
lines ::= (line "\n")*
line ::= "" | [^=<>\n] [^\n]* | equals | less | more
equals ::= "="{{1,6}} ([^=\n] [^\n]*)? | "=======" ("=" | [ \t]* [^= \t\r\n]) [^\n]*
less ::= "<"{{1,6}} ([^<\n] [^\n]*)?
more ::= ">"{{1,6}} ([^>\n] [^\n]*)?
""",
}
"""A SEARCH/REPLACE block below a file's name."""

PATCH: Format = {
    "type": "grammar",
    "grammar": r"""
root ::= "*** Begin Patch\n" file+ "*** End Patch"
file ::= add | delete | update
add ::= "*** Add File: " rest "\n" ("+" rest? "\n")*
delete ::= "*** Delete File: " rest "\n"
update ::= "*** Update File: " rest "\n" ("*** Move to: " rest "\n")? hunk*
hunk ::= ("@@" rest? "\n")? (([ +-] rest?)? "\n")+ ("*** End of File\n")?
rest ::= [^\n]+
""",
}
"""A patch; its lines begin as a patch's lines do."""
