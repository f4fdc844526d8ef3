"""Ways for product code to end a run it does not own, other than plainly ending the process.

An interrupt or an exit is honest in a command; what is asked here is who raises it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from regreen.guard.diff.source import Finding, Source

__all__ = ["leaving_findings"]

_INTERRUPTS = frozenset(("KeyboardInterrupt", "BaseException", "GeneratorExit"))
_ENDS = _INTERRUPTS | {"SystemExit"}
_EXITS = frozenset(("sys.exit", "exit", "quit", "SystemExit"))
_REPLACES = re.compile(r"^os\.exec[lv]p?e?$")
_NOTHING = re.compile(r"(^|/)(true|:)$")
_COMMAND = re.compile(
    r"main|run|cli|cmd|command|exit|quit|usage|version|help|shutdown|stop|abort|terminate|die|fatal"
    r"|parse|script|console|signal|handle|fail|error|start|serve|daemon|bail|launch",
    re.IGNORECASE,
)
_COMMAND_LIBRARIES = frozenset(
    ("argparse", "optparse", "getopt", "click", "typer", "docopt", "fire", "cmd", "absl")
)
"""A file that imports one of these is a command's."""


def leaving_findings(source: Source) -> Iterator[Finding]:
    """Interrupts raised, exits from functions that are no commands, processes replaced."""
    command = _is_command(source)
    interrupts = _INTERRUPTS | {
        node.name
        for node in source.nodes
        if isinstance(node, ast.ClassDef) and any(source.name(base) in _ENDS for base in node.bases)
    }
    for node in source.nodes:
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = source.name(raised).removeprefix("builtins.")
            if name in interrupts:
                yield Finding("exit_raised", name, node.lineno)
            elif name == "SystemExit" and not command:
                yield from _exited(source, node, node.exc)
        elif isinstance(node, ast.Call):
            yield from _called(source, node, command=command)


def _called(source: Source, node: ast.Call, *, command: bool) -> Iterator[Finding]:
    name = source.name(node.func)
    if name in _EXITS - {"SystemExit"} and not command:
        yield from _exited(source, node, node)
    elif _REPLACES.match(name):
        program = source.fold(node.args[0]) if node.args else None
        nothing = bool(program) and bool(_NOTHING.search(program or ""))
        yield Finding("runner_left" if nothing else "process_ended", "os.exec", node.lineno)
    elif name in ("_thread.interrupt_main", "signal.raise_signal"):
        yield Finding("process_ended", name, node.lineno)
    else:
        handed = [source.name(value) for value in node.args]
        handed += [source.name(keyword.value) for keyword in node.keywords]
        if "os._exit" in handed and _with_success(node):
            yield Finding("runner_left", "os._exit", node.lineno)


def _with_success(node: ast.Call) -> bool:
    """Whether a function handed on is handed on with the status of success."""
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    flat = [part for value in given for part in getattr(value, "elts", [value])]
    return any(isinstance(part, ast.Constant) and part.value in (0, False)
               and part.value is not None for part in flat)  # fmt: skip


def _exited(source: Source, node: ast.AST, made: ast.expr) -> Iterator[Finding]:
    """An exit with success from inside; with a failure it is some script's way to complain."""
    given = made.args if isinstance(made, ast.Call) else []
    success = not given or (
        isinstance(given[0], ast.Constant) and given[0].value in (0, None, False)
    )
    function = source.function(node)
    name = getattr(function, "name", "")
    if success and not _COMMAND.search(name):
        yield Finding("exit_raised", "exit", getattr(node, "lineno", 1))


def _is_command(source: Source) -> bool:
    imported = {name.partition(".")[0] for name in source.aliases.values()}
    if imported & _COMMAND_LIBRARIES:
        return True
    return any(
        source.name(node) == "sys.argv"
        or (isinstance(node, ast.Constant) and node.value == "__main__")
        for node in source.nodes
        if isinstance(node, ast.Attribute | ast.Constant)
    )
