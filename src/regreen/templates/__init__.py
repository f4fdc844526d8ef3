"""Tool-calling formats: render, parse, stream, mask and constrain, from one specification each."""

from regreen.templates.chat import CHATML, Chat, Results
from regreen.templates.format import ToolFormat
from regreen.templates.message import Delta, IncompleteCall, ParsedMessage, ToolCall, collect
from regreen.templates.parser import Reasoning, StreamParser
from regreen.templates.registry import ALIASES, FORMATS, tool_format
from regreen.templates.write import Piece

__all__ = [
    "ALIASES",
    "CHATML",
    "FORMATS",
    "Chat",
    "Delta",
    "IncompleteCall",
    "ParsedMessage",
    "Piece",
    "Reasoning",
    "Results",
    "StreamParser",
    "ToolCall",
    "ToolFormat",
    "collect",
    "tool_format",
]
