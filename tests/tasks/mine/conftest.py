"""Lets the suites of this folder share ``story`` and ``abacus``, and a history mined once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from abacus import tell
from bag import tell_bag
from story import Story


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("abacus") / "abacus")


@pytest.fixture(scope="session")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell_bag(tmp_path_factory.mktemp("bag") / "bag")
