"""What counts as a completion and nothing more, for models that are asked from inside a box.

A model's service can do much besides: search the web, fetch pages and files, run code on machines
with a network. Types of tools are therefore allowed by name and not forbidden by name: a tool that
the harness itself carries out is passed, and what is unknown is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["completions_only", "server_side"]

_ALLOWED = {
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/models"),
}
# Carried out by whoever receives the call: plain functions, and the tools that vendors have trained
# into their models under a dated name.
_CLIENT_TOOLS = re.compile(
    r"function|custom|local_shell|apply_patch"
    r"|(?:bash|text_editor|computer|memory)_\d{8}|computer_use_preview|computer"
)
# Keys of a request that make the service fetch, search or run; an empty object switches some on.
_SERVER_KEYS = (
    "plugins",
    "web_search_options",
    "search_parameters",
    "search_options",
    "web_search",
    "enable_search",
    "mcp_servers",
    "tool_resources",
    "container",
    "data_sources",
)
_SEARCHING_MODEL = re.compile(
    r"(?::online|-search-preview(?:-[\d-]+)?|-deep-research(?:-[\d-]+)?)$"
)
_MEDIA = re.compile(r"(?:input_)?(?:image|image_url|file|document|audio|audio_url|video|video_url)")
_REMOTE = re.compile(r"\s*(?!data:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_LINKS = ("url", "image_url", "file_url", "video_url", "audio_url", "uri")
_DEPTH = 12


def completions_only(path: str, method: str) -> bool:
    """Whether a request asks a model's service for a completion, or for the list of its models.

    Args:
        path: of the URL, without a query; compared letter by letter, so nothing is decoded.
        method: of the request.
    """
    return (method, path) in _ALLOWED


def server_side(body: Mapping[str, Any]) -> str:  # JSON edge
    """What in a request would make the service itself reach out, named; empty when nothing does.

    Args:
        body: a request of the chat, completions, messages or responses API.
    """
    for key in _SERVER_KEYS:
        if body.get(key) not in (None, False, []):
            return f"'{key}'"
    model = body.get("model")
    if isinstance(model, str) and _SEARCHING_MODEL.search(model):
        return f"the model '{model}', which searches the web"
    for tool in _items(body.get("tools")):
        kind = _kind(tool)
        if not _CLIENT_TOOLS.fullmatch(kind):
            return f"the tool '{kind[:100]}'"
    for key in ("messages", "input", "system", "prompt", "instructions"):
        for part in _parts(body.get(key), 0):
            if link := _remote(part):
                return f"content at the address '{link[:100]}'"
    return ""


def _kind(tool: Any) -> str:
    """The type of a tool; one without a type has to look like a function's definition."""
    if not isinstance(tool, Mapping):
        return str(tool)
    if kind := tool.get("type"):
        return str(kind)
    if isinstance(tool.get("name"), str) and "input_schema" in tool:
        return "custom"
    return "function" if set(tool) == {"function"} else ", ".join(map(str, tool))


def _items(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _parts(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Every typed part of messages; a call's arguments are the agent's own and not looked into."""
    if depth > _DEPTH:
        return
    for item in _items(value):
        if not isinstance(item, Mapping):
            continue
        yield item
        for key in ("content", "output", "parts"):
            yield from _parts(item.get(key), depth + 1)


def _remote(part: Mapping[str, Any]) -> str:
    """The address a media part has the service fetch."""
    if not _MEDIA.fullmatch(str(part.get("type", ""))):
        return ""
    for place in (part, *(part.get(key) for key in (*_LINKS, "source", "file", "image"))):
        values = (
            (place.get(key) for key in _LINKS) if isinstance(place, Mapping) else iter((place,))
        )
        for value in values:
            if isinstance(value, str) and _REMOTE.match(value):
                return value
    return ""
