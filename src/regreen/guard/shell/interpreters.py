"""Programs that run code: shells, Python, and the other languages that are read by their tokens."""

from __future__ import annotations

__all__ = ["SHELLS", "interpreter"]

SHELLS = frozenset(
    {"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "rbash", "busybox-sh"}
)
_INTERPRETERS = {
    "python": "python", "pypy": "python", "ipython": "python", "node": "code", "nodejs": "code",
    "deno": "code", "bun": "code", "perl": "code", "ruby": "code", "php": "code", "lua": "code",
    "luajit": "code", "rscript": "code", "julia": "code", "tclsh": "code", "expect": "code",
    "groovy": "code", "elixir": "code", "erl": "code", "pwsh": "code", "powershell": "code",
    "osascript": "code", "guile": "code", "sbcl": "code", "ghc": "code", "runghc": "code",
    "scala": "code", "swift": "code", "awk": "code", "gawk": "code", "mawk": "code", "nawk": "code",
    "gdb": "code", "vim": "code", "vi": "code", "nvim": "code", "ex": "code", "emacs": "code",
    "jshell": "code", "kotlin": "code", "tsx": "code", "ts-node": "code", "irb": "code",
    "go": "code", "java": "code", "rust-script": "code", "nim": "code", "crystal": "code",
    "zig": "code", "dart": "code", "tcc": "code", "sqlite3": "code", "sqlite": "code",
    "duckdb": "code", "psql": "code", "mysql": "code", "mariadb": "code", "wish": "code",
    "gnuplot": "code", "m4": "code", "ed": "code", "dc": "code", "csi": "code", "yabasic": "code",
    "clojure": "code", "bb": "code", "scheme": "code", "janet": "code", "nu": "code",
    "r": "code", "octave": "code", "ocaml": "code", "racket": "code", "raku": "code",
}  # fmt: skip


def interpreter(program: str) -> str:
    """``python``, ``code`` for another language's interpreter, or nothing."""
    name = program.lower()
    return _INTERPRETERS.get(name) or _INTERPRETERS.get(name.rstrip("0123456789.t"), "")
