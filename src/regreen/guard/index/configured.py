"""The package index this machine is set up for, as its installers would find it."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["DEFAULT_INDEX", "index_url", "redact"]

DEFAULT_INDEX = "https://pypi.org/simple/"


def index_url(environ: Mapping[str, str] = os.environ) -> str:
    """The index this machine is set up for: uv's variables, then pip's, then pip's files."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if value := environ.get(name, "").strip():
            return _slash(value.removeprefix("default="))
    home = Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = [Path(environ["PIP_CONFIG_FILE"])] if environ.get("PIP_CONFIG_FILE") else []
    usual = [config / "pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    for path in (*named, *usual):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(path)
        except configparser.Error:
            continue
        if value := parser.get("global", "index-url", fallback="").strip():
            return _slash(value)
    return DEFAULT_INDEX


def redact(text: str) -> str:
    """The text without the users and passwords its URLs may carry."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def _slash(url: str) -> str:
    return url.rstrip("/") + "/"
