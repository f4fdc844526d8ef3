"""Python: pytest and unittest suites, functions by the standard library's own parser.

Spans are whole lines of the text, so that a function can be exchanged without touching what
stands around it; everything is read by ``ast``, nothing is imported.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from itertools import pairwise
from pathlib import Path

from regreen.core.errors import UsageError
from regreen.grading.place import Place
from regreen.sandbox.base import SandboxProvider
from regreen.tasks.language.base import Fault, Function, Sources
from regreen.tasks.language.pynames import unknown_names
from regreen.tasks.prove.bench import Bench, SuiteRunner
from regreen.tasks.repo.discovery import find_suite, source_files
from regreen.tasks.repo.semantics import meaning

__all__ = ["Python"]

_LINE_END = re.compile(r"\r\n|\r|\n")
_SHOWN_ONLY = frozenset(("__repr__", "__del__", "__dir__"))
_DECLARED_ONLY = ("overload", "abstractmethod", "abstractproperty")
_Def = ast.FunctionDef | ast.AsyncFunctionDef
_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)


class Python:
    """See the ``Language`` protocol."""

    name = "python"
    comment = r"#(.*)"
    forged = '\nprint("\\n1000 passed in 0.01s")\n'
    command = "exec python -m pytest -p no:cacheprovider -rA {files}"

    def sources(self, tree: Path, *, where: str = "") -> Sources:
        """See the protocol; by the project's own files."""
        suite = find_suite(tree, where=where)
        library = source_files(tree, suite)
        rest = sorted(
            name
            for path in tree.rglob("*.py")
            if path.is_file() and (name := path.relative_to(tree).as_posix()) not in library
        )
        return Sources(library=library, tests=tuple(rest), paths=suite.command.args)

    def runner(
        self,
        place: Place,
        *,
        provider: SandboxProvider,
        workers: int = 2,
        warm: tuple[str, ...] = (),
    ) -> SuiteRunner:
        """See the protocol; forks of a warm pytest."""
        return Bench(provider, place, workers=workers, warm=warm)

    def functions(self, path: str, text: str) -> tuple[Function, ...]:
        """See the protocol; functions inside of functions belong to the outer one."""
        tree = _parsed(path, text)
        starts = [0, *(found.end() for found in _LINE_END.finditer(text))]
        found: list[Function] = []

        def visit(node: ast.AST, prefix: str) -> None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, _Def):
                    if not _is_stub(child):
                        found.append(_function(child, prefix, text, starts))
                else:
                    named = isinstance(child, ast.ClassDef)
                    visit(child, f"{prefix}{child.name}." if named else prefix)  # type: ignore[attr-defined]

        visit(tree, "")
        return tuple(found)

    def blank(self, text: str, function: Function) -> str:
        """See the protocol; the body raises NotImplementedError."""
        node = _def_at(text, function)
        lines = _lines(text)
        newline = "\r\n" if "\r\n" in text else "\n"
        if function.body_line == node.lineno and len(node.body) == 1:  # all on one line
            head = text[function.start : function.end]
            cut = head.rindex(ast.get_source_segment(text, node.body[0]) or "")
            body = "raise NotImplementedError"
            return text[: function.start] + head[:cut] + body + text[function.end :]
        kept = "".join(lines[: function.body_line - 1])
        indent = " " * (node.body[0].col_offset or 4)
        rest = text[function.end :]
        separator = "" if kept.endswith(("\n", "\r")) else newline
        return f"{kept}{separator}{indent}raise NotImplementedError{rest}"

    def faults(self, path: str, before: str, after: str) -> tuple[Fault, ...]:
        """See the protocol; a name that nothing binds is a fault, too."""
        try:
            for text in (after, before):
                _parsed(path, text)
        except UsageError as error:
            return (Fault("unreadable", error.what),)
        if meaning(before.encode(), after.encode()) == "none":
            return (Fault("unchanged", "nothing but comments, docs or layout is changed"),)
        unknown = sorted(unknown_names(after) - unknown_names(before))
        return tuple(Fault("unknown_name", f"nothing defines {name}") for name in unknown)

    def declaration(self, text: str, name: str) -> str:
        """See the protocol; a function, a class, or an assignment."""
        try:
            node: ast.AST | None = ast.parse(text)
        except (SyntaxError, ValueError):
            return ""
        for part in name.split("."):
            node = next((one for one in _body(node) if part in _bound(one)), None)
        if node is None:
            return ""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])  # type: ignore[attr-defined]
        return textwrap.dedent("".join(_lines(text)[first - 1 : node.end_lineno]))  # type: ignore[attr-defined]


def _parsed(path: str, text: str) -> ast.Module:
    """The tree of a text that also compiles.

    Raises:
        UsageError: it does not.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            compile(text, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        msg = f"it is not valid Python: {getattr(error, 'msg', error)} (line {line})"
        raise UsageError(msg, where=f"{path}:{line}") from error
    return tree


def _lines(text: str) -> list[str]:
    """Lines as the parser counts them: a form feed ends none."""
    ends = [found.end() for found in _LINE_END.finditer(text)]
    cuts = [0, *ends, len(text)]
    return [text[a:b] for a, b in pairwise(cuts) if b > a]


def _function(node: _Def, prefix: str, text: str, starts: list[int]) -> Function:
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    last = node.end_lineno or node.lineno
    end = starts[last] if last < len(starts) else len(text)
    docs = ast.get_docstring(node)
    body = node.body[1:] if docs is not None else node.body
    return Function(
        name=prefix + node.name,
        start=starts[first - 1],
        end=starts[first - 1] + len(text[starts[first - 1] : end].rstrip("\r\n")),
        line=first,
        body_line=_first_line(body[0]),
        end_line=last,
        signature=_signature(node),
        docs=docs or "",
        complexity=_complexity(node),
    )


def _first_line(node: ast.stmt) -> int:
    decorators: list[int] = [one.lineno for one in getattr(node, "decorator_list", ())]
    return min([node.lineno, *decorators])


def _signature(node: _Def) -> str:
    decorators = "".join(f"@{ast.unparse(one)}\n" for one in node.decorator_list)
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{decorators}{kind} {node.name}({ast.unparse(node.args)}){returns}"


def _complexity(node: ast.AST) -> int:
    count: int = 1
    for one in ast.walk(node):
        if isinstance(one, ast.BoolOp):
            count += len(one.values) - 1
        elif isinstance(one, ast.Compare):
            count += len(one.ops)
        elif isinstance(one, ast.comprehension):
            count += 1 + len(one.ifs)
        else:
            count += 1 if isinstance(one, _BRANCHES) else 0
    return count


def _is_stub(node: _Def) -> bool:
    """Whether it only declares, does nothing, or shows itself to people."""
    decorators = {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}
    if node.name in _SHOWN_ONLY or decorators & set(_DECLARED_ONLY):
        return True
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return all(
        isinstance(one, ast.Pass)
        or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        or (isinstance(one, ast.Raise) and "NotImplementedError" in ast.unparse(one))
        for one in body
    )


def _def_at(text: str, function: Function) -> _Def:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _Def) and node.end_lineno == function.end_line:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if first == function.line:
                return node
    msg = f"{function.name} does not stand in this text"
    raise UsageError(msg, where=f"line {function.line}", mend="list the text's functions again")


def _body(node: ast.AST | None) -> list[ast.stmt]:
    """Statements below a module or class, those under its conditions included."""
    found: list[ast.stmt] = []
    for child in ast.iter_child_nodes(node) if node is not None else ():
        if isinstance(child, (_Def, ast.ClassDef, ast.Assign, ast.AnnAssign)):
            found.append(child)
        elif isinstance(child, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
            found += _body(child)
    return found


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, (_Def, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {one.id for one in targets if isinstance(one, ast.Name)}
