import subprocess
import sys

import numpy as np
import pytest

from regreen.core.errors import UsageError
from regreen.packing import DEFAULT_POLICY, MAX_CAPACITY, POLICIES, Borders, plan, statistics


def refused(*arguments: object, **more: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        plan(*arguments, **more)  # type: ignore[arg-type]
    return caught.value


def test_a_document_longer_than_a_row_is_named_with_the_policies_that_place_it() -> None:
    error = refused([3, 11, 12], 10, "best-fit")
    assert error.where == "document 1"
    assert "11 tokens" in error.what
    assert "2 of 3 documents" in error.what
    for name in ("best-fit-split", "best-fit-slide", "best-fit-drop", "best-fit-heads"):
        assert name in error.mend


def test_heads_that_are_not_known_are_asked_for_only_where_one_is_needed() -> None:
    assert plan([3, 10], 10).num_rows == 2
    error = refused([3, 11], 10)
    assert error.where == "document 1"
    assert "heads" in error.mend
    assert refused([13, 12, 11], 10, heads=[2, 3, -1]).where == "document 2"


def test_a_head_that_fills_a_row_names_its_document() -> None:
    error = refused([3, 30, 30], 10, heads=[0, 9, 10])
    assert error.where == "document 2"
    assert plan([30, 10], 10, heads=[9, 10]).num_rows == 22, (
        "a head that leaves one token is carried"
    )


def test_a_message_that_fits_no_row_is_cut_and_counted_or_refused() -> None:
    borders = Borders.of([[3, 6, 20, 24]])
    made = plan([24], 10, heads=[3], borders=borders)
    pieces = sorted(piece for index in range(made.num_rows) for piece in made.row(index))
    cuts = [(piece.start, piece.stop, piece.head, piece.forced) for piece in pieces]
    assert cuts == [(0, 6, 0, False), (6, 13, 3, True), (13, 20, 3, False), (20, 24, 3, False)]
    assert statistics(made).forced_cuts == 1
    error = refused([24], 10, heads=[3], borders=borders, long_messages="refuse")
    assert error.where == "document 0"
    assert "token 13" in error.what
    fine = Borders.of([[3, 8, 12, 19, 24]])
    assert plan([24], 10, heads=[3], borders=fine, long_messages="refuse").num_rows == 4


@pytest.mark.parametrize(
    ("arguments", "more", "named"),
    [
        (([3, 0, 0], 10), {}, "document 1 has no tokens (and 1 more)"),
        (([3, -1], 10), {}, "document 1 has no tokens"),
        (([3], 0), {}, "a row of 0 tokens"),
        (([3], MAX_CAPACITY + 1), {}, "a row of"),
        (([3], 1.5), {}, "a row of 1.5 tokens"),
        (([3], "10"), {}, "a row of '10' tokens"),
        (([3], True), {}, "a row of True tokens"),
        (([3], 10, ["first-fit"]), {}, "['first-fit']"),
        (([3, 2**40 + 1], 10), {}, "document 1 has more than 1,099,511,627,776 tokens"),
        (([2**62] * 3, 2**20, "concat"), {}, "document 0 has more than"),
        (([2**63], 10), {}, "document 0 has more than"),
        (([3], 10), {"heads": np.array([2**64 - 1], np.uint64)}, "a head outside itself"),
        (([3.5], 10), {}, "lengths of shape (1,)"),
        (([[3], [4, 5]], 10), {}, "lengths that are no flat array"),
        (([3], 10), {"borders": [[3]]}, "borders of type list"),
        (
            ([3, 4], 10),
            {"borders": Borders(np.array([0, 2, 1], np.uint64), np.array([1]))},
            "go down",
        ),
        (([[3]], 10), {}, "lengths of shape (1, 1)"),
        (([3], 10, "first-fit"), {}, "'first-fit'"),
        (([3], 10), {"long_messages": "drop"}, "long messages"),
        (([3, 4], 10), {"heads": [1]}, "1 heads for 2 documents"),
        (([3, 4], 10), {"heads": [1, -2]}, "document 1 has a head outside itself"),
        (([3, 4], 10), {"heads": [1, 5]}, "document 1 has a head outside itself"),
        (([3, 4], 10), {"borders": Borders.of([[1]])}, "border offsets of 2 entries"),
        (([3, 4], 10), {"borders": Borders.of([[], [1, 5]])}, "document 1 has borders"),
        (([3, 4], 10), {"borders": Borders.of([[-1], []])}, "document 0 has borders"),
        (([3, 4, 5], 10), {"borders": Borders.of([[1, 2], [], [3, 2]])}, "document 2 has borders"),
        (
            ([3], 10),
            {"borders": Borders(np.array([0, 2, 1])[[0, 2]], np.array([1, 2]))},
            "border offsets of 2",
        ),
    ],
)
def test_bad_input_is_refused_and_named(
    arguments: tuple[object, ...], more: dict[str, object], named: str
) -> None:
    error = refused(*arguments, **more)
    assert named in error.what
    assert error.mend


@pytest.mark.parametrize("policy", ["concat", "pad-last", "best-fit-split", "best-fit-slide"])
def test_a_plan_that_no_memory_holds_is_refused_before_it_is_made(policy: str) -> None:
    error = refused([5, 10**12], 8, policy)
    assert error.where == "document 1"
    assert "125,000,000,000 of them of document 1" in error.what
    many = refused(np.full(2**16, 2**40), 1, policy)
    assert "a plan of 72,057,594,037,927,936 pieces" in many.what


@pytest.mark.parametrize("borders", [None, Borders.of([[7]])])
def test_so_is_one_of_too_many_heads(borders: Borders | None) -> None:
    error = refused([10**12], 8, heads=[7], borders=borders)
    assert "999,999,999,993 of them of document 0" in error.what
    assert error.mend


def test_lengths_of_every_integer_kind_and_capacities_of_numpy_are_taken() -> None:
    for kind in (np.int8, np.uint8, np.int32, np.uint32, np.uint64):
        made = plan(np.array([3, 4], kind), np.int64(10))  # type: ignore[arg-type]
        assert made.fill.tolist() == [7]
        assert type(made.capacity) is int


@pytest.mark.parametrize("documents", [[[3.5]], [[1, 2.0]], [[True]], [3], [["3"]], 3])
def test_borders_that_are_not_whole_numbers_are_refused(documents: object) -> None:
    with pytest.raises(UsageError, match="borders"):
        Borders.of(documents)  # type: ignore[arg-type]


def test_borders_may_fall_from_one_document_to_the_next() -> None:
    borders = Borders.of([[2, 3], [], [1, 4]])
    assert plan([3, 4, 5], 10, borders=borders).num_rows == 2


@pytest.mark.parametrize("policy", POLICIES)
class TestEdges:
    def test_no_documents(self, policy: str) -> None:
        made = plan([], 10, policy)
        assert made.num_rows == 0
        assert made.fill.tolist() == []
        assert statistics(made).padding_share == 0.0

    def test_one_document_of_exactly_a_row(self, policy: str) -> None:
        made = plan([10], 10, policy)
        assert [tuple(piece) for piece in made.row(0)] == [(0, 0, 10, 0, 0, False)]

    def test_rows_of_one_token(self, policy: str) -> None:
        made = plan([1, 1, 1], 1, policy)
        assert made.fill.tolist() == [1, 1, 1]

    def test_equal_lengths(self, policy: str) -> None:
        made = plan([5] * 7, 10, policy)
        assert sorted(made.fill.tolist()) == [5, 10, 10, 10]

    def test_many_documents_of_one_token(self, policy: str) -> None:
        made = plan(np.ones(100_000, np.int32), 4096, policy)
        assert made.num_rows == 25
        assert statistics(made).padding == 25 * 4096 - 100_000

    def test_the_same_arguments_give_the_same_plan(self, policy: str) -> None:
        lengths = np.random.default_rng(3).integers(1, 65, 500)
        one, other = plan(lengths, 64, policy), plan(lengths, 64, policy)
        assert all(
            np.array_equal(a, b)
            for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
        )


def test_the_default_carries_heads() -> None:
    assert plan([25], 10, heads=[2]).policy == DEFAULT_POLICY == "best-fit-heads"


def test_rows_of_one_token_take_long_documents_without_heads() -> None:
    assert plan([3], 1, heads=[0]).fill.tolist() == [1, 1, 1]


def test_long_tailed_lengths_pad_as_little_as_promised() -> None:
    lengths = np.exp(np.random.default_rng(0).normal(np.log(14_000), 1.0, 100_000))
    lengths = np.clip(lengths.astype(np.int64), 256, 200_000)
    for capacity, most in ((32_768, 0.0004), (262_144, 0.00015)):
        counted = statistics(plan(lengths, capacity, "best-fit-split"))
        assert counted.padding_share <= most
        assert counted.documents_cut_that_fit == counted.discarded == 0


def test_planning_loads_no_torch() -> None:
    code = "import sys, regreen.packing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
