"""The library of a tree: its packages and modules, as declared or as laid out.

Setuptools, hatch, poetry and flit are read where they declare something; else the layout speaks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from regreen.tasks.repo.project import Project, inside

__all__ = ["package_roots"]

_NOT_LIBRARY = re.compile(
    r"_?tests?|testing|docs?|examples?|samples?|demos?|bench(mark(s|ing)?)?|tools?|scripts?|bin|"
    r"ci|build|dist|tasks|misc|etc|contrib|setup|conftest|noxfile|tasks|fabfile|versioneer|"
    r"ez_setup|conf|test_.*|.*_test|_custom_build|typing[-_]examples|perf|maint|util"
)


def package_roots(tree: Path) -> tuple[str, ...]:
    """Paths of the library's top-level packages and modules, relative to the root, sorted.

    Returns:
        Directories (``src/attr``) and files (``six.py``). Empty when nothing looks like a library.
    """
    project = Project(tree)
    bases = [base for base in _declared_bases(project) if _is_folder(tree, base)]
    declared = {
        place
        for name in _declared_names(project)
        for base in [*bases, "src", "lib", "."]
        if (place := _place(tree, base, name))
    }
    if declared:
        return tuple(sorted(declared))
    for base in [*bases, "src", "lib", "."]:
        if found := _laid_out(project, base):
            return tuple(sorted(found))
    return ()


def _place(tree: Path, base: str, name: str) -> str:
    """Where a package or module named ``name`` lies below ``base``; empty when it does not."""
    stem = "/".join([*([base] if base != "." else []), name])
    if _is_folder(tree, stem):
        return stem
    return f"{stem}.py" if inside(tree, tree / f"{stem}.py") else ""


def _is_folder(tree: Path, path: str) -> bool:
    """Whether a folder lies in the tree; what a project declares may lead anywhere."""
    try:
        found = (tree / path).resolve()
        return found.is_dir() and found.is_relative_to(tree.resolve())
    except (OSError, ValueError, RuntimeError):  # too long, no path at all, a link to itself
        return False


def _laid_out(project: Project, base: str) -> set[str]:
    root = project.tree / base
    if not _is_folder(project.tree, base):
        return set()
    prefix = "" if base == "." else f"{base}/"
    own = re.sub(r"[-.]+", "_", project.name).lower()
    found: set[str] = set()
    for path in root.iterdir():
        stem = path.stem if path.suffix == ".py" else path.name
        if not stem.isidentifier() or (_NOT_LIBRARY.fullmatch(stem) and stem.lower() != own):
            continue
        folder = _is_folder(project.tree, f"{prefix}{path.name}")
        regular = folder and (path / "__init__.py").is_file()
        namespace = folder and (base != "." or stem.lower() == own) and _has_modules(path)
        if regular or namespace or (path.suffix == ".py" and inside(project.tree, path)):
            found.add(f"{prefix}{path.name}")
    packages = {one for one in found if not one.endswith(".py")}
    # loose files beside packages at the root are set-up scripts more often than library
    return packages if packages and base == "." else found


def _has_modules(folder: Path) -> bool:
    return next(folder.rglob("*.py"), None) is not None


def _declared_bases(project: Project) -> list[str]:
    find = project.table("tool", "setuptools", "packages", "find")
    folders = project.table("tool", "setuptools", "package-dir")
    where = project.setup_cfg.get("options.packages.find", "where", fallback="")
    lines = project.setup_cfg.get("options", "package_dir", fallback="").splitlines()
    legacy = [line.partition("=")[2].strip() for line in lines if line.strip().startswith("=")]
    literal = project.setup_py.get("package_dir")
    from_setup = [literal[""]] if isinstance(literal, dict) and "" in literal else []
    bases = [*_strings(find.get("where")), *([folders[""]] if "" in folders else [])]
    bases += [where.strip(), *legacy, *from_setup]
    return list(dict.fromkeys(str(base).strip("/") for base in bases if base))


def _declared_names(project: Project) -> set[str]:
    """Top-level names of declared packages and modules, with slashes for nested folders."""
    setuptools = project.table("tool", "setuptools")
    setup_cfg = project.setup_cfg
    names = _strings(setuptools.get("packages")) + _strings(setuptools.get("py-modules"))
    names += setup_cfg.get("options", "py_modules", fallback="").split()
    listed = setup_cfg.get("options", "packages", fallback="")
    names += [] if "find" in listed else listed.split()
    names += _strings(project.setup_py.get("packages"))
    names += _strings(project.setup_py.get("py_modules"))
    names += _strings(project.table("tool", "flit", "module").get("name"))
    wheel = project.table("tool", "hatch", "build", "targets", "wheel").get("packages")
    roots = {one.strip("/") for one in _strings(wheel)}
    for row in project.table("tool", "poetry").get("packages", []):
        if isinstance(row, dict) and "*" not in str(row.get("include", "*")):
            roots.add("/".join(filter(None, [str(row.get("from", "")), str(row["include"])])))
    return roots | {name.partition(".")[0] for name in names if name.strip()}


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []
