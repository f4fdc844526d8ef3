"""Which rows are read next: packed sets mixed in exact shares, each in a seeded order of its own.

The mixture is no lottery. The set that is furthest behind its share of the tokens is next, so the
shares hold after every few rows, and the position is two integers for each set: a resume, also with
another number of ranks, goes on with the very row that would have come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError
from regreen.store.packed import PackedShards

__all__ = ["Mixture", "PackedSet", "Position", "Unit", "hold_out"]

Ints = NDArray[np.int64]

_ORDER, _COPIES, _SPLIT = range(3)
"""What a random number is for, so that no two uses share their draws."""
_TEXT = "text"
"""The name by which plain text, which has no template, is weighed."""


class Unit(NamedTuple):
    """Pieces of a row that are read together: all of them, or one where templates are weighed."""

    number: int
    """The set."""
    row: int
    """The row in it."""
    places: tuple[int, ...]
    """Which pieces of the row."""


class _Pieces(NamedTuple):
    """Every piece of a set, P of them in R rows."""

    row_P: Ints
    place_P: Ints
    length_P: Ints
    document_P: Ints
    template_P: Ints


class PackedSet:
    """One packed directory as units, every pass over them in another order.

    Args:
        shards: the rows.
        number: which set of the mixture it is; decides about its order.
        seed: of its order.
        templates: weight by template, or by format: how often its pieces are read in a pass, on
            average over all of them exactly. Without any, whole rows are read.
        without: (documents,) True for each that is not to be read; none by default.
    """

    def __init__(
        self,
        shards: PackedShards,
        *,
        number: int = 0,
        seed: int = 0,
        templates: Mapping[str, float] | None = None,
        without: NDArray[np.bool_] | None = None,
    ) -> None:
        self.shards, self.number, self.seed = shards, number, seed
        self._pieces = pieces = _pieces(shards, without)
        self._copies_U: NDArray[np.float64] | None = None
        if templates:
            names = [_weighed_as(templates, name) for name in shards.templates]
            order = sorted(set(names))
            weight_T = np.array([templates.get(name, 1.0) for name in names])
            self._group_U = np.array([order.index(name) for name in names])[pieces.template_P]
            self._copies_U = weight_T[pieces.template_P]
            self._first_U = np.arange(len(pieces.row_P))
        else:
            self._first_U = np.flatnonzero(np.diff(pieces.row_P, prepend=-1))
        self._last_U = np.append(self._first_U[1:], len(pieces.row_P))
        whole_P = np.concatenate([np.zeros(1, np.int64), np.cumsum(pieces.length_P)])
        self._tokens = whole_P[self._last_U] - whole_P[self._first_U]
        self._order = lru_cache(maxsize=2)(self._ordered)

    @cached_property
    def num_units(self) -> int:
        """Units of one pass."""
        return len(self._order(0))

    @cached_property
    def num_tokens(self) -> int:
        """Tokens of the first pass; the others differ where a share of a template is drawn."""
        return int(self._tokens[self._order(0)].sum())

    def unit(self, index: int) -> tuple[Unit, int]:
        """The unit read at a place of all passes after each other, and its tokens."""
        number, place = divmod(index, self.num_units)
        found = int(self._order(number)[place])
        part = slice(int(self._first_U[found]), int(self._last_U[found]))
        places = tuple(self._pieces.place_P[part].tolist())
        row = int(self._pieces.row_P[part.start])
        return Unit(self.number, row, places), int(self._tokens[found])

    def _ordered(self, number: int) -> Ints:
        """Indices of the units of a pass."""
        chosen = np.arange(len(self._first_U))
        if self._copies_U is not None:
            chosen = self._drawn(number)
        return chosen[self._random(_ORDER, number).permutation(len(chosen))]

    def _drawn(self, number: int) -> Ints:
        """Each unit as often as its weight is whole, and the rest of the weight by a draw."""
        copies_U = self._copies_U
        assert copies_U is not None
        whole_U = np.floor(copies_U).astype(np.int64)
        random = self._random(_COPIES, number)
        more = []
        for group in np.unique(self._group_U):
            members = np.flatnonzero(self._group_U == group)
            share = float(copies_U[members[0]] - whole_U[members[0]])
            more.append(random.permutation(members)[: round(share * len(members))])
        repeated = np.repeat(np.arange(len(whole_U)), whole_U)
        return np.concatenate([repeated, *more])

    def _random(self, use: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.number, use, number])


@dataclass(frozen=True)
class Position:
    """How far each set has been read; with the same sets and seed, all that a resume needs."""

    units: tuple[int, ...]
    """Units read of each set, over all passes."""
    tokens: tuple[int, ...]
    """Tokens read of each set."""

    def as_json(self) -> dict[str, list[int]]:
        """For a checkpoint."""
        return {"units": list(self.units), "tokens": list(self.tokens)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Position:
        """As ``as_json`` wrote it."""
        return cls(tuple(map(int, values["units"])), tuple(map(int, values["tokens"])))


class Mixture:
    """Several sets in given shares of the tokens, or each as a whole.

    Args:
        sets: at least one; set i has the number i.
        weights: share of each, of any sum; None reads every set as often as the others.
        epochs: passes. With weights, one pass is as many tokens as all sets hold, so that a set
            with a large share is read more than once; None never ends.

    Raises:
        UsageError: a set without anything to read.
    """

    def __init__(
        self,
        sets: Sequence[PackedSet],
        weights: Sequence[float] | None = None,
        *,
        epochs: float | None = 1.0,
    ) -> None:
        self.sets = list(sets)
        for one in self.sets:
            if not one.num_units:
                what = "there is nothing to train on in this set"
                mend = "pack more into it, hold out less, or weigh no template of it with 0"
                raise UsageError(what, where=str(one.shards.path), mend=mend)
        tokens = [one.num_tokens for one in self.sets]
        self._share = [float(share) for share in (tokens if weights is None else weights)]
        self._half = [one.num_tokens / one.num_units / 2 for one in self.sets]
        self._most_units: list[float] = [np.inf] * len(self.sets)
        self._most_tokens: float = np.inf
        if epochs is not None and weights is None:
            self._most_units = [max(1, round(epochs * one.num_units)) for one in self.sets]
        elif epochs is not None:
            self._most_tokens = max(1.0, epochs * sum(tokens))

    @property
    def start(self) -> Position:
        """Nothing read."""
        zeros = (0,) * len(self.sets)
        return Position(zeros, zeros)

    def batch(self, position: Position, num_tokens: int) -> tuple[list[Unit], Position]:
        """The next units until they hold ``num_tokens``, and where that leaves the sets.

        The last batch is smaller; behind it there are no units.
        """
        units, tokens = list(position.units), list(position.tokens)
        found: list[Unit] = []
        held = 0
        while held < num_tokens and (number := self._next(units, tokens)) is not None:
            unit, size = self.sets[number].unit(units[number])
            found.append(unit)
            units[number] += 1
            tokens[number] += size
            held += size
        return found, Position(tuple(units), tuple(tokens))

    def num_batches(self, num_tokens: int) -> int:
        """Batches until the end.

        Raises:
            ValueError: the mixture has none.
        """
        if self._most_tokens == np.inf and np.inf in self._most_units:
            msg = "a mixture without a number of epochs never ends"
            raise ValueError(msg)
        position, count = self.start, 0
        while (found := self.batch(position, num_tokens))[0]:
            position, count = found[1], count + 1
        return count

    def _next(self, units: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The set furthest behind its share (Sainte-Laguë's rule), the first of equals."""
        if sum(tokens) >= self._most_tokens:
            return None
        behind = [
            ((read + half) / share, number)
            for number, (read, half, share) in enumerate(
                zip(tokens, self._half, self._share, strict=True)
            )
            if units[number] < self._most_units[number]
        ]
        return min(behind)[1] if behind else None


def hold_out(
    shards: PackedShards, share: float, *, number: int = 0, seed: int = 0
) -> tuple[NDArray[np.bool_], list[Unit]]:
    """Documents not to train on, and their pieces.

    All documents of a task, or of a trajectory that names none, stand on one side.

    Args:
        shards: the rows.
        share: of the tasks to hold out, at least one.
        number: the set's number.
        seed: of the choice.

    Returns:
        (documents,) True where held out, and the units to evaluate on.

    Raises:
        UsageError: nothing would be left to train on.
    """
    known: dict[str, int] = {}
    group_D = np.empty(shards.header.num_documents, np.int64)
    for place in range(len(group_D)):
        document = shards.document(place)
        group_D[place] = known.setdefault(document.task or document.rollout_id, len(known))
    count = max(1, round(share * len(known)))
    if count >= len(known):
        what = f"holding out {count} of {len(known)} tasks leaves none to train on"
        mend = "hold out less, or name packed rows of other tasks with --held-out"
        raise UsageError(what, where=str(shards.path), mend=mend)
    order = np.random.default_rng([seed, number, _SPLIT]).permutation(len(known))
    held_D = np.isin(group_D, order[:count])
    apart = PackedSet(shards, number=number, without=~held_D)
    units = [apart.unit(place)[0] for place in range(apart.num_units)]
    return held_D, sorted(units)


def _pieces(shards: PackedShards, without: NDArray[np.bool_] | None) -> _Pieces:
    found = _all_pieces(shards)
    if without is None:
        return found
    kept_P = ~without[found.document_P]
    return _Pieces(*(column[kept_P] for column in found))


def _all_pieces(shards: PackedShards) -> _Pieces:
    columns: list[list[Any]] = [[] for _ in _Pieces._fields]
    for number in range(len(shards.header.shards)):
        table = shards.shard(number).table
        counts_R = np.diff(table.rows)
        row_P = np.repeat(np.arange(len(counts_R)), counts_R)
        piece_P = np.arange(len(row_P))
        length_P = table.borders[piece_P + row_P + 1] - table.borders[piece_P + row_P]
        for column, values in zip(
            columns,
            (
                row_P + number * shards.header.rows_per_shard,
                piece_P - table.rows[row_P],
                length_P,
                table.document,
                table.template,
            ),
            strict=True,
        ):
            column.append(np.asarray(values, np.int64))
    return _Pieces(*(np.concatenate([np.empty(0, np.int64), *column]) for column in columns))


def _weighed_as(given: Mapping[str, float], template: str) -> str:
    """The name that weighs a template: its own as it was drawn, else its format's."""
    whole = template or _TEXT
    return whole if whole in given else whole.partition("[")[0]
