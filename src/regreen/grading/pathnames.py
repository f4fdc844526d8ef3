"""What a path and a file's first bytes say: test or product, text or machine code, or a disguise.

Everything here is pure text, so that the policy on a patch can be read and tested without a tree.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from pathlib import PurePosixPath

__all__ = [
    "binary_kind",
    "import_top",
    "is_ordinary_name",
    "leaves_tree",
    "looks_like_test",
    "skeleton",
    "test_directory",
]

_TEST_NAME = re.compile(
    r"^(test_.*|.*_tests?|tests?|.*\.(test|spec)|.*_spec|conftest|(spec|test)_helper|.*Tests?)$"
)
_TEST_DIRECTORIES = frozenset(
    ("test", "tests", "__tests__", "unittests", "unit_tests", "unit-tests", "functional_tests",
     "integration_tests", "integration-tests", "regtests")
)  # fmt: skip
_TOP_TEST_DIRECTORIES = frozenset(("testing", "spec", "specs", "e2e", "t", "integration", "Tests"))
_CODE = frozenset(
    (".so", ".pyd", ".dll", ".dylib", ".whl", ".egg", ".pyz", ".zip", ".a", ".o", ".obj", ".lib",
     ".node", ".class", ".jar", ".war", ".wasm", ".exe", ".bc", ".elc", ".beam")
)  # fmt: skip
_SOURCES = frozenset((".py", ".pyi", ".pyx", ".js", ".ts", ".rb", ".go", ".rs", ".sh", ".toml"))
_MAGIC = (
    b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\0asm", b"!<arch>\n",
)  # fmt: skip
_UNCHECKED = 1
_CONFUSABLE = str.maketrans(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u0501\u04bb\u0442\u0432\u043d"
    "\u043c\u043a\u03bf\u03b1\u03c1\u03bd\u03c4\u03b9\u0131\u0261\u2010\u2011\u2012\u2013\u2212"
    "\u2024\uff0f\u2215\u2044\u02cd",
    "aceopxyijsdhtbhmkoapvtiig-----.///_",
)


def looks_like_test(path: str) -> bool:
    """Whether a file is a test by its name, or lies in a directory of tests."""
    pure = PurePosixPath(path)
    return bool(_TEST_NAME.match(pure.stem)) or bool(test_directory(path))


def test_directory(path: str) -> str:
    """The topmost directory of tests above a path; empty where there is none.

    Some names count at the top of a repository only: deeper, ``testing`` is a package of test
    tools that others import, such as ``numpy.testing``, and ``spec`` is about specifications.
    """
    parts = PurePosixPath(path).parts[:-1]
    for place, part in enumerate(parts):
        if part.lower() in _TEST_DIRECTORIES or (place == 0 and part in _TOP_TEST_DIRECTORIES):
            return "/".join(parts[: place + 1])
    return ""


def is_ordinary_name(path: str) -> bool:
    """Relative, normal, and without control, format or undecodable characters."""
    if path.startswith("/") or "\\" in path or path != posixpath.normpath(path):
        return False
    if path == ".." or path.startswith("../"):
        return False
    return not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in path)


def skeleton(text: str) -> str:
    """What a reader takes a name for: compatibility forms, look-alikes and case folded away."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_CONFUSABLE)
    plain = unicodedata.normalize("NFD", folded)
    kept = (char for char in plain if unicodedata.category(char) not in ("Mn", "Cf", "Cc"))
    return "".join(kept).rstrip(". ")


def leaves_tree(path: str, target: str) -> bool:
    """Whether a symbolic link at ``path`` points out of the repository or into git's data."""
    if target.startswith("/"):
        return True
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climb = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    if ".." in parts[climb:]:  # what a name before it leads to may be a link itself
        return True
    resolved = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return resolved == ".." or resolved.startswith("../") or ".git" in resolved.split("/")


def binary_kind(path: str, data: bytes) -> str:
    """What kind of machine code a file is, in words; empty for text and plain data."""
    pure = PurePosixPath(path)
    suffix = pure.suffix.lower()
    if suffix in (".pyc", ".pyo"):
        # What an interpreter leaves behind by itself lies in __pycache__ and is checked against
        # its source; the other two forms run whatever the source says.
        unchecked = len(data) >= 8 and int.from_bytes(data[4:8], "little") == _UNCHECKED
        return "planted bytecode" if unchecked or "__pycache__" not in pure.parts else "bytecode"
    if suffix in _CODE or ".so." in pure.name:
        return "a binary or archive"
    if data.startswith(_MAGIC) or (data.startswith(b"MZ") and b"\0" in data[:256]):
        return "machine code"
    if suffix in _SOURCES and b"\0" in data[:65536]:
        return "a source file with NUL bytes"
    return ""


def import_top(path: str, root: str) -> tuple[str, bool]:
    """The top-level module a file belongs to under an import root.

    Returns:
        Its name, empty when the file lies elsewhere or is no code; and whether this very file
        makes the name importable, as a module or as a package's ``__init__``.
    """
    if root and not path.startswith(f"{root}/"):
        return "", False
    parts = PurePosixPath(path[len(root) + 1 :] if root else path).parts
    if len(parts) == 1:
        pure = PurePosixPath(parts[0])
        return (pure.stem, True) if pure.suffix == ".py" else ("", False)
    return parts[0], len(parts) == 2 and parts[1] == "__init__.py"
