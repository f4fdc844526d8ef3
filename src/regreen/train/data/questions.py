"""One name for a question to a model: what decides about the answer, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from regreen.inference.client import ChatClient

__all__ = ["key_of"]


def key_of(kind: str, client: ChatClient, seed: int, question: Sequence[Any]) -> str:
    """The key of a question.

    Args:
        kind: of judgement.
        client: who is asked, and how it is sampled.
        seed: of the request.
        question: its words, and all else that decides, as JSON.
    """
    sampling = client.sampling.model_dump(mode="json")
    decides = [kind, client.endpoint.model, sampling, seed, question]
    text = json.dumps(decides, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
