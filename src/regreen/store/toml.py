"""TOML out: nested tables of scalars and lists, as ``tomllib`` reads them back.

The standard library reads TOML and does not write it; a run's configuration needs no more than
this. None has no TOML form and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

from regreen.core.errors import UsageError

__all__ = ["dump_toml"]

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_UNSAFE = re.compile(r'[\\"\x00-\x1f\x7f]')


def dump_toml(table: Mapping[str, Any]) -> str:
    """Write ``table`` as a TOML document.

    Raises:
        UsageError: a value of a type TOML lacks, or text that is not Unicode.
    """
    return "\n".join(_table(table, ())) + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in table.items():
        if value is not None and not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value, (*path, key))}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner = (*path, key)
            yield f"\n[{'.'.join(map(_key, inner))}]"
            yield from _table(value, inner)


def _key(key: str) -> str:
    return key if _BARE.match(key) else _string(key)


def _string(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        what = "text with a lone surrogate has no TOML form"
        raise UsageError(what, where=ascii(text), mend="use valid Unicode") from error
    return '"' + _UNSAFE.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0], f"\\u{ord(match[0]):04x}")


def _value(value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(v, path) for v in value if v is not None)}]"
    if isinstance(value, Mapping):
        pairs = (f"{_key(k)} = {_value(v, (*path, k))}" for k, v in value.items() if v is not None)
        return f"{{{', '.join(pairs)}}}"
    for kind, write in _SCALARS.items():
        if isinstance(value, kind):
            return str(write(value))
    what = f"a {type(value).__name__} has no TOML form"
    raise UsageError(
        what, where=".".join(path), mend="use text, numbers, booleans, lists or tables"
    )


_SCALARS: dict[type, Callable[[Any], str]] = {  # in this order: a boolean is an integer too
    bool: lambda value: "true" if value else "false",
    str: _string,
    int: lambda value: str(int(value)),
    float: lambda value: repr(float(value)),
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
}
