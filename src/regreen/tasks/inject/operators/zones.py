"""Where no fault is put: code that tests do not see, or whose change would not be a bug.

Faults in annotations, messages, stubs or platform checks would survive every test or read as
vandalism, so the enumeration never offers these places to any operator.
"""

from __future__ import annotations

import re

import libcst as cst

__all__ = [
    "constant_name",
    "dotted",
    "frozen_tree",
    "hides_arguments",
    "is_docstring",
    "is_environment_check",
    "is_stub",
]

_NO_COVER = re.compile(r"#.*pragma:\s*no\s*cover")
_ENVIRONMENT = ("sys.version", "sys.platform", "os.name", "platform.", "sys.implementation", "PY3")
_ABOUT = re.compile(r"version|debug|verbose|logger|py[23]|typing", re.IGNORECASE)
_TALK = re.compile(r"\b(debug|verbose|DEBUG|VERBOSE)\b")
_LOG_METHODS = frozenset(
    ("debug", "info", "warning", "warn", "error", "exception", "critical", "log", "fatal")
)
_LOG_NAMES = re.compile(r"(^|\.)_*(log|logger|logging|warnings|LOG|LOGGER)$")
_TYPE_CALLS = frozenset(("cast", "TypeVar", "NewType", "ParamSpec", "typing.cast", "t.cast"))
_STUB_DECORATORS = ("overload", "abstractmethod", "abstractproperty", "type_check_only")
_DECLARATIONS = (cst.Annotation, cst.Assert, cst.Import, cst.ImportFrom, cst.Global)
_SHOWN_ONLY = frozenset(("__repr__", "__del__", "__dir__", "__init_subclass__"))


def dotted(node: cst.CSTNode | None) -> str:
    """``a.b.c`` for a chain of names, otherwise an empty string."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr.value}" if base else ""
    return ""


def is_docstring(node: cst.CSTNode) -> bool:
    """Whether a statement is a bare string or a bare ellipsis."""
    if not isinstance(node, cst.SimpleStatementLine) or len(node.body) != 1:
        return False
    only = node.body[0]
    texts = (cst.SimpleString, cst.ConcatenatedString, cst.Ellipsis)
    return isinstance(only, cst.Expr) and isinstance(only.value, texts)


def constant_name(node: cst.CSTNode) -> str:
    """The plain name that a statement binds to a value, empty for any other statement."""
    if not isinstance(node, cst.SimpleStatementLine) or len(node.body) != 1:
        return ""
    match node.body[0]:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]):
            pass
        case cst.AnnAssign(target=cst.Name(value=name), value=value) if value is not None:
            pass
        case _:
            return ""
    return "" if name.startswith("__") or _ABOUT.search(name) else name


def is_stub(node: cst.FunctionDef) -> bool:
    """Whether a function does nothing a test could notice, or is only a declaration."""
    for decorator in node.decorators:
        target = decorator.decorator
        name = dotted(target.func if isinstance(target, cst.Call) else target)
        if name.rpartition(".")[2] in _STUB_DECORATORS:
            return True
    if node.name.value in _SHOWN_ONLY:
        return True
    for statement in node.body.body:
        if is_docstring(statement):
            continue
        if isinstance(statement, cst.SimpleStatementLine):
            if all(_does_nothing(small) for small in statement.body):
                continue
        elif _does_nothing(statement):
            continue
        return False
    return True


def _does_nothing(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Raise) and node.exc is not None:
        exc = node.exc.func if isinstance(node.exc, cst.Call) else node.exc
        return dotted(exc) == "NotImplementedError"
    if isinstance(node, cst.Expr):
        return isinstance(node.value, (cst.Ellipsis, cst.SimpleString, cst.ConcatenatedString))
    return isinstance(node, cst.Pass)


def frozen_tree(node: cst.CSTNode, parent: cst.CSTNode | None, line_text: str) -> bool:
    """Whether nothing at or below ``node`` may change.

    Args:
        node: the node asked about.
        parent: its parent, None for the module.
        line_text: text of the line a statement begins on, empty for other nodes.
    """
    if isinstance(node, _DECLARATIONS) or ("pragma" in line_text and _NO_COVER.search(line_text)):
        return True
    match node:
        case cst.FunctionDef():
            return is_stub(node)
        case cst.SimpleStatementLine():
            return is_docstring(node)
        case cst.Call():
            return hides_arguments(node)
        case cst.If(test=cst.Comparison(left=left)):
            return dotted(left) == "__name__"
    return isinstance(node, cst.IndentedBlock) and _environment_block(parent)


def hides_arguments(call: cst.Call) -> bool:
    """Whether a call is about types, a message or a log, which no test need notice."""
    name = dotted(call.func)
    if name in _TYPE_CALLS or name in ("isinstance", "issubclass"):
        return True
    base, _, method = name.rpartition(".")
    if method in _LOG_METHODS and _LOG_NAMES.search(base):
        return True
    # an exception's message: the class name says so, wherever it is made
    return name.rpartition(".")[2].endswith(("Error", "Exception", "Warning"))


def _environment_block(parent: cst.CSTNode | None) -> bool:
    if isinstance(parent, cst.If):
        return dotted(parent.test).rpartition(".")[2] == "TYPE_CHECKING"
    if isinstance(parent, cst.ExceptHandler) and parent.type is not None:
        return dotted(parent.type) in ("ImportError", "ModuleNotFoundError")
    return False


def is_environment_check(condition: str) -> bool:
    """Whether a condition asks about the interpreter, the platform or how much to say."""
    words = any(word in condition for word in _ENVIRONMENT)
    return words or "TYPE_CHECKING" in condition or bool(_TALK.search(condition))
