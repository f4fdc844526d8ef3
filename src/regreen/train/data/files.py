"""The files of a tree that are worth learning from, and why the others are not.

Every file is either taken or left out for one reason that is counted, so the sums tell what became
of a tree. A test is told by its place and name, as no language's own settings are read here; tests
are taken unless asked otherwise, because a repository without its tests is not how it is used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from regreen.train.data.languages import Language, language_of
from regreen.train.data.settings import TextsConfig

__all__ = ["SourceFile", "is_test", "read_files"]

_VENDORED = {
    ".git",
    ".tox",
    ".venv",
    "3rdparty",
    "__pycache__",
    "_vendor",
    "bower_components",
    "external",
    "node_modules",
    "site-packages",
    "third-party",
    "third_party",
    "thirdparty",
    "vendor",
    "vendored",
    "venv",
}
_BUILT = {"build", "dist", "target", "out", ".next"}
_LOCKS = re.compile(r".*[-.]lock(\.json)?|.*\.lock|go\.sum|npm-shrinkwrap\.json|pnpm-lock\.yaml")
_GENERATED_NAME = re.compile(
    r".*(_pb2(_grpc)?\.pyi?|\.pb\.(go|cc|h)|\.g\.dart|_generated\.\w+|\.generated\.\w+|\.min\.\w+)"
)
_GENERATED = re.compile(
    r"@generated|\bauto-?generated\b|\bgenerated (?:by|from|with|file)\b|\bdo not edit\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|;|%|<!--|\.\.|\"|')")
_TEST_FOLDER = {"test", "tests", "testing", "spec", "specs", "__tests__", "e2e", "testdata"}
_TEST_NAME = re.compile(
    r"(test_.*|.*[._-]test|.*[._-]spec|tests?|conftest|.*Tests?)\.\w+$"  # Java: FooTest.java
)
_HEAD_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file that is worth learning from."""

    path: str
    """In the tree."""
    text: str
    """Its content with its line ends."""
    language: Language
    """What it is written in."""
    test: bool
    """Whether it belongs to the tests."""


def read_files(
    tree: Path, config: TextsConfig, left_out: Counter[str] | None = None
) -> tuple[SourceFile, ...]:
    """The files of a tree, by path.

    Args:
        tree: its root.
        config: which are taken.
        left_out: takes the reasons of the others, with their number.
    """
    counted = Counter[str]() if left_out is None else left_out
    found = []
    for path in sorted(_walk(tree), key=lambda one: one.relative_to(tree).parts):
        name = path.relative_to(tree).as_posix()
        read = _read(path, name, config)
        if isinstance(read, str):
            counted[read] += 1
        else:
            found.append(read)
    return tuple(found)


def _walk(tree: Path) -> Iterator[Path]:
    for path in tree.rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path


def _read(path: Path, name: str, config: TextsConfig) -> SourceFile | str:
    """The file, or why it is left out."""
    reason = _by_name(path, name, config)
    if reason:
        return reason
    language = language_of(name)
    data = path.read_bytes()
    if b"\0" in data:
        return "binary"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    if language is None:
        return "of no known language"
    reason = _by_text(text, config)
    return reason or SourceFile(path=name, text=text, language=language, test=is_test(name))


def _by_name(path: Path, name: str, config: TextsConfig) -> str:
    """The first reason that needs no look into the file."""
    parts = PurePosixPath(name).parts
    folders = {part.lower() for part in parts[:-1]}
    packed = any(part.endswith((".egg-info", ".dist-info")) for part in parts)
    generated = _LOCKS.fullmatch(parts[-1]) or _GENERATED_NAME.fullmatch(parts[-1])
    if path.is_symlink():
        return "a link"
    reasons = {
        "vendored": bool(folders & _VENDORED) or packed,
        "built": parts[0].lower() in _BUILT and len(parts) > 1,
        "generated": bool(generated),
        "a test": is_test(name) and not config.tests,
        "too large": path.stat().st_size > config.file_bytes,
    }
    return next((reason for reason, found in reasons.items() if found), "")


def _by_text(text: str, config: TextsConfig) -> str:
    if not text.strip():
        return "empty"
    lines = text.splitlines()
    head = [line for line in lines[:_HEAD_LINES] if _COMMENT.match(line)]
    if any(map(_GENERATED.search, head)):
        return "generated"
    long = len(text) > 2048 and len(text) / len(lines) > config.mean_line
    if long or max(map(len, lines)) > config.line_characters:
        return "minified or data"
    return ""


def is_test(path: str) -> bool:
    """Whether a file is on the test side, by its folders and its name."""
    parts = PurePosixPath(path).parts
    folders = {part.lower() for part in parts[:-1]}
    return bool(folders & _TEST_FOLDER) or bool(_TEST_NAME.fullmatch(parts[-1]))
