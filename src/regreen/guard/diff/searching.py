"""Code that looks through the interpreter for something it was never given, and changes it.

A search alone has honest uses (leak hunting, reloading); storing into what a search over all
objects found has none in product code. Names that are only known by a checksum belong here too.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from regreen.guard.diff.source import Finding, Source

__all__ = ["searching_findings"]

_CHECKSUMS = frozenset(("crc32", "adler32", "hash", "hexdigest", "digest"))
_NAMES = frozenset(("__name__", "__qualname__", "__module__", "co_name", "co_filename",
                    "co_qualname", "nodeid", "f_code"))  # fmt: skip
_DESCRIPTORS = frozenset(
    ("os.fstat", "os.write", "os.read", "os.dup", "os.dup2", "os.fdopen", "os.sendfile",
     "os.writev", "os.pwrite", "os.ftruncate", "socket.fromfd", "socket.socket",
     "os.readlink", "open")
)  # fmt: skip
_PASSING = frozenset(("next", "list", "iter", "reversed", "filter", "tuple", "set", "vars"))
_OF_MODULES = frozenset(("sys.modules.values", "sys.modules.items", "sys.modules.copy"))
Place = tuple[ast.AST, str]
"""A name in a function, or in the module."""
_SETTERS = frozenset(("setattr", "delattr", "type.__setattr__", "object.__setattr__"))


def searching_findings(source: Source) -> Iterator[Finding]:
    """Searches, what they change, and what is known by its checksum."""
    walkers = _walkers(source)
    for node in source.nodes:
        if isinstance(node, ast.Call):
            if _over_all(source, node, walkers) and source.name(node.func) != "gc.get_objects":
                yield Finding("object_search", "__subclasses__", node.lineno)
        elif isinstance(node, ast.Compare) and _known_by_checksum(source, node):
            yield Finding("assembled_name", "checksum", node.lineno)
        elif isinstance(node, ast.For) and _tries_descriptors(source, node):
            yield Finding("descriptors_searched", "range", node.lineno)
    yield from _changed(source, walkers)


def _walkers(source: Source) -> frozenset[str]:
    """Functions that go down from a class they are given to all that are made from it."""
    return frozenset(
        node.name
        for node in source.nodes
        if isinstance(node, ast.FunctionDef)
        and any(
            isinstance(inner, ast.Attribute) and inner.attr == "__subclasses__"
            for inner in source.inside(node)
        )
    )


def _over_all(source: Source, node: ast.AST, walkers: frozenset[str]) -> bool:
    """Whether a call gives all objects, or all classes."""
    if not isinstance(node, ast.Call):
        return False
    name = source.name(node.func)
    if name == "gc.get_objects":
        return True
    first = source.name(node.args[0]) if node.args else ""
    if isinstance(node.func, ast.Attribute) and node.func.attr == "__subclasses__":
        up = any(
            isinstance(inner, ast.Attribute) and inner.attr in ("__base__", "__mro__", "__bases__")
            for inner in ast.walk(node.func.value)
        )
        return up or name == "object.__subclasses__" or first == "object"
    return name in walkers and first == "object"


def _changed(source: Source, walkers: frozenset[str]) -> Iterator[Finding]:
    """Stores into objects that a search found; its own lists of them are no such objects."""
    found = _Found(source, lambda node: _over_all(source, node, walkers))
    if found.places and any(_by_name(source, node, found) for node in source.nodes):
        yield from _stores(source, found, "found_and_changed")
    modules = _Found(source, lambda node: source.name(node.func) in _OF_MODULES)
    yield from _stores(source, modules, "module_patched")


def _stores(source: Source, found: _Found, kind: str) -> Iterator[Finding]:
    for node in source.nodes:
        if isinstance(node, ast.Attribute | ast.Subscript):
            if not isinstance(node.ctx, ast.Store | ast.Del):
                continue
            owner = node.value
            listed = isinstance(node, ast.Subscript) and isinstance(owner, ast.Name)
        elif isinstance(node, ast.Call) and source.name(node.func) in _SETTERS and node.args:
            owner, listed = node.args[0], False
        else:
            continue
        while isinstance(owner, ast.Attribute | ast.Subscript):
            owner = owner.value
        if isinstance(owner, ast.Name) and found.is_member(owner, strictly=listed):
            yield Finding(kind, "search", node.lineno)


def _by_name(source: Source, node: ast.AST, found: _Found) -> bool:
    """Whether objects are picked by what they are called or look like: for want of their class."""
    looked: ast.AST | None = None
    if isinstance(node, ast.Attribute) and node.attr in ("__name__", "__qualname__", "__module__"):
        looked = node.value
    elif isinstance(node, ast.Call) and source.name(node.func) in ("hasattr", "repr", "str"):
        # a name that varies with the version of a known class is no such look
        plain = len(node.args) == 1 or (len(node.args) == 2 and source.fold(node.args[1]))
        looked = node.args[0] if plain else None
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In):
        looked = node.comparators[0] if isinstance(node.left, ast.Constant) else None
    return looked is not None and any(
        isinstance(inner, ast.Name) and found.is_member(inner, strictly=True)
        for inner in ast.walk(looked)
    )


class _Found:
    """Names that hold what a search over all objects found."""

    def __init__(self, source: Source, seed: Callable[[ast.Call], bool]) -> None:
        self.source = source
        self.seed = seed
        """Whether a call gives all there are."""
        self.places: set[Place] = set()
        self.members: set[Place] = set()
        """Those that hold one object, not a collection of them."""
        for _ in range(3):
            for node in source.nodes:
                if isinstance(node, ast.For | ast.comprehension):
                    self._learn([node.target], node.iter, member=True)
                elif isinstance(node, ast.Assign):
                    one = isinstance(node.value, ast.Subscript)
                    one = one or source.name_of_call(node.value) == "next"
                    self._learn(node.targets, node.value, member=one)

    def _learn(self, targets: list[ast.expr], value: ast.expr, *, member: bool) -> None:
        if not self._holds(value):
            return
        for target in (inner for outer in targets for inner in getattr(outer, "elts", [outer])):
            if isinstance(target, ast.Name):
                place = (self.source.function(target), target.id)
                self.places.add(place)
                if member:
                    self.members.add(place)

    def is_member(self, node: ast.Name, *, strictly: bool) -> bool:
        """Whether a name, here or in the module around, stands for something found."""
        among = self.members if strictly else self.places
        places = {(self.source.function(node), node.id), (self.source.tree, node.id)}
        return not among.isdisjoint(places)

    def _holds(self, value: ast.expr) -> bool:
        """Whether an expression holds something found, and not merely a fact about it."""
        held = False
        match value:
            case ast.Name():
                held = self.is_member(value, strictly=False)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                held = self._holds(value.elt) and any(
                    self._holds(part.iter) for part in value.generators
                )
            case ast.Call():
                held = self.seed(value) or (
                    self.source.name(value.func) in _PASSING and any(map(self._holds, value.args))
                )
            case ast.Subscript():
                held = self._holds(value.value)
            case ast.Attribute(attr="__dict__"):
                held = self._holds(value.value)
            case _:
                pass
        return held


def _known_by_checksum(source: Source, node: ast.Compare) -> bool:
    """The checksum of a name against a constant: whoever writes that hides which name."""
    sides = (node.left, *node.comparators)
    summed = any(
        source.name_of_call(inner).rpartition(".")[2] in _CHECKSUMS
        or (isinstance(inner, ast.Call) and getattr(inner.func, "attr", "") in _CHECKSUMS)
        for side in sides
        for inner in ast.walk(side)
    )
    if not summed:
        return False
    named = any(
        isinstance(inner, ast.Attribute) and inner.attr in _NAMES
        for side in sides
        for inner in ast.walk(side)
    )
    return named and any(
        isinstance(part, ast.Constant) and isinstance(part.value, int | str | bytes)
        for side in sides
        for part in getattr(side, "elts", [side])
    )


def _tries_descriptors(source: Source, node: ast.For) -> bool:
    """A loop over numbers that are used as descriptors; closing them all is what daemons do."""
    if source.name_of_call(node.iter) != "range" or not isinstance(node.target, ast.Name):
        return False
    return any(
        isinstance(inner, ast.Call)
        and source.name(inner.func) in _DESCRIPTORS
        and any(
            isinstance(value, ast.Name) and value.id == node.target.id
            for value in (*inner.args, *(keyword.value for keyword in inner.keywords))
        )
        for inner in ast.walk(node)
    )
