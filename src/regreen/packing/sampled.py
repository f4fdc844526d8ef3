"""Ids that a model sampled, put back where its answers were rendered anew.

Text that is decoded and encoded again need not give the ids that were sampled. Where a trajectory
recorded them, and as many tokens stand in front of each answer as the model had as its prompt, the
format and the vocabulary are those it was sampled with, and its own ids take the place of the
encoded ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from regreen.core.trajectory import Turn
from regreen.templates.tokens.spans import Rendered, Span

__all__ = ["with_sampled_ids"]

Ended = Callable[[Sequence[int]], str]
"""The mark with which sampled ids end the turn; empty when it was cut."""


def with_sampled_ids(
    rendered: Rendered, turns: Mapping[int, Turn], ended: Ended
) -> Rendered | None:
    """The conversation with the sampled ids in it; None where they do not belong into it.

    Args:
        rendered: the conversation, encoded from text.
        turns: the turns with ids, by the index of the rendered message.
        ended: see ``Renderer.end_mark``.
    """
    ids: list[int] = []
    spans: list[Span] = []
    waiting, put = dict(turns), set[int]()
    for key, group in groupby(rendered.spans, lambda span: (span.message, span.trained)):
        own = list(group)
        turn = waiting.pop(key[0], None) if key[1] else None
        if key[1] and key[0] in put:
            return None  # an answer in parts, with framing between them
        if turn is not None:
            if turn.prompt_len != len(ids):
                return None
            put.add(key[0])
            said = list(_said(rendered, own, turn.completion_ids or (), ended))
        else:
            said = [(span, rendered.ids[span.start : span.end]) for span in own]
        for span, tokens in said:
            spans.append(span._replace(start=len(ids), end=len(ids) + len(tokens)))
            ids += tokens
    return None if waiting else Rendered(ids, spans)


def _said(
    rendered: Rendered, own: Sequence[Span], sampled: Sequence[int], ended: Ended
) -> Iterator[tuple[Span, list[int]]]:
    """An answer's spans with their ids; the end that the model did not sample is framing."""
    body = [span for span in own if span.kind != "end"]
    ends = own[len(body) :]
    mark = 1 if ended(sampled) else 0
    size = sum(span.end - span.start for span in (own if mark else body))
    whole = list(sampled)
    if rendered.ids[own[0].start : own[0].start + size] == whole:
        yield from ((span, rendered.ids[span.start : span.end]) for span in body)
    else:
        # of one kind, so that a call stays in one piece
        kinds = [span.kind for span in body] or ["text"]
        kind = "calls" if "calls" in kinds else kinds[0]
        yield own[0]._replace(kind=kind), whole[: len(whole) - mark]
        if mark:
            yield own[-1]._replace(kind="end"), whole[-1:]
            return
    for span in ends:
        yield span._replace(trained=bool(mark)), rendered.ids[span.start : span.end]
