"""A git repository written commit by commit, its ids the same on every machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

START = 1_700_000_000


class Story:
    """Makes commits, one day apart.

    Args:
        root: empty or absent directory that becomes the work tree.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.days = 0
        self.names: dict[str, str] = {}
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        when = f"{START + 86_400 * self.days} +0000"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_DATE": when,
        }
        done = subprocess.run(
            ["git", "-C", str(self.root), "-c", "protocol.file.allow=always", *arguments],
            input=stdin,
            capture_output=True,
            check=True,
            env=env,
        )
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Put files into the work tree; None removes one."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content)

    def commit(self, label: str, message: str, files: Mapping[str, str | bytes | None]) -> str:
        """Commit files; the id is kept under ``label``."""
        self.write(files)
        self.days += 1
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.names[label] = self.git("rev-parse", "HEAD")
        return self.names[label]

    def merge(self, label: str, message: str, branch: str) -> str:
        """Merge a branch into main with a commit of its own."""
        self.git("checkout", "-q", "main")
        self.days += 1
        self.git("merge", "-q", "--no-ff", "-m", message, branch)
        self.names[label] = self.git("rev-parse", "HEAD")
        return self.names[label]
