"""Messages to token ids and back, for one format and one vocabulary.

Special tokens stand only where the format itself wrote them; whatever a message, its calls, a
tool's result or a tool's description contains is encoded as text. Only special tokens of a single
character are not told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regreen.templates.conversation import Message, normalise, numbered
from regreen.templates.format import Messages, ToolFormat, Tools
from regreen.templates.message import ParsedMessage
from regreen.templates.tokens.marks import marked, pattern_of
from regreen.templates.tokens.spans import Marked, Rendered, encode_pieces
from regreen.templates.tokens.tokenizers import Tokenizer
from regreen.templates.tools import ToolTable, tool_table
from regreen.templates.write import Piece, completion, end_mark, write

__all__ = ["Renderer"]


class Renderer:
    """Writes conversations as token ids and reads completions.

    Args:
        form: the tool-calling format.
        tokenizer: the vocabulary. Marks of the format that it holds as single tokens become those;
            the others are text.
    """

    def __init__(self, form: ToolFormat, tokenizer: Tokenizer) -> None:
        self.form = form
        self.tokenizer = tokenizer
        specials = tokenizer.specials
        said = completion(form, Message("assistant", "x", "y"), tool_table(None))
        inner = [stop for stop in form.chat.stops if any(stop in piece.text for piece in said)]
        stops = [stop for stop in form.chat.stops if stop not in inner]
        self.stop_ids = tuple(specials[stop] for stop in stops if stop in specials)
        """Ids that end an assistant's turn, to be given to the engine."""
        self.stop_texts = tuple(stop for stop in stops if stop not in specials)
        """Stop marks that this vocabulary has no token for."""
        self._pattern = pattern_of(specials)
        opening = Piece(form.chat.turns["assistant"][0], "assistant", "frame", -1, False)
        self._next_part = encode_pieces(tokenizer, [self._framing(opening)]).ids if inner else []

    def encode(
        self,
        messages: Messages,
        tools: Tools,
        *,
        add_generation_prompt: bool = False,
        close: bool = False,
    ) -> Rendered:
        """A conversation as token ids with spans; see ``ToolFormat.render``.

        Args:
            messages: in OpenAI chat shape.
            tools: in OpenAI shape; None for none.
            add_generation_prompt: end with the opening of an assistant's turn.
            close: end the last answer too where only a next turn would (GLM), with the mark that
                the model samples there, so that it is trained to stop. Published templates write
                none, so these ids are one more than those of ``render``. Elsewhere of no effect.
        """
        rows = numbered(normalise(messages), self.form.call_id)
        generation = add_generation_prompt
        return self.encode_rows(rows, tool_table(tools), generation=generation, close=close)

    def encode_rows(
        self,
        rows: Sequence[Message],
        tools: ToolTable,
        *,
        generation: bool,
        close: bool = False,
        begin: int = 0,
        lead: Iterable[Piece] = (),
        standing: str = "",
    ) -> Rendered:
        """Messages from ``begin`` on as token ids, behind pieces that close what stands.

        Args:
            rows: all messages so far; those before ``begin`` are not encoded.
            tools: the tools offered.
            generation: end with the opening of an assistant's turn.
            close: end the last answer where only a next turn would; see ``encode``.
            begin: first message to encode.
            lead: pieces of framing to put in front.
            standing: a mark that stands already, left out where the new text begins with it.
        """

        def again(messages: Sequence[Message], table: ToolTable) -> list[Piece]:
            pieces = write(self.form, messages, table, generation, begin)
            if close and self.form.chat.ends_with_next and messages[-1].role == "assistant":
                mark = end_mark(self.form, messages[-1])
                pieces.append(Piece(mark, "assistant", "end", len(messages) - 1, True))
            return pieces

        closing = [self._framing(piece) for piece in lead]
        found = marked(again, rows, tools, self._pattern, begin)
        return encode_pieces(self.tokenizer, _without(standing, [*closing, *found]))

    def completion(
        self, message: Mapping[str, Any], tools: Tools, *, before: Messages = ()
    ) -> list[int]:
        """Ids that a model would sample to say ``message``, the end of its turn included.

        Args:
            message: an assistant's message, in OpenAI shape.
            tools: the tools offered.
            before: the conversation so far; formats that number their calls count on.
        """
        before = before or [{"role": "user", "content": ""}]  # so that nothing else is encoded
        rows = numbered(normalise([*before, message]), self.form.call_id)
        rendered = self.encode_rows(
            rows, tool_table(tools), generation=False, close=True, begin=len(before)
        )
        spans = [span for span in rendered.spans if span.trained]
        return rendered.ids[spans[0].start : spans[-1].end] if spans else []

    def parse(
        self,
        ids: Iterable[int],
        tools: Tools,
        *,
        truncated: bool | None = None,
        in_reasoning: bool = False,
    ) -> ParsedMessage:
        """Read sampled ids, up to the first that ends the turn; see ``ToolFormat.parse``.

        Where a turn is several messages (gpt-oss), a mark with another message behind it ends none.
        """
        kept, more = list(ids), self._next_part
        for place, token in enumerate(kept, 1):
            if token in self.stop_ids and not (more and kept[place : place + len(more)] == more):
                del kept[place:]
                break
        text = self.tokenizer.decode(kept)
        return self.form.parse(text, tools, truncated=truncated, in_reasoning=in_reasoning)

    def _framing(self, piece: Piece) -> Marked:
        """A piece that holds nothing of a message: every special token in it is the format's."""
        return Marked(piece, [match.span() for match in self._pattern.finditer(piece.text)])

    def end_mark(self, ids: Sequence[int]) -> str:
        """The mark at the end of sampled ids that ended the turn; empty when it was cut."""
        if not ids:
            return ""
        if ids[-1] in self.stop_ids:
            return self.tokenizer.decode(ids[-1:])
        text = self.tokenizer.decode(ids) if self.stop_texts else ""
        return next((stop for stop in self.stop_texts if text.endswith(stop)), "")


def _without(standing: str, pieces: list[Marked]) -> list[Marked]:
    """The pieces without the mark ``standing`` at their very beginning."""
    for place, (piece, marks) in enumerate(pieces):
        if piece.text:
            if standing and piece.text.startswith(standing):
                size = len(standing)
                rest = [(start - size, end - size) for start, end in marks if start >= size]
                pieces[place] = Marked(piece._replace(text=piece.text[size:]), rest)
            break
    return pieces
