"""Patterns for files that are no Python, or that Python cannot parse: line by line, by language."""

from __future__ import annotations

import re
from collections.abc import Iterator

from regreen.guard.diff.source import Finding

__all__ = ["foreign_findings"]

_SCRIPT = (
    ("runner_imported", r"(require\(|from )['\"](@?jest|@?vitest|mocha|chai|expect|ava)\b"),
    ("runner_patched", r"\b(expect\.extend|jasmine\.addMatchers"
     r"|(global|globalThis|window)\.(expect|it|test|describe|assert)\s*="
     r"|(global|globalThis)\[['\"](expect|it|test|describe)"
     r"|assert\.(equal|strictEqual|deepEqual|deepStrictEqual|ok)\s*=)"),
    ("test_recognised", r"JEST_WORKER_ID|VITEST_(WORKER|POOL)_ID"),
    ("runner_sniffed", r"process\.env\.(CI|VITEST|MOCHA|JEST|NODE_ENV\s*={2,3}\s*['\"]test)"
     r"|typeof (jest|describe)\b"),
    ("runner_left", r"process\.(reallyExit|exit)\(0\)|process\.kill\(process\.ppid"),
    ("process_left", r"process\.(exit|abort)\("),
    ("builtin_patched", r"\b(Object\.is|Error\.prepareStackTrace)\s*=[^=]"
     r"|\b(Object|Number|String)\.prototype\.(equals|valueOf|toString|toJSON)\s*=[^=]"),
    ("builtins_changed", r"\b(Object|Number|String|Array)\.prototype\.\w+\s*=[^=]"),
    ("always_equal", r"asymmetricMatch\s*(\(|[:=])[^\n]{0,40}(return true|=> true)"),
    ("frame_access", r"Error\.captureStackTrace|new Error\(\)\.stack|arguments\.callee"),
    ("import_hook", r"require\.cache|Module\._(load|resolveFilename|extensions)\b"),
    ("clock_patched", r"\b(Date\.now|performance\.now)\s*=[^=]"),
)  # fmt: skip
_LANGUAGES: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys((".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs", ".vue"), _SCRIPT),
    ".go": (
        ("runner_imported", r'^\s*(\w+ )?"(testing|github\.com/stretchr/testify/\w+)"$'),
        ("runner_left", r"\b(os|syscall)\.Exit\(0\)"),
        ("process_left", r"\b(os|syscall)\.Exit\("),
        ("frame_access", r"\bruntime\.(Callers?|FuncForPC|Stack)\("),
        ("test_recognised", r"\btesting\.Testing\(\)|flag\.Lookup\(\"test\."),
        ("native_memory", r'^\s*"unsafe"$|unsafe\.Pointer'),
    ),
    ".rs": (
        ("runner_left", r"process::exit\(0\)"),
        ("process_left", r"process::(exit|abort)\("),
        ("test_recognised", r"\bcfg!\(test\)|env!\(\"NEXTEST|var\(\"NEXTEST"),
        ("always_equal", r"fn eq\(&self, _?\w*: &\w+\) -> bool \{ *true *\}"),
    ),
    ".rb": (
        ("runner_imported", r"\b(RSpec|Minitest)\b"),
        ("runner_left", r"\bexit!(\(0\)| 0| true)?\s*$|Process\.exit!"),
        ("exit_hook", r"\bat_exit\b"),
        ("always_equal", r"def (==|eql\?)\([^)]*\)[;\s]+true"),
        ("frame_access", r"\bcaller(_locations)?\b|\bbinding\.local_variable|ObjectSpace"),
    ),
    ".java": (
        ("runner_imported", r"^import (static )?(org\.junit|org\.testng|org\.assertj)"),
        ("runner_left", r"(System\.exit|halt)\(0\)"),
        ("always_equal", r"boolean equals\([^)]*\) *\{\s*return true;"),
        ("frame_access", r"getStackTrace\(\)|StackWalker"),
    ),
    ".php": (
        ("runner_imported", r"PHPUnit\\"),
        ("runner_left", r"\b(exit|die)\((0)?\);|posix_kill"),
        ("test_recognised", r"PHPUNIT_COMPOSER_INSTALL|__PHPUNIT"),
        ("frame_access", r"debug_backtrace\("),
    ),
    ".py": (
        ("runner_internals", r"\b_pytest\b"),
        ("test_recognised", r"PYTEST_CURRENT_TEST"),
        ("runner_imported", r"^\s*(import|from) (pytest|unittest)\b"),
        ("frames_named", r"\b_getframe\b"),
        ("frame_access", r"\bf_locals\b|inspect\.stack"),
        ("object_search", r"\bgc\.get_(objects|referrers)"),
        ("process_ended", r"\bos\._exit\b"),
    ),
}
_LANGUAGES[".kt"] = _LANGUAGES[".scala"] = _LANGUAGES[".java"]
_COMPILED = {
    suffix: tuple((kind, re.compile(pattern)) for kind, pattern in rows)
    for suffix, rows in _LANGUAGES.items()
}


def foreign_findings(path: str, text: str) -> Iterator[Finding]:
    """What the patterns of a file's language find in it."""
    suffix = "." + path.rpartition(".")[2].lower()
    rows = _COMPILED.get(suffix, ())
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > 400 or line.lstrip().startswith(("//", "* ", "# ")):
            continue
        for kind, pattern in rows:
            if pattern.search(line):
                yield Finding(kind, line.strip()[:120], number)
                break
