"""What is imported comes first, in every language that quotes its imports, cycles or not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.data.sources import file

from regreen.train.data.dependency import by_dependency, imported_files


def order(**texts: str) -> list[str]:
    files = [
        file(name.replace("__", "/").replace("_dot_", "."), text) for name, text in texts.items()
    ]
    return [one.path for one in by_dependency(files)]


def test_python_by_its_syntax_tree() -> None:
    files = [
        file("src/pkg/__init__.py", "from .app import App\n"),
        file(
            "src/pkg/app.py",
            "import os\nfrom . import ctx, util as u\nfrom pkg.deep.core import X\n",
        ),
        file("src/pkg/ctx.py", "import pkg.util\n"),
        file("src/pkg/util.py", "'import pkg.app'\n"),
        file("src/pkg/deep/__init__.py", ""),
        file("src/pkg/deep/core.py", "from ..util import y\n"),
        file("tests/test_app.py", "from pkg import App\n"),
        file("broken.py", "import ("),
    ]
    wants = imported_files(files)
    assert wants["src/pkg/app.py"] == [
        "src/pkg/ctx.py",
        "src/pkg/deep/core.py",
        "src/pkg/util.py",
    ]
    assert wants["src/pkg/deep/core.py"] == ["src/pkg/util.py"]
    assert wants["tests/test_app.py"] == ["src/pkg/__init__.py"]
    assert wants["broken.py"] == []
    paths = [one.path for one in by_dependency(files)]
    for path, wanted in wants.items():
        assert all(paths.index(one) < paths.index(path) for one in wanted)


def test_paths_that_import_lines_quote() -> None:
    files = [
        file("web/app.ts", "import {\n  a,\n} from './lib/a'\nimport b from \"../shared/b.js\"\n"),
        file("web/lib/a.ts", "const c = require('./c')\nimport fs from 'fs'\n"),
        file("web/lib/c/index.js", "// from './a'\n"),
        file("shared/b.js", ""),
        file("main.c", '#include <stdio.h>\n#  include "util.h"\n'),
        file("include/util.h", ""),
        file("run.rb", "require_relative 'lib/x'\n"),
        file("lib/x.rb", ""),
    ]
    assert imported_files(files) == {
        "web/app.ts": ["shared/b.js", "web/lib/a.ts"],
        "web/lib/a.ts": ["web/lib/c/index.js"],
        "web/lib/c/index.js": [],
        "shared/b.js": [],
        "main.c": ["include/util.h"],
        "include/util.h": [],
        "run.rb": ["lib/x.rb"],
        "lib/x.rb": [],
    }


def test_a_cycle_and_a_long_chain_end() -> None:
    assert [
        one.path for one in by_dependency([file("b.py", "import a"), file("a.py", "import b")])
    ] == [
        "b.py",
        "a.py",
    ]
    chain = [file(f"m{n:05}.py", f"import m{n + 1:05}\n") for n in range(3000)]
    assert [one.path for one in by_dependency(chain)] == sorted(
        (one.path for one in chain), reverse=True
    )


@settings(max_examples=40)
@given(st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 9))), st.randoms())
def test_every_file_once_and_before_its_users_where_there_is_no_cycle(
    graph: dict[int, set[int]], chance: object
) -> None:
    acyclic = {node: {to for to in wanted if to < node} for node, wanted in graph.items()}
    files = [
        file(f"m{node}.py", "".join(f"import m{to}\n" for to in sorted(wanted)))
        for node, wanted in acyclic.items()
    ]
    chance.shuffle(files)  # type: ignore[attr-defined]
    paths = [one.path for one in by_dependency(files)]
    assert sorted(paths) == sorted(one.path for one in files)
    for node, wanted in acyclic.items():
        for to in wanted & acyclic.keys():
            assert paths.index(f"m{to}.py") < paths.index(f"m{node}.py")
