"""Tool-calling formats: render, parse, stream, mask and constrain, from one specification each."""

from regreen.templates.chat import CHATML, Chat, Results
from regreen.templates.format import ToolFormat
from regreen.templates.message import Delta, IncompleteCall, ParsedMessage, ToolCall, collect
from regreen.templates.parser import Reasoning, StreamParser
from regreen.templates.registry import ALIASES, FORMATS, tool_format
from regreen.templates.syntax import CallReader, CallSyntax
from regreen.templates.tokens.byte_tokenizer import ByteTokenizer
from regreen.templates.tokens.dialogue import Dialogue, Sample
from regreen.templates.tokens.renderer import Renderer
from regreen.templates.tokens.spans import Rendered, Span
from regreen.templates.tokens.tokenizers import JsonTokenizer, Tokenizer, qwen_vocabulary
from regreen.templates.tools import ToolTable, tool_table
from regreen.templates.write import Channels, Piece

__all__ = [
    "ALIASES",
    "CHATML",
    "FORMATS",
    "ByteTokenizer",
    "CallReader",
    "CallSyntax",
    "Channels",
    "Chat",
    "Delta",
    "Dialogue",
    "IncompleteCall",
    "JsonTokenizer",
    "ParsedMessage",
    "Piece",
    "Reasoning",
    "Rendered",
    "Renderer",
    "Results",
    "Sample",
    "Span",
    "StreamParser",
    "Tokenizer",
    "ToolCall",
    "ToolFormat",
    "ToolTable",
    "collect",
    "qwen_vocabulary",
    "tool_format",
    "tool_table",
]
