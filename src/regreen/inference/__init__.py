"""The model service seen from a client: any OpenAI-compatible endpoint, and a scripted one."""

from regreen.inference.client import ChatClient, Endpoint
from regreen.inference.completion import Completion, read_completion
from regreen.inference.errors import (
    ContextOverflow,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    MalformedAnswer,
)
from regreen.inference.messages import Message, MessageList
from regreen.inference.scripted import Reply, ScriptedEndpoint, call, calls, say

__all__ = [
    "ChatClient",
    "Completion",
    "ContextOverflow",
    "Endpoint",
    "EndpointRefused",
    "EndpointTimeout",
    "EndpointUnreachable",
    "MalformedAnswer",
    "Message",
    "MessageList",
    "Reply",
    "ScriptedEndpoint",
    "call",
    "calls",
    "read_completion",
    "say",
]
