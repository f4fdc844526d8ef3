"""What can go wrong between us and a model's endpoint, each with its mend.

All but ``ContextOverflow`` end a rollout at the model's boundary; a full context is the agent's
own doing, so its loop catches that one and records it as an outcome.

    ModelError
    ├── EndpointUnreachable     nobody answers, or not within the retry budget
    ├── EndpointRefused         the key, the path or the request is not accepted
    ├── EndpointTimeout         connected, but no complete answer in time
    ├── MalformedAnswer         an answer that is not a chat completion
    └── ContextOverflow         the conversation no longer fits the model
"""

from __future__ import annotations

from regreen.core.errors import ModelError

__all__ = [
    "ContextOverflow",
    "EndpointRefused",
    "EndpointTimeout",
    "EndpointUnreachable",
    "MalformedAnswer",
]


class EndpointUnreachable(ModelError):
    """Connection errors, 429 or 5xx until the retry budget was spent."""


class EndpointRefused(ModelError):
    """A 4xx that no retry mends: key, model name or request."""


class EndpointTimeout(ModelError):
    """The endpoint accepted the request and did not finish its answer in time."""


class MalformedAnswer(ModelError):
    """Status 200 with a body that is not a chat completion."""


class ContextOverflow(ModelError):
    """The prompt is longer than the model's context."""
