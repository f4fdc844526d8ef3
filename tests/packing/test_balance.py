import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.model.config import ModelConfig
from regreen.packing import CostModel, balance, measure, plan, shuffle

SMALL = ModelConfig(
    vocab_size=100,
    hidden_size=8,
    num_hidden_layers=4,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=8,
    linear_num_key_heads=1,
    linear_num_value_heads=2,
    linear_key_head_dim=4,
    linear_value_head_dim=4,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=6,
    shared_expert_intermediate_size=6,
)


def test_the_cost_of_a_small_model_is_that_counted_by_hand() -> None:
    attention = 8 * (2 * 16) + 8 * (2 * 8) + 16 * 8
    convolved = 4 + 4 + 8
    delta = 8 * (convolved + 8 + 4) + 8 * 8 + 4 * (2 * 4 * 4) + 4 * convolved
    experts = 3 * 8 * 6 * (2 + 1) + 8 * 4 + 8
    cost = CostModel.of(SMALL)
    assert cost.linear == 2 * (attention + 3 * delta + 4 * experts + 8 * 100)
    assert cost.quadratic == 2 * 2 * 8


def test_only_attention_layers_are_quadratic() -> None:
    every = SMALL.model_copy(update={"layer_types": ("full_attention",) * 4})
    none = SMALL.model_copy(update={"layer_types": ("linear_attention",) * 4})
    assert CostModel.of(every).quadratic == 4 * CostModel.of(SMALL).quadratic
    assert CostModel.of(none).quadratic == 0.0


def test_a_dense_layer_counts_all_of_its_weights() -> None:
    dense = SMALL.model_copy(update={"num_experts": 0, "intermediate_size": 100})
    difference = CostModel.of(dense).linear - CostModel.of(SMALL).linear
    assert difference == 2 * 4 * (3 * 8 * 100 - (3 * 8 * 6 * 3 + 8 * 4 + 8))


def test_the_published_shape_costs_what_its_active_parameters_say() -> None:
    # 3.25B active and 0.31B in the output matrix, and a tenth of a billion for state updates.
    assert 3.56e9 < CostModel.of(ModelConfig()).linear / 2 < 3.70e9


def test_a_rows_cost_is_the_sum_over_its_documents_not_of_its_length() -> None:
    made = plan([6, 4, 10], 10)
    assert CostModel(1.0, 1.0).rows(made).tolist() == [110.0, 10 + 36 + 16]


def test_a_head_written_again_is_part_of_its_piece() -> None:
    made = plan([14], 10, heads=[3])
    assert CostModel(0.0, 1.0).rows(made).tolist() == [100.0, 49.0]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=80),
    num_ranks=st.integers(1, 9),
    rows_per_rank=st.one_of(st.none(), st.integers(1, 6)),
)
def test_every_rank_gets_equally_many_rows_of_each_step(
    lengths: list[int], num_ranks: int, rows_per_rank: int | None
) -> None:
    made = shuffle(plan(lengths, 50), seed=1)
    cost = CostModel(10.0, 1.0)
    ranks = balance(made, num_ranks, cost, rows_per_rank=rows_per_rank)
    assert len(ranks) == made.num_rows
    size = num_ranks * (rows_per_rank or -(-made.num_rows // num_ranks))
    for begin in range(0, made.num_rows, size):
        step = ranks[begin : begin + size]
        counts = np.bincount(step, minlength=num_ranks)
        assert len(counts) == num_ranks
        if len(step) == size:
            assert set(counts.tolist()) == {size // num_ranks}
        assert counts.max() <= size // num_ranks
    found = measure(made, ranks, num_ranks, cost, rows_per_rank=rows_per_rank)
    assert 1.0 <= found.median <= found.worst * (1 + 1e-12)
    assert found.time <= found.worst * (1 + 1e-12)


@pytest.mark.parametrize("capacity", [32_768, 262_144])
@pytest.mark.parametrize("num_ranks", [8, 64])
@pytest.mark.parametrize("rows_per_rank", [8, None])
def test_ranks_are_within_two_percent_on_realistic_rows(
    capacity: int, num_ranks: int, rows_per_rank: int | None
) -> None:
    lengths = np.exp(np.random.default_rng(0).normal(np.log(14_000), 1.0, 60_000))
    lengths = np.clip(lengths.astype(np.int64), 256, 200_000)
    made = shuffle(plan(lengths, capacity, heads=np.minimum(lengths, 3000)), seed=1)
    cost = CostModel.of(ModelConfig())
    ranks = balance(made, num_ranks, cost, rows_per_rank=rows_per_rank)
    assert measure(made, ranks, num_ranks, cost, rows_per_rank=rows_per_rank).worst <= 1.02


def test_swaps_never_make_a_step_worse_than_dealing_rows_in_turn() -> None:
    made = shuffle(plan(np.random.default_rng(5).integers(1, 100, 300), 100), seed=2)
    cost = CostModel(1.0, 1.0)
    ours = measure(made, balance(made, 4, cost, rows_per_rank=4), 4, cost, rows_per_rank=4)
    dealt = measure(made, np.arange(made.num_rows) % 4, 4, cost, rows_per_rank=4)
    assert ours.worst < dealt.worst


def test_an_empty_plan_has_nothing_to_balance() -> None:
    made = plan([], 10)
    ranks = balance(made, 3, CostModel(1.0, 1.0))
    assert ranks.tolist() == []
    assert measure(made, ranks, 3, CostModel(1.0, 1.0)).worst == 1.0


@pytest.mark.parametrize(
    ("num_ranks", "rows_per_rank", "named"),
    [
        (0, None, "num_ranks"),
        (None, 1, "num_ranks"),
        (1.5, None, "num_ranks"),
        (True, None, "num_ranks"),
        (2, 0, "rows_per_rank"),
        (2, 1.5, "rows_per_rank"),
    ],
)
def test_bad_arguments_are_refused(num_ranks: object, rows_per_rank: object, named: str) -> None:
    made, cost = plan([1], 10), CostModel(1.0, 1.0)
    with pytest.raises(UsageError, match=named) as caught:
        balance(made, num_ranks, cost, rows_per_rank=rows_per_rank)  # type: ignore[arg-type]
    assert caught.value.where == named
    with pytest.raises(UsageError, match=named):
        measure(made, np.zeros(1, np.int64), num_ranks, cost, rows_per_rank=rows_per_rank)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ranks", "named"),
    [
        ([0, 2, 1], "row 1 is on rank 2, and there are 2 ranks"),
        ([0, 1, -1], "row 2 is on rank -1"),
        ([0], "ranks of shape (1,)"),
        ([0, 1], "ranks of shape (2,)"),
        ([0, 1, 0, 1], "ranks of shape (4,)"),
        ([0.0, 1.0, 0.0], "kind float64 for 3 rows"),
    ],
)
def test_ranks_that_are_none_of_the_rows_are_refused(ranks: list[int], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        measure(plan([10] * 3, 10), np.array(ranks), 2, CostModel(1.0, 1.0))
    assert named in caught.value.what


@pytest.mark.parametrize(
    ("linear", "quadratic"), [(0.0, 0.0), (-1.0, 1.0), (1.0, float("nan")), (float("inf"), 0.0)]
)
def test_a_cost_that_is_none_is_refused(linear: float, quadratic: float) -> None:
    with pytest.raises(UsageError, match="squared token is none"):
        CostModel(linear, quadratic)
