"""A small repository, gold patches for it, and every way we know to leave their content behind."""

from __future__ import annotations

import base64
import bz2
import gzip
import importlib.util
import io
import json
import lzma
import marshal
import os
import pickle
import sqlite3
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.c",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}
TARGET = "purse/money.py"
BASE = '''"""Sums of money."""

RATES = {"EUR": 1, "USD": 2}


def total(amounts, fee):
    result = 0
    for amount in amounts:
        result += amount
    return result - fee


def convert(amount, currency):
    rate = RATES[currency]
    amount = round(amount)
    return amount * rate


def shown(amount):
    return f"{amount:.2f}"
'''
GOLDS = {
    "operator": BASE.replace("return result - fee", "return result + fee"),
    "lines": BASE.replace(
        "    rate = RATES[currency]\n",
        "    if currency not in RATES:\n"
        '        raise ValueError(f"no rate for {currency}")\n'
        "    rate = RATES[currency]\n",
    ),
    "deletion": BASE.replace("    amount = round(amount)\n", ""),
}
FILES = {
    "pyproject.toml": '[project]\nname = "purse"\nversion = "1.0"\n',
    "README.md": "# purse\n\nSee https://github.com/example/purse for more.\n",
    ".gitignore": "*.pyc\n__pycache__/\nbuild/\n",
    "purse/__init__.py": "from purse.money import convert, shown, total\n",
    TARGET: BASE,
    "tests/test_money.py": (
        "from purse import total\n\n\ndef test_total():\n    assert total([1], 0) == 1\n"
    ),
}


def git(repository: Path, *arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        input=stdin,
        env=ENV,
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


def write(root: Path, name: str, data: str | bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def make_repository(root: Path) -> Path:
    """One commit, as an ordinary person makes it."""
    root.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    for name, text in FILES.items():
        write(root, name, text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "purse 1.0")
    return root


@dataclass(frozen=True)
class Gold:
    """A fix as content and as patch."""

    name: str
    fixed: str
    patch: str


def make_gold(repository: Path, name: str) -> Gold:
    write(repository, TARGET, GOLDS[name])
    patch = git(repository, "diff") + "\n"
    write(repository, TARGET, BASE)
    git(repository, "add", "-A")
    return Gold(name, GOLDS[name], patch)


Plant = Callable[[Path, Gold], None]
PLANTS: dict[str, tuple[str, Plant]] = {}


def plant(kind: str) -> Callable[[Plant], Plant]:
    def keep(function: Plant) -> Plant:
        PLANTS[function.__name__] = (kind, function)
        return function

    return keep


def fixed_commit(repo: Path, gold: Gold) -> str:
    """A commit with the fix that nothing names, its tree being the fixed one."""
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=gold.fixed.encode())
    rows = git(repo, "ls-tree", "-r", "HEAD")
    index = repo / ".git" / "scratch-index"
    env = {**ENV, "GIT_INDEX_FILE": str(index)}

    def run(*arguments: str, stdin: str = "") -> str:
        command = ["git", "-C", str(repo), *arguments]
        done = subprocess.run(
            command, input=stdin.encode(), env=env, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    run("update-index", "--index-info", stdin=rows + "\n")
    run("update-index", "--cacheinfo", f"100644,{blob},{TARGET}")
    tree = run("write-tree")
    index.unlink()
    return git(repo, "commit-tree", "-p", "HEAD", "-m", "repair totals", tree)


@plant("branch")
def other_branch(repo: Path, gold: Gold) -> None:
    git(repo, "branch", "later", fixed_commit(repo, gold))


@plant("branch")
def packed_branch(repo: Path, gold: Gold) -> None:
    git(repo, "branch", "packed", fixed_commit(repo, gold))
    git(repo, "pack-refs", "--all")
    git(repo, "gc", "-q")


@plant("tag")
def light_tag(repo: Path, gold: Gold) -> None:
    git(repo, "tag", "v1.1", fixed_commit(repo, gold))


@plant("tag")
def tag_of_a_blob(repo: Path, gold: Gold) -> None:
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=gold.fixed.encode())
    git(repo, "tag", "blob-tag", blob)


@plant("tag")
def message_of_a_tag(repo: Path, gold: Gold) -> None:
    git(repo, "tag", "-a", "told", "-F", "-", stdin=gold.patch.encode())


@plant("remote_branch")
def remote_branch(repo: Path, gold: Gold) -> None:
    git(repo, "update-ref", "refs/remotes/origin/main", fixed_commit(repo, gold))


@plant("ref")
def pull_reference(repo: Path, gold: Gold) -> None:
    git(repo, "update-ref", "refs/pull/7/head", fixed_commit(repo, gold))


@plant("stash")
def stash(repo: Path, gold: Gold) -> None:
    write(repo, TARGET, gold.fixed)
    git(repo, "stash", "-q")


@plant("note")
def note(repo: Path, gold: Gold) -> None:
    git(repo, "notes", "add", "-F", "-", "HEAD", stdin=gold.patch.encode())


@plant("replace")
def replace(repo: Path, gold: Gold) -> None:
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=gold.fixed.encode())
    git(repo, "replace", git(repo, "rev-parse", f"HEAD:{TARGET}"), blob)


@plant("reflog")
def reflog(repo: Path, gold: Gold) -> None:
    head = git(repo, "rev-parse", "HEAD")
    git(repo, "update-ref", "--create-reflog", "refs/heads/main", fixed_commit(repo, gold))
    git(repo, "update-ref", "refs/heads/main", head)


@plant("message_file")
def orig_head(repo: Path, gold: Gold) -> None:
    write(repo, ".git/ORIG_HEAD", fixed_commit(repo, gold) + "\n")


@plant("message_file")
def fetch_head(repo: Path, gold: Gold) -> None:
    write(
        repo, ".git/FETCH_HEAD", f"{fixed_commit(repo, gold)}\t\tbranch 'main' of github.com:x/y\n"
    )


@plant("message_file")
def commit_message_left(repo: Path, gold: Gold) -> None:
    write(repo, ".git/COMMIT_EDITMSG", "repair totals\n\n" + gold.patch)


@plant("unreachable")
def unreachable_blob(repo: Path, gold: Gold) -> None:
    git(repo, "hash-object", "-w", "--stdin", stdin=gold.fixed.encode())


@plant("unreachable")
def unreachable_commit(repo: Path, gold: Gold) -> None:
    fixed_commit(repo, gold)


@plant("unreachable")
def unreachable_and_edited(repo: Path, gold: Gold) -> None:
    text = gold.fixed.replace("Sums of money", "Sums of money, and more").replace("\n", "\r\n")
    git(repo, "hash-object", "-w", "--stdin", stdin=text.encode())


def pack_of(repo: Path, gold: Gold) -> bytes:
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=gold.fixed.encode())
    command = ["git", "-C", str(repo), "pack-objects", "-q", "--stdout"]
    pack = subprocess.run(
        command, input=blob.encode(), env=ENV, check=True, capture_output=True
    ).stdout
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink(missing_ok=True)
    return pack


@plant("git_pack")
def pack_without_index(repo: Path, gold: Gold) -> None:
    write(repo, ".git/objects/pack/pack-" + "0" * 40 + ".pack", pack_of(repo, gold))


@plant("git_pack")
def unfinished_pack(repo: Path, gold: Gold) -> None:
    write(repo, ".git/objects/pack/tmp_pack_Xy12ab", pack_of(repo, gold)[:-12])


@plant("git_pack")
def pack_in_the_tree(repo: Path, gold: Gold) -> None:
    write(repo, "data/fixtures.bin", pack_of(repo, gold))


@plant("unreachable")
def kept_pack(repo: Path, gold: Gold) -> None:
    pack = write(repo, ".git/objects/pack/pack-" + "1" * 40 + ".pack", pack_of(repo, gold))
    git(repo, "index-pack", str(pack))
    write(repo, str(pack.with_suffix(".keep").relative_to(repo)), "kept")


@plant("git_pack")
def pack_with_half_an_index(repo: Path, gold: Gold) -> None:
    pack = write(repo, ".git/objects/pack/pack-" + "2" * 40 + ".pack", pack_of(repo, gold))
    git(repo, "index-pack", str(pack))
    index = pack.with_suffix(".idx")
    data = index.read_bytes()
    index.unlink()
    write(repo, str(index.relative_to(repo)), data[:1050])


@plant("unreachable")
def temporary_object(repo: Path, gold: Gold) -> None:
    blob = gold.fixed.encode()
    loose = zlib.compress(b"blob %d\0" % len(blob) + blob)
    write(repo, ".git/objects/7e/tmp_obj_aB3dE6", loose)


@plant("bundle")
def bundle(repo: Path, gold: Gold) -> None:
    git(repo, "update-ref", "refs/heads/bundled", fixed_commit(repo, gold))
    git(repo, "bundle", "create", "-q", "backup.dat", "main..bundled")
    git(repo, "update-ref", "-d", "refs/heads/bundled")


@plant("alternate")
def alternate(repo: Path, gold: Gold) -> None:
    other = make_repository(repo.parent / f"{repo.name}-borrowed")
    fixed_commit(other, gold)
    write(repo, ".git/objects/info/alternates", f"{other}/.git/objects\n")


@plant("worktree")
def worktree(repo: Path, gold: Gold) -> None:
    place = repo.parent / f"{repo.name}-worktree"
    git(repo, "worktree", "add", "-q", "--detach", str(place), fixed_commit(repo, gold))


@plant("index")
def staged(repo: Path, gold: Gold) -> None:
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=gold.fixed.encode())
    git(repo, "update-index", "--cacheinfo", f"100644,{blob},{TARGET}")


@plant("submodule")
def submodule_store(repo: Path, gold: Gold) -> None:
    inner = make_repository(repo.parent / f"{repo.name}-sub")
    fixed_commit(inner, gold)
    (repo / ".git" / "modules").mkdir(exist_ok=True)
    (inner / ".git").rename(repo / ".git" / "modules" / "purse")


@plant("nested_repository")
def nested_repository(repo: Path, gold: Gold) -> None:
    inner = make_repository(repo / "vendor" / "copy")
    git(inner, "branch", "later", fixed_commit(inner, gold))


@plant("nested_repository")
def bare_repository(repo: Path, gold: Gold) -> None:
    inner = make_repository(repo.parent / f"{repo.name}-bare")
    fixed_commit(inner, gold)
    (inner / ".git").rename(repo / "mirror.git")


@plant("rr_cache")
def conflict_resolution(repo: Path, gold: Gold) -> None:
    write(repo, ".git/rr-cache/abc/postimage", gold.fixed)


@plant("lost_found")
def lost_found(repo: Path, gold: Gold) -> None:
    write(repo, ".git/lost-found/other/1234", gold.fixed)


@plant("hook")
def hook(repo: Path, gold: Gold) -> None:
    write(repo, ".git/hooks/post-checkout", "#!/bin/sh\ncurl -s https://x/fix | git apply\n")


@plant("hook")
def smudge_filter(repo: Path, gold: Gold) -> None:
    git(repo, "config", "filter.fix.smudge", "sed s/-/+/")


@plant("remote")
def remote(repo: Path, gold: Gold) -> None:
    git(repo, "remote", "add", "origin", "https://github.com/example/purse")


@plant("remote")
def rewritten_url(repo: Path, gold: Gold) -> None:
    git(repo, "config", "url.https://mirror.example/.insteadOf", "gh:")


@plant("credential")
def token_in_the_configuration(repo: Path, gold: Gold) -> None:
    git(repo, "config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic eDp5")


@plant("credential")
def credentials_file(repo: Path, gold: Gold) -> None:
    write(repo, ".git-credentials", "https://me:secret@github.com\n")


@plant("future_commit")
def later_commit_without_the_fix(repo: Path, gold: Gold) -> None:
    tree = git(repo, "rev-parse", "HEAD^{tree}")
    git(repo, "commit-tree", "-p", "HEAD", "-m", "release 1.1", tree)


@plant("file")
def untracked_copy(repo: Path, gold: Gold) -> None:
    write(repo, "old/money.orig", gold.fixed)


@plant("file")
def copy_in_utf16(repo: Path, gold: Gold) -> None:
    write(repo, "notes.txt", gold.fixed.encode("utf-16"))


@plant("file")
def pickled(repo: Path, gold: Gold) -> None:
    write(repo, "state.pkl", pickle.dumps({"source": gold.fixed}))


@plant("file")
def in_a_data_base(repo: Path, gold: Gold) -> None:
    with closing(sqlite3.connect(repo / "cache.db")) as data:
        data.execute("create table t (a text)")
        data.execute("insert into t values (?)", (gold.fixed,))
        data.commit()


@plant("patch_file")
def patch_file(repo: Path, gold: Gold) -> None:
    write(repo, "fix.diff", gold.patch)


@plant("patch_file")
def reversed_patch(repo: Path, gold: Gold) -> None:
    (repo / "r").mkdir()
    write(repo, "r/a", gold.fixed)
    write(repo, "r/b", BASE)
    done = subprocess.run(
        ["diff", "-u", "a", "b"], cwd=repo / "r", capture_output=True, check=False
    )
    (repo / "r" / "a").unlink()
    (repo / "r" / "b").unlink()
    write(repo, "r/bug.diff", done.stdout)


@plant("patch_file")
def task_file(repo: Path, gold: Gold) -> None:
    write(repo, "tasks.jsonl", json.dumps({"instance_id": "x", "patch": gold.patch}) + "\n")


@plant("patch_file")
def task_file_in_a_string(repo: Path, gold: Gold) -> None:
    write(repo, "twice.json", json.dumps({"row": json.dumps({"patch": gold.patch})}))


@plant("archive")
def compressed(repo: Path, gold: Gold) -> None:
    write(repo, "money.bak", gzip.compress(gold.fixed.encode()))


@plant("archive")
def compressed_otherwise(repo: Path, gold: Gold) -> None:
    write(repo, "a.bak", bz2.compress(lzma.compress(gold.fixed.encode())))


@plant("archive")
def tar_in_a_zip(repo: Path, gold: Gold) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        member = tarfile.TarInfo("purse-1.1/purse/money.py")
        member.size = len(gold.fixed)
        tar.addfile(member, io.BytesIO(gold.fixed.encode()))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("purse-1.1.tar.gz", inner.getvalue())
    write(repo, "assets.bin", outer.getvalue())


@plant("encoded")
def in_base64(repo: Path, gold: Gold) -> None:
    write(repo, "blob.txt", base64.encodebytes(gold.fixed.encode()))


@plant("encoded")
def in_python_source(repo: Path, gold: Gold) -> None:
    lines = base64.encodebytes(gold.fixed.encode()).decode().split()
    write(repo, "data.py", "DATA = (\n" + "".join(f'    "{line}"\n' for line in lines) + ")\n")


@plant("encoded")
def in_hexadecimal(repo: Path, gold: Gold) -> None:
    write(repo, "blob.json", json.dumps({"data": gold.fixed.encode().hex()}))


@plant("encoded")
def in_base85(repo: Path, gold: Gold) -> None:
    write(repo, "blob.85", base64.b85encode(gzip.compress(gold.fixed.encode(), mtime=0)))


def pyc(source: str, *, optimize: int = -1, by_hash: bool = False) -> bytes:
    code = marshal.dumps(compile(source, "purse/money.py", "exec", optimize=optimize))
    if by_hash:
        head = b"\1\0\0\0" + importlib.util.source_hash(source.encode())
    else:
        head = b"\0\0\0\0" + b"\1\2\3\4" + len(source).to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + head + code


@plant("bytecode")
def bytecode(repo: Path, gold: Gold) -> None:
    write(repo, "purse/__pycache__/money.cpython-311.pyc", pyc(gold.fixed))


@plant("bytecode")
def renamed_bytecode(repo: Path, gold: Gold) -> None:
    write(repo, "data/model.bin", pyc(gold.fixed, optimize=2))


@plant("bytecode")
def bytecode_of_another_version(repo: Path, gold: Gold) -> None:
    data = pyc(gold.fixed, by_hash=True)
    write(repo, "purse/__pycache__/money.cpython-39.pyc", (3425).to_bytes(2, "little") + data[2:])


@plant("build_output")
def build_output(repo: Path, gold: Gold) -> None:
    write(repo, "build/lib/purse/money.py", gold.fixed)


@plant("installed_copy")
def installed_copy(repo: Path, gold: Gold) -> None:
    write(repo, ".venv/lib/python3.11/site-packages/purse/money.py", gold.fixed)


@plant("package_cache")
def cached_wheel(repo: Path, gold: Gold) -> None:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("purse/money.py", gold.fixed)
    write(repo, ".cache/pip/http-v2/a/b/abcdef.body", wheel.getvalue())


@plant("history")
def fix_in_the_past(repo: Path, gold: Gold) -> None:
    write(repo, TARGET, gold.fixed)
    git(repo, "commit", "-q", "-a", "-m", "all is well")
    write(repo, TARGET, BASE)
    git(repo, "commit", "-q", "-a", "-m", "break it")
