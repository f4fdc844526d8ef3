"""Lets the suites below share ``story``, ``raw_objects`` and ``github_server``."""

import sys
from pathlib import Path

import httpx2
import pytest

from regreen.tasks.repo.index import index_url

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def online() -> None:
    """Skips what needs the package index where that cannot be reached."""
    try:
        httpx2.get(f"{index_url()}pytest/", timeout=10, follow_redirects=True).raise_for_status()
    except httpx2.HTTPError:
        pytest.skip("the package index cannot be reached")
