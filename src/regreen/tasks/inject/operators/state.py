"""Faults of state: a copy not made, a key not whole, a cache not cleared, an update lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import libcst as cst

from regreen.tasks.inject.operators.base import Change
from regreen.tasks.inject.operators.edits import delete, delete_item, is_removable, replace
from regreen.tasks.inject.operators.names import similar_names
from regreen.tasks.inject.operators.scopes import scope_of
from regreen.tasks.inject.operators.view import FileView
from regreen.tasks.inject.operators.zones import dotted

__all__ = ["ForgetCopy", "LostUpdate", "RemoveAssignment", "StaleCache", "WrongKey"]

_COPIES = frozenset(("list", "dict", "set", "copy", "deepcopy", "copy.copy", "copy.deepcopy"))
_MUTATORS = re.compile(
    r"append|extend|insert|remove|pop|popitem|clear|update|add|discard|sort|reverse|setdefault"
    r"|appendleft|popleft|extendleft|__setitem__"
)
_DICTS = re.compile(r"\{|dict\(|defaultdict\(|OrderedDict\(|collections\.|WeakKey|WeakValue")
_KEYED = frozenset(("get", "setdefault", "pop", "add", "discard"))
_DROPS = frozenset(("pop", "clear", "discard", "remove", "popitem", "cache_clear", "invalidate"))


class ForgetCopy:
    """A copy of a name or attribute, such as ``x.copy()``, ``list(x)``, ``x[:]``, ``deepcopy(x)``.

    A copy that is only looped over stays unless the loop changes the original. The weight is
    low where nothing in sight changes the copy.
    """

    id: ClassVar[str] = "forget_copy"
    family: ClassVar[str] = "state"
    summary: ClassVar[str] = "the original is shared instead of copied"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Call, cst.Subscript)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per copy, two for a deep one."""
        assert isinstance(node, (cst.Call, cst.Subscript))
        original = _copied(node)
        if original is None or isinstance(view.parent(node), cst.Expr):
            return
        weight = self._weight(node, dotted(original), view)
        yield replace(view, node, view.text(original), "a copy forgotten", weight)
        if isinstance(node, cst.Call) and dotted(node.func) == "copy.deepcopy":
            yield replace(view, node.func, "copy.copy", "a shallow copy for a deep one", 0.5)

    def _weight(self, node: cst.CSTNode, original: str, view: FileView) -> float:
        function = view.function(node)
        parent = view.parent(node)
        if function is None:
            return 0.1
        if isinstance(parent, cst.For):
            return 0.6 if original in _mutated(parent, view) else 0.1
        if isinstance(parent, cst.Assign):
            targets = [dotted(target.target) for target in parent.targets]
            changed = _mutated(function, view)
            if any(target in changed for target in targets):
                return 0.65
            return 0.4 if any("." in target for target in targets) else 0.25
        return 0.4 if isinstance(parent, (cst.Return, cst.Arg)) else 0.3


def _copied(node: cst.Call | cst.Subscript) -> cst.BaseExpression | None:
    """What an expression copies, if it is a name or attribute."""
    found: cst.BaseExpression | None = None
    if isinstance(node, cst.Subscript):
        only = node.slice[0].slice if len(node.slice) == 1 else None
        if isinstance(only, cst.Slice) and only.lower is only.upper is only.step is None:
            found = node.value
    elif isinstance(node.func, cst.Attribute) and node.func.attr.value == "copy" and not node.args:
        found = node.func.value
    elif dotted(node.func) in _COPIES and len(node.args) == 1:
        only_arg = node.args[0]
        found = None if only_arg.star or only_arg.keyword else only_arg.value
    return found if found is not None and dotted(found) else None


def _mutated(holder: cst.CSTNode, view: FileView) -> set[str]:
    """Dotted names that something under ``holder`` changes in place."""
    found: set[str] = set()
    for node in view.below(holder):
        match node:
            case cst.Call(func=cst.Attribute(value=value, attr=attr)):
                if _MUTATORS.fullmatch(attr.value):
                    found.add(dotted(value))
            case cst.AssignTarget(target=cst.Subscript(value=value)):
                found.add(dotted(value))
            case cst.AugAssign(target=target):
                inner = target.value if isinstance(target, cst.Subscript) else target
                found.add(dotted(inner))
    return found - {""}


class WrongKey:
    """A subscript, ``get``, ``setdefault`` … by a tuple or a local name, or a ``key = (a, b)``.

    A tuple loses one part, a name gives way to another one of the function.
    """

    id: ClassVar[str] = "wrong_key"
    family: ClassVar[str] = "state"
    summary: ClassVar[str] = "a value is kept or sought under the wrong key"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.Index, cst.Call, cst.Assign)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per key, one per part of a tuple."""
        key = self._key(node)
        if isinstance(key, cst.Tuple):
            if len(key.elements) < 2 or (len(key.elements) == 2 and not key.lpar):
                return
            for place, element in enumerate(key.elements):
                note = f"the key lacks {view.text(element)}"
                if len(key.elements) == 2:
                    kept = key.elements[1 - place]
                    start, end = view.outer(key)
                    yield Change(start, end, view.text(kept), note, 0.7)
                else:
                    yield delete_item(view, key.elements, place, note, 0.7)
        elif isinstance(key, cst.Name) and not isinstance(node, cst.Assign):
            for other in similar_names(key, view)[:1]:
                yield replace(view, key, other, f"key {key.value} became {other}", 0.85)

    def _key(self, node: cst.CSTNode) -> cst.BaseExpression | None:
        match node:
            case cst.Index(value=value):
                return value
            case cst.Call(func=cst.Attribute(attr=attr), args=[first, *_]):
                return first.value if attr.value in _KEYED else None
            case cst.Assign(targets=[only], value=value):
                name = dotted(only.target).lower()
                return value if name.endswith("key") else None
        return None


class StaleCache:
    """A statement that takes something out of a container, or puts it in again.

    ``del x[k]``, ``x.pop(k)``, ``x.clear()`` and ``self.x = None`` outside ``__init__`` go;
    ``x[k] = v`` on what is visibly a mapping becomes ``x.setdefault(k, v)``, which keeps the old.
    """

    id: ClassVar[str] = "stale_cache"
    family: ClassVar[str] = "state"
    summary: ClassVar[str] = "an old value outlives its replacement"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.SimpleStatementLine,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per statement."""
        assert isinstance(node, cst.SimpleStatementLine)
        if len(node.body) != 1:
            return
        in_while = any(isinstance(n, cst.While) for n in view.ancestors(node))
        only = node.body[0]
        if self._drops(only, view):
            if is_removable(view, node):
                note = "the old entry stays"
                yield delete(view, node, note, 0.2 if in_while else 0.6)
        elif isinstance(only, cst.Assign) and len(only.targets) == 1:
            target = only.targets[0].target
            if isinstance(target, cst.Subscript) and self._may_replace(target, view):
                key = view.code[slice(*view.span(target.slice[0]))]
                text = f"{view.text(target.value)}.setdefault({key}, {view.text(only.value)})"
                yield replace(view, only, text, "an entry is never replaced", 0.3)

    def _drops(self, statement: cst.BaseSmallStatement, view: FileView) -> bool:
        match statement:
            case cst.Del(target=cst.Subscript()):
                return True
            case cst.Expr(value=cst.Call(func=cst.Attribute(attr=attr))):
                return attr.value in _DROPS
            case cst.Assign(targets=[only], value=cst.Name(value="None")):
                function = view.function(statement)
                starts = function is None or function.name.value in ("__init__", "__new__")
                return dotted(only.target).startswith("self.") and not starts
        return False

    def _may_replace(self, target: cst.Subscript, view: FileView) -> bool:
        """Whether the entry may be there already: no condition or handler says it is not."""
        name = dotted(target.value)
        for above in view.ancestors(target):
            if isinstance(above, cst.If) and name in view.text(above.test):
                return False
            if isinstance(above, cst.ExceptHandler):
                return False
        return self._is_mapping(target, view)

    def _is_mapping(self, target: cst.Subscript, view: FileView) -> bool:
        name = dotted(target.value)
        if not name or len(target.slice) != 1 or not isinstance(target.slice[0].slice, cst.Index):
            return False
        if not isinstance(target.slice[0].slice.value, (cst.Name, cst.SimpleString, cst.Attribute)):
            return False
        owner: cst.CSTNode | None = view.function(target)
        if name.startswith("self.") and owner is not None:
            owner = view.owners.get(owner)
        for node in view.below(owner) if owner is not None else ():
            if not isinstance(node, cst.Assign) or not _DICTS.match(view.text(node.value)):
                continue
            if any(dotted(t.target) == name for t in node.targets):
                return True
        return False


class LostUpdate:
    """An augmented assignment, or a ``setdefault`` whose result is used.

    ``x += y`` becomes ``x = y``, ``d.setdefault(k, v)`` becomes ``d.get(k, v)``; in a ``while``
    loop with a low weight, for the loop may count on it.
    """

    id: ClassVar[str] = "lost_update"
    family: ClassVar[str] = "state"
    summary: ClassVar[str] = "what was gathered so far is thrown away"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.AugAssign, cst.Call)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per statement or call."""
        if isinstance(node, cst.AugAssign):
            in_while = any(isinstance(n, cst.While) for n in view.ancestors(node))
            note = f"{view.text(node.operator)} became ="
            yield replace(view, node.operator, "=", note, 0.2 if in_while else 0.75)
        elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
            used = not isinstance(view.parent(node), cst.Expr)
            if node.func.attr.value == "setdefault" and used:
                yield replace(view, node.func.attr, "get", "the default is not kept", 0.75)


class RemoveAssignment:
    """An assignment whose names are bound before on every path, or to an attribute or item.

    In a ``while`` loop with a low weight; an attribute that the file never reads is left alone.
    """

    id: ClassVar[str] = "remove_assignment"
    family: ClassVar[str] = "removal"
    summary: ClassVar[str] = "an assignment is missing"
    nodes: ClassVar[tuple[type[cst.CSTNode], ...]] = (cst.SimpleStatementLine,)

    def changes(self, node: cst.CSTNode, view: FileView) -> Iterator[Change]:
        """One change per statement."""
        assert isinstance(node, cst.SimpleStatementLine)
        if not is_removable(view, node):
            return
        only = node.body[0]
        match only:
            case cst.Assign(targets=targets):
                places = [target.target for target in targets]
            case cst.AugAssign(target=target):
                places = [target]
            case _:
                return
        function = view.function(node)
        if function is None or not all(self._can_go(p, node, function, view) for p in places):
            return
        in_while = any(isinstance(n, cst.While) for n in view.ancestors(node))
        # an attribute that starts as None is often set before anybody looks
        starts_none = isinstance(only, cst.Assign) and dotted(only.value) == "None"
        weight = 0.2 if in_while else 0.5 if starts_none else 0.8
        yield delete(view, node, "an assignment lost", weight)

    def _can_go(
        self,
        place: cst.BaseExpression,
        statement: cst.CSTNode,
        function: cst.FunctionDef,
        view: FileView,
    ) -> bool:
        match place:
            case cst.Name(value=name):
                return scope_of(function, view).bound_at(name, statement, view)
            case cst.Attribute(attr=attr):
                return len(re.findall(rf"\.{re.escape(attr.value)}\b", view.code)) > 1
            case cst.Tuple(elements=elements):
                return all(self._can_go(e.value, statement, function, view) for e in elements)
        return isinstance(place, cst.Subscript)
