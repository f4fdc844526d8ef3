"""What texts are asked for; everything here decides about the rows that are written."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FORMS", "Form", "Layout", "Order", "TextsConfig"]

Form = Literal["repository", "file", "fim", "search_replace"]
Order = Literal["dependency", "random", "path"]
Layout = Literal["plain", "listing"]

FORMS: tuple[Form, ...] = ("repository", "file", "fim", "search_replace")
"""What a repository can become."""


class TextsConfig(BaseModel):
    """Settings of ``regreen train texts``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Form = "repository"
    """``repository`` joins all files, ``file`` takes each alone, ``fim`` and ``search_replace``
    leave a hole to fill in each."""
    seed: int = Field(0, ge=0)
    """Decides about random orders and about holes."""
    file_bytes: int = Field(256 * 1024, ge=1)
    """Largest file."""
    line_characters: int = Field(2000, ge=1)
    """A file with a longer line is taken for minified or for data."""
    mean_line: int = Field(150, ge=1)
    """So is one whose lines are longer on average, from 2 KiB on."""
    tests: bool = True
    """Take tests too."""
    orders: tuple[Order, ...] = Field(("dependency",), min_length=1)
    """Orders of the files; a repository becomes a document in each of them."""
    layouts: tuple[Layout, ...] = Field(("plain",), min_length=1)
    """``listing`` names all paths first; a repository becomes a document in each layout."""
    document_characters: int = Field(1_000_000, ge=1)
    """A longer repository becomes several documents, divided between files."""
    holes: int = Field(1, ge=1)
    """Holes drawn in each file, a row each."""
    middle_characters: int = Field(2000, ge=1)
    """Longest hole."""
    syntax_share: float = Field(0.7, ge=0, le=1)
    """Share of holes that follow the syntax: a function's body or a statement of Python, whole
    lines of other languages. The others begin and end anywhere."""
    suffix_first_share: float = Field(0.5, ge=0, le=1)
    """Share of plain ``fim`` rows with the suffix in front of the prefix."""
    chat_share: float = Field(0.0, ge=0, le=1)
    """Share of ``fim`` rows in which the question is a user's turn and the middle the answer."""
    region_lines: int = Field(10, ge=0)
    """Lines before and behind the hole that a ``search_replace`` answer may edit."""
