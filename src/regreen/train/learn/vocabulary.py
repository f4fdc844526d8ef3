"""A vocabulary for the demonstration, learnt from the teacher's own conversations.

Byte-level BPE without a notion of words, because a call's framing is always the same and may as
well be one token; digits, names and operators stay apart, because they are what is thought about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from regreen.templates import ByteTokenizer, tool_format
from regreen.templates.tokens.renderer import Renderer

__all__ = ["SIZE", "train_vocabulary"]

SIZE = 768
"""Entries, special tokens and the 256 bytes included."""

_APART = (
    r"[0-9]"
    r"|(?<![a-z])[bdfgklmnprst][aeiou](?![a-z])"
    r"|(?<=[ \n])(?:==|!=|[-+*&|^<>])(?=[ \n])"
)


def train_vocabulary(
    conversations: Sequence[Sequence[Mapping[str, Any]]], form: str, path: Path
) -> None:
    """Write a ``tokenizer.json``.

    Args:
        conversations: messages in OpenAI shape.
        form: the format they will be rendered in.
        path: the file.
    """
    chosen = tool_format(form)
    specials = list(chosen.chat.specials)
    plain = Renderer(chosen, ByteTokenizer(specials))
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_APART), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    found.decoder = decoders.ByteLevel()
    found.train_from_iterator(
        (piece for messages in conversations for piece in _runs(plain, messages)),
        trainers.BpeTrainer(
            vocab_size=SIZE - len(specials),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    found.add_special_tokens(specials)
    found.save(str(path))


def _runs(plain: Renderer, messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The stretches of text that are encoded as one: up to special tokens and to what is sampled.

    A token learnt across such a border would never be used, and its parts would be poor ones.
    """
    rendered = plain.encode(messages, None, close=True)
    marks = set(plain.tokenizer.specials.values())
    held: list[int] = []
    trained = False
    for span in rendered.spans:
        for token in rendered.ids[span.start : span.end]:
            if held and (span.trained != trained or token in marks):
                yield plain.tokenizer.decode(held)
                held = []
            trained = span.trained
            if token not in marks:
                held.append(token)
    if held:
        yield plain.tokenizer.decode(held)
