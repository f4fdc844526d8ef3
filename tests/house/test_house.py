"""The house style, as far as a machine can see it."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import statistics
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel

import regreen

SOURCE = Path(regreen.__file__).parent
FILES = sorted(path for path in SOURCE.rglob("*.py") if "ledger" not in path.parts)
HEAVY = ("torch", "pyarrow", "ray", "libcst", "httpx2", "numpy", "jinja2", "docker")


def loaded(code: str) -> set[str]:
    command = f"{code}; import sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded("import regreen") & {*HEAVY, "pydantic", "rich", "cyclopts"}


def test_root_help_loads_nothing_heavy() -> None:
    code = (
        "import contextlib, io\n"
        "from regreen.cli.main import main\n"
        "out = io.StringIO()\n"
        "with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "assert 'quickstart' in out.getvalue()"
    )
    assert not loaded(code) & set(HEAVY)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def test_files_and_functions_fit() -> None:
    lengths = {path: path.read_text().count("\n") + 1 for path in FILES}
    assert max(lengths.values()) <= 450, max(lengths, key=lambda path: lengths[path])
    assert statistics.median(lengths.values()) <= 130
    spans = {
        f"{path.relative_to(SOURCE)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in FILES
        for node in functions(path)
    }
    assert {name: span for name, span in spans.items() if span > 70} == {}
    assert statistics.median(spans.values()) <= 10


def test_every_file_says_what_it_is() -> None:
    silent = [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_no_attic_names() -> None:
    attic = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}
    assert [path for path in FILES if path.name in attic] == []


def models() -> list[type[BaseModel]]:
    found = set()
    for module in pkgutil.walk_packages([str(SOURCE)], "regreen."):
        if ".box" in module.name or ".example" in module.name:
            continue
        for value in vars(import_module(module.name)).values():
            if inspect.isclass(value) and issubclass(value, BaseModel):
                found.add(value)
    return sorted(
        (model for model in found if model.__module__.startswith("regreen.")),
        key=lambda model: (model.__module__, model.__name__),
    )


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_field_has_a_docstring_and_models_are_frozen(model: type[BaseModel]) -> None:
    if model.__name__.startswith("_") and not model.model_fields:
        return
    assert model.model_config.get("frozen"), f"{model.__name__} can be changed"
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = tree.body[0]
    assert isinstance(body, ast.ClassDef)
    for field, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            name = field.target.id
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            assert name == "model_config" or documented, f"{model.__name__}.{name}"
