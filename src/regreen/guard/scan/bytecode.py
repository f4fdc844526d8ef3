"""Whether a .pyc file was compiled from the repaired source.

Files of the running version are compared function by function. Those of other versions are known by
the size or hash of their source in the header, and by names and constants that only one side has.
"""

from __future__ import annotations

import marshal
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import PurePosixPath
from typing import Any

from regreen.guard.scan.marshal_reader import Code, Header, code_objects, header_of, read_marshal

__all__ = ["CodeEvidence"]

_MAGIC = int.from_bytes(MAGIC_NUMBER[:2], "little")
_LEAST_CODE = 16
_DUNDER = re.compile(r"__\w+__").fullmatch
_Signature = tuple[str, bytes, str, tuple[str, ...]]


@dataclass(frozen=True)
class _Module:
    path: str
    stem: str
    size: int | None
    source_hash: bytes
    signatures: frozenset[_Signature]
    features: Mapping[str, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    """By function: what the repaired one names, and what the broken one does."""


class CodeEvidence:
    """Repaired modules as a .pyc file would show them.

    Args:
        base: sources before, by path.
        fixed: sources after.
    """

    def __init__(self, base: Mapping[str, bytes], fixed: Mapping[str, bytes]) -> None:
        self._modules = [
            _module(path, base.get(path), source)
            for path, source in fixed.items()
            if path.endswith((".py", ".pyw")) and base.get(path) != source
        ]
        self._codes = {
            signature[1]: module
            for module in self._modules
            for signature in module.signatures
            if len(signature[1]) >= _LEAST_CODE
        }

    def match(self, name: str, data: bytes) -> str:
        """How a .pyc file shows the fix, in words; nothing when it does not."""
        header = header_of(data)
        if header is None:
            return ""
        stem = PurePosixPath(name).name.split(".")[0]
        named = [module for module in self._modules if module.stem == stem]
        for module in self._modules:
            if header.source_hash and header.source_hash == module.source_hash:
                return f"compiled from the repaired {module.path}, by its hash"
            if (
                module in named
                and header.source_size is not None
                and header.source_size == module.size
            ):
                return f"compiled from a source of the size that {module.path} has when repaired"
        return self._compared(data, header, named)

    def _compared(self, data: bytes, header: Header, named: list[_Module]) -> str:
        if not named and not any(code in data for code in self._codes):
            return ""
        try:
            codes = list(code_objects(read_marshal(data[header.length :], header.magic)))
        except ValueError:
            return ""
        ours = header.magic == _MAGIC
        for module in self._modules if ours else named:
            known = codes if module in named else [code for code in codes if _telling(code)]
            found = _same(module, known) if ours else _alike(module, known)
            if found:
                return f"function {found} is the repaired one of {module.path}"
        return ""


def _module(path: str, before: bytes | None, after: bytes) -> _Module:
    new, old = _compiled(after), _compiled(before or b"")
    different = before is None or len(before) != len(after)
    pure = PurePosixPath(path)
    return _Module(
        path,
        pure.stem,
        len(after) if different and pure.stem != "__init__" else None,
        source_hash(after),
        frozenset(map(_signature, new)) - frozenset(map(_signature, old)),
        _features(new, old),
    )


def _compiled(source: bytes) -> list[Code]:
    found: list[Code] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for level in (0, 1, 2):
            try:
                code = compile(source, "module.py", "exec", dont_inherit=True, optimize=level)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                break
            found += code_objects(read_marshal(marshal.dumps(code), _MAGIC))
    return found


def _signature(code: Code) -> _Signature:
    return code.name, code.code, repr(_flat(code.constants)), code.names


def _flat(value: Any) -> Any:
    """Constants with nested code replaced by its name: each code object speaks for itself."""
    if isinstance(value, Code):
        return f"<code {value.name}>"
    return tuple(map(_flat, value)) if isinstance(value, tuple) else value


def _features(new: list[Code], old: list[Code]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    after, before = _words(new), _words(old)
    return {
        name: (words, before.get(name, frozenset()))
        for name, words in after.items()
        if words != before.get(name)
    }


def _words(codes: list[Code]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for code in codes:
        texts = (repr(part) for part in code.constants if isinstance(part, str | bytes | float))
        own = frozenset((*texts, *code.names, *code.local_names))
        found[code.name] = found.get(code.name, frozenset()) | own
    return found


def _telling(code: Code) -> bool:
    """Whether a function says what it is wherever it stands: ``__init__`` and lambdas are alike."""
    return code.name.isidentifier() and not _DUNDER(code.name)


def _same(module: _Module, codes: list[Code]) -> str:
    return next((code.name for code in codes if _signature(code) in module.signatures), "")


def _alike(module: _Module, codes: list[Code]) -> str:
    held = _words(codes)
    for name, (after, before) in module.features.items():
        words = held.get(name)
        if words is None or re.fullmatch(r"<module>", name):
            continue
        added, removed = after - before, before - after
        if (added and added <= words) or (not added and removed and words == after):
            return name
    return ""
