"""One file, parsed once: its nodes, their spans, parents and owners, for every operator to share.

libcst's own parent and scope providers each cost more than the parse; one walk in source order
gives parents, owners and subtree ranges together, and a subtree is then a slice of a list.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from regreen.core.errors import UsageError
from regreen.tasks.inject.operators.zones import (
    constant_name,
    frozen_tree,
    is_docstring,
    is_environment_check,
)

__all__ = ["Block", "FileView", "Statement"]

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement
Block = cst.IndentedBlock | cst.SimpleStatementSuite | cst.Module

_LINE_END = re.compile(r"\r\n|\r|\n")
_LAYOUT = frozenset(
    (
        cst.SimpleWhitespace,
        cst.ParenthesizedWhitespace,
        cst.TrailingWhitespace,
        cst.EmptyLine,
        cst.Newline,
        cst.Comment,
        cst.LeftParen,
        cst.RightParen,
        cst.LeftSquareBracket,
        cst.RightSquareBracket,
        cst.LeftCurlyBrace,
        cst.RightCurlyBrace,
        cst.Dot,
        cst.Colon,
        cst.Semicolon,
        cst.AssignEqual,
        cst.Asynchronous,
        cst.NameItem,
    )
)
_COMPOUND = frozenset(
    (cst.If, cst.For, cst.While, cst.With, cst.Try, cst.TryStar, cst.FunctionDef, cst.ClassDef)
) | {cst.Match}
_STATEMENTS = _COMPOUND | {cst.SimpleStatementLine}
_EXITS = (cst.Return, cst.Raise, cst.Continue, cst.Break)


class FileView:
    """A parsed file.

    Offsets are those of ``code``, the text libcst holds; it lacks the form feeds and the byte
    order mark of the file, and ``to_source`` leads back.

    Args:
        path: names the file in errors.
        source: the file's text with its line ends as they are.

    Raises:
        UsageError: the text is not Python that libcst reads.
    """

    def __init__(self, path: str, source: str) -> None:
        try:
            self.module = cst.parse_module(source)
        except cst.ParserSyntaxError as error:
            what = f"not readable as Python: {error.message}"
            raise UsageError(what, where=f"{path}:{error.raw_line}") from error
        self.path = path
        self.source = source
        self.code = self.module.code
        self._map = _source_map(path, source, self.code)
        self.line_starts = [0, *(match.end() for match in _LINE_END.finditer(self.code))]
        wrapper = MetadataWrapper(self.module, unsafe_skip_copy=True)
        self._spans = wrapper.resolve(ByteSpanPositionProvider)
        self._chars = None if self.code.isascii() else _char_offsets(self.code)
        self.nodes: list[cst.CSTNode] = []
        self.ends: dict[cst.CSTNode, int] = {}
        self.index: dict[cst.CSTNode, int] = {}
        self.parents: dict[cst.CSTNode, cst.CSTNode] = {}
        self.owners: dict[cst.CSTNode, cst.FunctionDef | cst.ClassDef | None] = {}
        self.open_nodes: list[cst.CSTNode] = []
        self.constant_nodes: list[tuple[cst.CSTNode, str]] = []
        self.module.visit(_Walk(self))

    def to_source(self, offset: int, *, end: bool = False) -> int:
        """Offset in ``source`` of an offset in ``code``; an end binds to what precedes it."""
        if self._map is None:
            return offset
        return self._map[offset - 1] + 1 if end and offset else self._map[offset]

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Start and end of a node, without the parentheses and the white space around it."""
        span = self._spans[node]
        start, end = span.start, span.start + span.length
        if self._chars is None:
            return start, end
        return self._chars[start], self._chars[end]

    def outer(self, node: cst.BaseExpression) -> tuple[int, int]:
        """Start and end of an expression with the parentheses that are its own."""
        start, end = self.span(node)
        if node.lpar:
            start = self.span(node.lpar[0])[0]
        if node.rpar:
            end = self.span(node.rpar[-1])[1]
        return start, end

    def text(self, node: cst.CSTNode) -> str:
        """Source of a node, with its own parentheses."""
        if isinstance(node, cst.BaseExpression):
            start, end = self.outer(node)
        else:
            start, end = self.span(node)
        return self.code[start:end]

    def line(self, offset: int) -> int:
        """Line number (from 1) of an offset in ``code``."""
        return bisect_right(self.line_starts, offset)

    def line_start(self, offset: int) -> int:
        """Offset of the first character of the line."""
        return self.line_starts[self.line(offset) - 1]

    def line_end(self, offset: int) -> int:
        """Offset one past the line's end mark."""
        number = self.line(offset)
        return self.line_starts[number] if number < len(self.line_starts) else len(self.code)

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node above, None for the module."""
        return self.parents.get(node)

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes above, nearest first."""
        above = self.parents.get(node)
        while above is not None:
            yield above
            above = self.parents.get(above)

    def below(self, node: cst.CSTNode) -> Sequence[cst.CSTNode]:
        """Every node under ``node``, in source order, without ``node``."""
        return self.nodes[self.index[node] + 1 : self.ends[node]]

    def own(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Like ``below``, without the insides of nested functions, classes and lambdas."""
        position, end = self.index[node] + 1, self.ends[node]
        while position < end:
            inner = self.nodes[position]
            yield inner
            nested = isinstance(inner, (cst.FunctionDef, cst.ClassDef, cst.Lambda))
            position = self.ends[inner] if nested else position + 1

    def statement(self, node: cst.CSTNode) -> Statement | None:
        """The innermost statement that holds ``node``, or ``node`` itself; ``elif`` counts."""
        found: cst.CSTNode | None = node
        while found is not None and type(found) not in _STATEMENTS:
            found = self.parents.get(found)
        assert found is None or isinstance(found, Statement)
        return found

    def function(self, node: cst.CSTNode) -> cst.FunctionDef | None:
        """The innermost function around ``node``."""
        owner = self.owners.get(node)
        return owner if isinstance(owner, cst.FunctionDef) else None

    def reach(self, node: cst.CSTNode) -> tuple[int, ...]:
        """The line coverage reports when ``node`` is about to run."""
        found: cst.CSTNode | None = node
        while found is not None:
            if type(found) in _STATEMENTS or type(found) in (cst.ExceptHandler, cst.MatchCase):
                return (self.line(self.span(found)[0]),)
            found = self.parents.get(found)
        return ()

    def body_reach(self, function: cst.FunctionDef) -> tuple[int, ...]:
        """The line that runs whenever ``function`` is called."""
        for statement in function.body.body:
            if not is_docstring(statement):
                return (self.line(self.full_start(statement)),)
        return ()

    def readers(self, name: str) -> tuple[int, ...]:
        """Lines of statements in functions that read a constant of the module or of a class."""
        lines: set[int] = set()
        for node in self.nodes:
            is_name = isinstance(node, cst.Name) and node.value == name
            if is_name and isinstance(self.owners[node], cst.FunctionDef):
                lines.update(self.reach(node))
        return tuple(sorted(lines))

    def full_start(self, statement: cst.CSTNode) -> int:
        """Start of a statement with its decorators."""
        if isinstance(statement, (cst.FunctionDef, cst.ClassDef)) and statement.decorators:
            return self.span(statement.decorators[0])[0]
        return self.span(statement)[0]

    def indent(self, statement: cst.CSTNode) -> str:
        """White space before a statement on its line."""
        start = self.full_start(statement)
        return self.code[self.line_start(start) : start]

    def siblings(self, statement: cst.CSTNode) -> Sequence[cst.CSTNode]:
        """The statements of the block ``statement`` stands in, itself included."""
        block = self.parents.get(statement)
        return block.body if isinstance(block, (cst.IndentedBlock, cst.Module)) else ()

    def whole_lines(self, statement: cst.CSTNode) -> tuple[int, int]:
        """A statement with its line ends and with the comment lines right above it.

        The comments go along because they would tell what was there.
        """
        start = self.line_start(self.full_start(statement))
        end = self.line_end(max(self.span(statement)[1] - 1, start))
        siblings = self.siblings(statement)
        place = siblings.index(statement) if statement in siblings else 0
        floor = self.line_end(self.span(siblings[place - 1])[1] - 1) if place else 0
        while start > floor:
            above = self.line_start(start - 1)
            if above < floor or not self.code[above:start].lstrip().startswith("#"):
                break
            start = above
        return start, end

    def render(self, statements: Sequence[cst.BaseStatement], indent: str) -> str:
        """Source of statements at another indentation; strings over several lines stay."""
        block = cst.IndentedBlock(body=statements, indent=indent)
        text = self.module.code_for_node(block)
        first = _LINE_END.search(text)
        return text[first.end() :] if first else text

    @cached_property
    def newline(self) -> str:
        """The file's line end."""
        return self.module.default_newline

    def qualname(self, node: cst.FunctionDef | cst.ClassDef) -> str:
        """Python's ``__qualname__`` of a function or class."""
        parts = [node.name.value]
        owner = self.owners.get(node)
        while owner is not None:
            if isinstance(owner, cst.FunctionDef):
                parts.append("<locals>")
            parts.append(owner.name.value)
            owner = self.owners.get(owner)
        return ".".join(reversed(parts))


class _Walk(cst.CSTVisitor):
    """Fills a view's tables in one pass, and keeps the nodes where a fault may be put."""

    def __init__(self, view: FileView) -> None:
        super().__init__()
        self.view = view
        self.stack: list[cst.CSTNode] = []
        self.owner: list[cst.FunctionDef | cst.ClassDef | None] = [None]
        self.frozen = 0
        self.shut: set[cst.CSTNode] = set()
        self.freezers: list[cst.CSTNode] = []
        self.reserved: set[cst.CSTNode] = set()
        self.constant = ""

    def on_visit(self, node: cst.CSTNode) -> bool:
        kind = type(node)
        if kind in _LAYOUT:
            return False
        view = self.view
        parent = self.stack[-1] if self.stack else None
        if parent is not None:
            view.parents[node] = parent
        view.index[node] = len(view.nodes)
        view.nodes.append(node)
        view.owners[node] = self.owner[-1]
        self.stack.append(node)
        if kind in (cst.FunctionDef, cst.ClassDef):
            self.owner.append(node)  # type: ignore[arg-type]
        line_text = ""
        if kind in _STATEMENTS and isinstance(node, Statement):
            line_text = self._statement(node)
        if node in self.shut or frozen_tree(node, parent, line_text):
            self.freezers.append(node)
        elif not self.freezers and node not in self.reserved and self._runs_in_function(node):
            view.open_nodes.append(node)
        elif not self.freezers and self.constant and kind not in _STATEMENTS:
            view.constant_nodes.append((node, self.constant))
        self._shut_signature(node)
        return True

    def _runs_in_function(self, node: cst.CSTNode) -> bool:
        """Whether a call reaches the node; definitions are for the operators made for them."""
        declares = isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Param, cst.Decorator))
        return declares or isinstance(self.view.owners[node], cst.FunctionDef)

    def _shut_signature(self, node: cst.CSTNode) -> None:
        """Defaults, decorators and bases run at definition: only their own operators see them."""
        if isinstance(node, cst.Param) and node.default is not None:
            self.shut.add(node.default)
        elif isinstance(node, cst.Decorator):
            self.shut.add(node.decorator)
        elif isinstance(node, cst.ClassDef):
            self.shut.update((*node.bases, *node.keywords))

    def _statement(self, node: Statement) -> str:
        start = self.view.span(node)[0]
        if isinstance(node, cst.If):
            test = self.view.span(node.test)
            if is_environment_check(self.view.code[test[0] : test[1]]):
                self.shut.add(node.test)
                self.reserved.add(node)
        self.constant = constant_name(node)
        siblings = self.view.siblings(node)
        if siblings and node is siblings[0]:
            self._shut_dead_code(siblings)
        return self.view.code[start : self.view.line_end(start)]

    def _shut_dead_code(self, siblings: Sequence[cst.CSTNode]) -> None:
        for place, statement in enumerate(siblings):
            if isinstance(statement, cst.SimpleStatementLine) and isinstance(
                statement.body[-1], _EXITS
            ):
                self.shut.update(siblings[place + 1 :])
                return

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if type(original_node) in _LAYOUT:
            return
        view = self.view
        view.ends[original_node] = len(view.nodes)
        self.stack.pop()
        if type(original_node) in (cst.FunctionDef, cst.ClassDef):
            self.owner.pop()
        if self.freezers and self.freezers[-1] is original_node:
            self.freezers.pop()


def _char_offsets(code: str) -> dict[int, int]:
    """Offset in characters of every offset in UTF-8 bytes at which a character begins."""
    offsets: dict[int, int] = {}
    position = 0
    for number, char in enumerate(code):
        offsets[position] = number
        position += len(char.encode("utf-8", "surrogatepass"))
    offsets[position] = len(code)
    return offsets


def _source_map(path: str, source: str, code: str) -> list[int] | None:
    """Offset in ``source`` of every offset in ``code``, None when they are the same text."""
    if source == code:
        return None
    offsets: list[int] = []
    position = 0
    for char in code:
        while position < len(source) and source[position] != char:
            if source[position] not in "\f\ufeff":
                what = "libcst does not give this file back as it is written"
                raise UsageError(what, where=path, mend="leave the file out")
            position += 1
        offsets.append(position)
        position += 1
    if source[position:].strip():
        what = "libcst reads only part of this file"
        raise UsageError(what, where=path, mend="leave it out")
    return [*offsets, len(source)]
