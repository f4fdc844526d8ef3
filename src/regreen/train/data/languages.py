"""What kind of text a file is, by its name: its language and how that writes a comment."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

__all__ = ["Language", "language_of"]


class Language(NamedTuple):
    """A language of files."""

    name: str
    """In lower case."""
    before: str
    """What opens a comment."""
    after: str = ""
    """What closes it; empty where the line's end does."""

    def comment(self, text: str) -> str:
        """The text as a comment of one line."""
        return " ".join(filter(None, [self.before, text, self.after]))


_HASH = """
    python py pyi pyx | ruby rb | shell sh bash zsh | perl pl pm | r r | yaml yaml yml | toml toml
    | julia jl | elixir ex exs | makefile mk | cmake cmake | nim nim | powershell ps1 | tcl tcl
    | graphql graphql gql | starlark bzl | nix nix | hcl tf hcl
"""
_STAR = """
    c c h | c++ cc cpp cxx hh hpp hxx | c# cs | java java | javascript js jsx mjs cjs
    | typescript ts tsx | go go | rust rs | swift swift | kotlin kt kts | scala scala | php php
    | css css scss less | dart dart | groovy groovy gradle | objective-c m mm | protobuf proto
    | cuda cu cuh | zig zig | solidity sol | verilog v sv
"""
_DASHES = "sql sql | lua lua | haskell hs | ada adb ads | vhdl vhd | elm elm"
_ANGLES = "html html htm | xml xml | markdown md | vue vue | svelte svelte"
_SEMICOLON = "lisp lisp el | clojure clj cljs | scheme scm rkt | assembly s asm"
_PERCENT = "tex tex | erlang erl hrl | prolog pro"
_OTHERS = {
    "rst": Language("restructuredtext", ".."),
    "txt": Language("text", "#"),
    "f90": Language("fortran", "!"),
    "ml": Language("ocaml", "(*", "*)"),
    "mli": Language("ocaml", "(*", "*)"),
    "fs": Language("f#", "(*", "*)"),
    "vim": Language("vim", '"'),
    "j2": Language("jinja", "{#", "#}"),
    "cfg": Language("ini", "#"),
    "ini": Language("ini", "#"),
}
_NAMES = {
    "Makefile": Language("makefile", "#"),
    "GNUmakefile": Language("makefile", "#"),
    "Dockerfile": Language("dockerfile", "#"),
    "CMakeLists.txt": Language("cmake", "#"),
    "Rakefile": Language("ruby", "#"),
    "Gemfile": Language("ruby", "#"),
    "BUILD": Language("starlark", "#"),
    "WORKSPACE": Language("starlark", "#"),
    "LICENSE": Language("text", "#"),
    "COPYING": Language("text", "#"),
    "README": Language("text", "#"),
}


def _table() -> dict[str, Language]:
    found = dict(_OTHERS)
    for listed, before, after in (
        (_HASH, "#", ""),
        (_STAR, "/*", "*/"),
        (_DASHES, "--", ""),
        (_ANGLES, "<!--", "-->"),
        (_SEMICOLON, ";", ""),
        (_PERCENT, "%", ""),
    ):
        for row in listed.split("|"):
            name, *suffixes = row.split()
            found |= {suffix: Language(name, before, after) for suffix in suffixes}
    return found


_SUFFIXES = _table()


def language_of(path: str) -> Language | None:
    """The language of a file; None where its name tells none, as with data and pictures."""
    name = PurePosixPath(path)
    return _NAMES.get(name.name) or _SUFFIXES.get(name.suffix.lower().lstrip("."))
