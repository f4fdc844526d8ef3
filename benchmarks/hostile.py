"""Two goals at once: text full of a format's own marks survives, and malformed calls are mended.

Hostile cases are well-formed: the wire text is written without the renderer's guard, with real code
whose values hold closing tags, whole example calls and fragments of them. Malformed cases are
well-formed calls with one thing wrong, each with the outcomes that are right. Whatever happens, no
call may come out complete with other arguments. Run: python benchmarks/hostile.py [--format NAME]
[--cases N] [--seed S] [--show N] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from typing import Any

from hostile_cases import COMMON, EXACT, KITS, Case, Wire, hostile, malformed

from regreen.templates import ParsedMessage, tool_format
from regreen.templates.calls.tag_spec import TagSpec
from regreen.templates.message import ToolCall
from regreen.templates.registry import FORMATS
from regreen.templates.tools import tool_table


def bare(calls: tuple[ToolCall, ...], *, newline: bool = False) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments; with ``newline`` without one at the end of a value."""
    found = [(call.name, call.arguments) for call in calls]
    if not newline:
        return found
    return [
        (name, {key: _cut(value) for key, value in arguments.items()}) for name, arguments in found
    ]


def _cut(value: Any) -> Any:
    return value.removesuffix("\n") if isinstance(value, str) else value


def outcome(case: Case, read: ParsedMessage) -> str:
    """exact, incomplete, text, or half: a complete call that was not meant."""
    found = bare(read.tool_calls, newline=case.newline)
    meant = bare(case.calls, newline=case.newline)
    if any(call not in meant for call in found) or len(found) > len(meant):
        return "half"
    if case.content is not None and read.content.strip() != case.content.strip():
        return "other text"
    if found == meant and meant and not read.incomplete:
        return "exact"
    return "incomplete" if read.incomplete or found else "text"


def ambiguous(wire: Wire, case: Case, read: ParsedMessage) -> bool:
    """Whether what was read is written with the very same text, so that nothing can tell."""
    if not read.tool_calls or read.incomplete or bare(read.tool_calls) == bare(case.calls):
        return False
    lead = wire.form.calls.lead if read.content or wire.form.leads else ""
    text = read.content + lead + wire.write(*read.tool_calls)
    return text == case.text.removesuffix(wire.form.chat.stops[0])


def contested(wire: Wire, case: Case, read: ParsedMessage) -> bool:
    """Whether a call with a doubled closing mark, which is to be mended, has the very same text."""
    marks = "|".join(re.escape(mark.strip()) for mark in wire.closers)
    spec = wire.form.calls
    framed = isinstance(spec, TagSpec) and spec.framed[1]
    before = r"\s*\n[ \t]*" if framed else r"\s*"
    runs = re.compile(before + rf"({marks})(?:\s*\1)*")
    lead = wire.form.calls.lead if read.content or wire.form.leads else ""
    text = read.content + lead + wire.write(*read.tool_calls)
    given = case.text.removesuffix(wire.form.chat.stops[0])
    doubled = re.search(rf"({marks})\s*\1", given) is not None
    return doubled and runs.sub(r"\n\1", given) == runs.sub(r"\n\1", text)


def guard_holds(wire: Wire, case: Case) -> bool:
    """Whether the renderer's own text of the same calls is read back."""
    calls = [
        {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in case.calls
    ]
    message = {"role": "assistant", "content": case.content or "", "tool_calls": calls}
    text = wire.form.completion(message, wire.table) + wire.form.chat.stops[0]
    return bare(wire.form.parse(text, wire.table).tool_calls) == bare(case.calls)


def measure(name: str, count: int, seed: int, show: int, told: bool) -> dict[str, Any]:
    form, kit = tool_format(name), KITS.get(name, COMMON)
    wire = Wire(form, kit, tool_table(kit.tools))
    tally: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for family, cases in (
        ("hostile", hostile(wire, random.Random(f"{name} {seed} hostile"), count)),
        ("malformed", malformed(wire, random.Random(f"{name} {seed} malformed"), count)),
    ):
        for case in cases:
            known = case.truncated if told else None
            read = form.parse(case.text, wire.table, truncated=known)
            result = outcome(case, read)
            if family == "hostile" and result != "exact":
                doubt = ambiguous(wire, case, read) or contested(wire, case, read)
                tally["guarded"] += guard_holds(wire, case)
                tally["not exact"] += 1
                if doubt:
                    tally["ambiguous"] += 1
                    continue
            right = result in case.right
            tally[family] += 1
            tally[f"{family} right"] += right
            tally[f"{family} half"] += result == "half"
            if family == "malformed" and case.right == EXACT:
                tally["to recover"] += 1
                tally["recovered"] += right
            if not right:
                wrong[f"{family}: {case.kind}: {result}"] += 1
                if show > 0:
                    show -= 1
                    print(f"--- {name}, {case.kind}: {result}\n{case.text}\n=> {read}\n")
    return {"format": name, **tally, "wrong": dict(wrong.most_common())}


def table(rows: list[dict[str, Any]]) -> str:
    heads = ("hostile", "exact", "half", "ambiguous", "guarded", "malformed", "right", "recovered")
    lines = [f"{'format':<20}" + "".join(f"{head:>11}" for head in (*heads, "half"))]
    for row in rows:
        cells = [
            row["hostile"],
            share(row, "hostile right", "hostile"),
            row["hostile half"],
            row.get("ambiguous", 0),
            share(row, "guarded", "not exact"),
            row["malformed"],
            share(row, "malformed right", "malformed"),
            share(row, "recovered", "to recover"),
            row["malformed half"],
        ]
        lines.append(f"{row['format']:<20}" + "".join(f"{cell!s:>11}" for cell in cells))
        lines += [f"    {kind}: {count}" for kind, count in row["wrong"].items()]
    return "\n".join(lines)


def share(row: dict[str, Any], part: str, whole: str) -> str:
    return f"{100 * row.get(part, 0) / row[whole]:.1f} %" if row.get(whole) else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", action="append", choices=sorted(FORMATS))
    parser.add_argument("--cases", type=int, default=240, help="per format and family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print so many wrong cases per format")
    parser.add_argument("--untold", action="store_true", help="say nothing of how the text ended")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.format or sorted(FORMATS)
    told = not options.untold
    rows = [measure(name, options.cases, options.seed, options.show, told) for name in names]
    print(json.dumps(rows, indent=2) if options.json else table(rows))


if __name__ == "__main__":
    main()
