"""The reference page of the tool-calling formats, written from the registry and by trying them.

What a format does with types and with several calls is shown by an example that it wrote and read
back itself, so the page cannot say what the code does not do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from regreen.templates.diversity.draw import DiversityConfig, permits
from regreen.templates.diversity.families import family
from regreen.templates.diversity.probes import PLAIN, SHELL, answer, native
from regreen.templates.format import ToolFormat
from regreen.templates.message import ToolCall
from regreen.templates.registry import ALIASES, FORMATS, tool_format

__all__ = ["Example", "aliases", "example", "reference_page"]


class Example(NamedTuple):
    """Tools and two calls that a format can write."""

    tools: Sequence[Mapping[str, Any]]
    """In OpenAI shape."""
    calls: Sequence[ToolCall]
    """Two calls."""


_HEAD = """# Tool-calling formats

Written by `make docs`; a test compares it with the code. Name a format with
`regreen.templates.tool_format(NAME)` or `regreen convert SOURCE --to NAME`.

*Several calls*: whether one answer may hold more than one. *Types*: whether a value's type stands
in the text or comes from the tool's schema. *Definitions* and *framing*: whether the diversity
sampler may exchange them.
"""


_DRAWS = """## Draws

`regreen convert --diverse` draws a format for each trajectory, from its id and the seed alone. The
weights stand in the table `[diversity]` of the file given with `-c`:

```toml
[diversity]
seed = 1
held_out = ["hermes", "react"]
definitions = {{native = 1, markdown = 1}}
```

`formats` weighs the formats above (all alike by default), `wordings` the {wordings} wordings of a
block by their index, and `results` takes the name of any format too. A format that needs its own
definitions or framing keeps them. `held_out` also keeps back the formats that write calls in the
same words as one of them, white space and literals aside, and result wrappers in the same words; a
format whose own wrapper is kept back gets another. `--hold-out 0.2` holds out about a fifth of
these families, chosen by name. Of one family are

{twins}

and every other format is one by itself. What was drawn is recorded as `tool_format` and can be
read back: `hermes[definitions=markdown,wording=3,order=77]`.
"""


def aliases(name: str) -> list[str]:
    """Other names of a format, servers' parser names among them."""
    return sorted(alias for alias, target in ALIASES.items() if target == name)


def example(form: ToolFormat) -> Example:
    """Two calls, of the kind that the format has a form of its own for, if there is one."""
    known = native(form)
    if known is None:
        return Example((PLAIN.tool, SHELL.tool), (PLAIN.calls[0], SHELL.calls[1]))
    return Example((known.tool, PLAIN.tool), (known.calls[0], PLAIN.calls[0]))


def reference_page() -> str:
    """The page in Markdown."""
    forms = {name: tool_format(name) for name in sorted(FORMATS)}
    head = [
        "| format | several calls | types | reasoning | definitions | framing |",
        "|---|---|---|---|---|---|",
    ]
    rows = [
        f"| [`{name}`](#{name}) | {' | '.join(_traits(form))} |" for name, form in forms.items()
    ]
    sections = [_section(name, form) for name, form in forms.items()]
    return "\n".join([_HEAD, *head, *rows, "", *sections, _draws()])


def _draws() -> str:
    """What the diversity sampler can choose between."""
    defaults = DiversityConfig()
    axes = {
        "definitions": defaults.definitions,
        "schemas": defaults.schemas,
        "results": defaults.results,
        "chats": defaults.chats,
    }
    rows = [
        f"| `{axis}` | {', '.join(f'`{name}` {weight:g}' for name, weight in weights.items())} |"
        for axis, weights in axes.items()
    ]
    return "\n".join(
        [
            _DRAWS.format(wordings=len(defaults.wordings), twins=_twins()),
            "| axis | names and default weights |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _twins() -> str:
    """The families that have more than one format."""
    families: dict[str, list[str]] = {}
    for name in FORMATS:
        families.setdefault(family(name), []).append(name)
    alike = [names for names in families.values() if len(names) > 1]
    return "\n".join(f"- {', '.join(f'`{name}`' for name in names)}" for names in alike)


def _traits(form: ToolFormat) -> tuple[str, ...]:
    allowed = permits(form.name)
    return (
        "yes" if form.parallel else "no",
        _types(form),
        _reasoning(form),
        "any" if allowed.definitions else "its own",
        "any" if allowed.chat else "its own",
    )


def _types(form: ToolFormat) -> str:
    call = PLAIN.calls[0]
    text = form.completion(answer([call]), [PLAIN.tool]) + form.chat.stops[0]
    same = [one.arguments for one in form.parse(text, None).tool_calls] == [call.arguments]
    return "in the text" if same else "by the schema"


def _reasoning(form: ToolFormat) -> str:
    if form.channels is not None:
        return "a channel"
    if form.reasoning is None:
        return "none"
    marks = f"{_code(form.reasoning.open.strip())} {_code(form.reasoning.close.strip())}"
    return marks.replace("|", "\\|")


def _section(name: str, form: ToolFormat) -> str:
    called = ", ".join(f"`{alias}`" for alias in aliases(name))
    rows = [f"## {name}", "", f"{form.title}."]
    rows += [f"Also called {called}."] if called else []
    rows += [f"Source: {form.source}."] if form.source else []
    role = form.results.role
    opening, closing = form.chat.turns["user"]
    rows += [
        "",
        f"- a user's turn: {_code(opening)} … {_code(closing)}",
        f"- results stand in the {role}'s turn, "
        + ("all of an answer in one" if form.results.folded else "each in its own"),
    ]
    rows += [f"- {note}" for note in form.notes]
    return "\n".join([*rows, "", *_shown(form), ""])


def _shown(form: ToolFormat) -> list[str]:
    found = example(form)
    calls = found.calls if form.parallel else found.calls[:1]
    results = [
        {"role": "tool", "tool_call_id": f"call_{place}", "content": text}
        for place, text in zip(range(len(calls)), ("src/app.py:3", "app.py"), strict=False)
    ]
    messages = [{"role": "user", "content": "Where?"}, answer(calls), *results]
    pieces = form.pieces(messages, found.tools)
    text = "".join(piece.text for piece in pieces if piece.message > 0).strip("\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=2))
    return [f"{fence}text", text, fence]


def _code(text: str) -> str:
    shown = text.replace("\n", "\\n")
    return f"`{shown}`" if shown else "nothing"
