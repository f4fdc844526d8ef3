"""Servers of token ids, for one test each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tests.inference.token_server import TokenServer, policy, serving

from regreen.model import Decoder


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Models as small as these are slower on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def token_server() -> Iterator[Callable[..., TokenServer]]:
    """Start servers; they are stopped with the test."""
    opened = []

    def start(kind: str = "vllm", **options: Any) -> TokenServer:
        running = serving(TokenServer(kind, **options))
        opened.append(running)
        return running.__enter__()

    yield start
    for running in opened:
        running.__exit__(None, None, None)


@pytest.fixture
def new_policy() -> Callable[[int], Decoder]:
    return policy
