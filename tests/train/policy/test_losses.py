"""The losses against the papers' formulas, written again here token by token, and their invariants.

The references take an update as nested lists: groups of rollouts of (log-probability, behaviour,
proximal, reference, advantage) and follow the equations named beside them, in float64.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regreen.core.errors import UsageError
from regreen.train.policy.advantages import Dropped, group_advantages, token_advantages
from regreen.train.policy.corrections import CorrectionConfig
from regreen.train.policy.losses import LossConfig, combine, policy_loss, token_weights
from regreen.train.trace import Group, Played, Trace

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "losses.md"
NAMES = ("grpo", "dr_grpo", "dapo", "gspo", "cispo", "dppo")
BARE = CorrectionConfig(truncate=None, keep_outliers=None)


def config(name, **more):
    more = {"corrections": BARE, "drift": 0.0} | more
    return LossConfig(name=name, **more)


@dataclass
class Update:
    """Rollouts of an update, each a list of tokens, with one tensor of log-probabilities."""

    logprob: torch.Tensor
    behaviour: torch.Tensor
    proximal: torch.Tensor
    reference: torch.Tensor
    advantage: torch.Tensor
    lengths: list[int]

    def rollouts(self):
        place = 0
        for length in self.lengths:
            yield list(range(place, place + length))
            place += length

    @property
    def sequence(self):
        return torch.repeat_interleave(torch.arange(len(self.lengths)), torch.tensor(self.lengths))


def update(seed, *, per_token=False, spread=0.4, lengths=None):
    rng = random.Random(seed)
    lengths = lengths or [rng.randint(1, 7) for _ in range(rng.randint(1, 6))]
    size = sum(lengths)
    logprob = torch.tensor([math.log(rng.uniform(0.02, 0.98)) for _ in range(size)]).double()

    def near(scale):
        moved = logprob + torch.tensor([rng.gauss(0, scale) for _ in range(size)]).double()
        return moved.clamp(max=-1e-4)

    whole = [rng.gauss(0, 1.2) for _ in lengths]
    pairs = zip(whole, lengths, strict=True)
    advantage = [
        a + (rng.gauss(0, 1) if per_token else 0) for a, length in pairs for _ in range(length)
    ]
    return Update(
        logprob.clone().requires_grad_(), near(spread), near(spread), near(0.5),
        torch.tensor(advantage).double(), lengths,
    )  # fmt: skip


def ours(up, cfg, *, proximal=False, reference=False, keep=None):
    """The library's loss of the whole update in one micro-batch."""
    tokens = up.lengths
    weight = token_weights(
        cfg, up.sequence, tokens, num_rollouts=len(tokens), num_tokens=sum(tokens)
    )
    if keep is not None:
        weight = weight * keep
    return policy_loss(
        up.logprob, up.behaviour, up.advantage, weight, up.sequence, config=cfg,
        proximal_M=up.proximal if proximal else None,
        reference_M=up.reference if reference else None,
    )  # fmt: skip


def gradient(loss, up):
    (found,) = torch.autograd.grad(loss, up.logprob, retain_graph=True)
    return found


def clip(value, low, high):
    return torch.minimum(torch.maximum(value, torch.tensor(low)), torch.tensor(high))


# -- the papers ---------------------------------------------------------------------------------


def surrogate(up, t, low, high, old):
    """min(r A, clip(r) A): PPO's term, which GRPO (3), Dr.GRPO and DAPO (8) sum."""
    r = torch.exp(up.logprob[t] - old[t])
    a = up.advantage[t]
    return torch.minimum(r * a, clip(r, 1 - low, 1 + high) * a)


def paper_grpo(up, cfg, old):
    """DeepSeekMath (3) with (4): 1/G sum 1/|o_i| sum {min(..) - beta (q/p - log q/p - 1)}."""
    total = 0.0
    for tokens in up.rollouts():
        inner = 0.0
        for t in tokens:
            quotient = torch.exp(up.reference[t]) / torch.exp(up.logprob[t])
            divergence = quotient - torch.log(quotient) - 1
            inner += surrogate(up, t, 0.2, 0.2, old) - cfg.kl * divergence
        total += inner / len(tokens)
    return -total / len(up.lengths)


def paper_dr_grpo(up, cfg, old):
    """Understanding R1-Zero-like training, 3.2 and listing 1: no 1/|o_i|, a constant budget."""
    total = 0.0
    for tokens in up.rollouts():
        for t in tokens:
            total += surrogate(up, t, 0.2, 0.2, old)
    return -total / len(up.lengths) / cfg.budget


def paper_dapo(up, cfg, old):
    """DAPO (8): 1 / sum |o_i|, clip 0.2 below and 0.28 above."""
    total = 0.0
    for tokens in up.rollouts():
        for t in tokens:
            total += surrogate(up, t, 0.2, 0.28, old)
    return -total / sum(up.lengths)


def paper_gspo(up, cfg, old):
    """GSPO (5) and (7): one ratio to a sequence, (p/q)^(1/|y|), differentiated as a whole."""
    total = 0.0
    for tokens in up.rollouts():
        likelihood = torch.exp(sum(up.logprob[t] - old[t] for t in tokens))
        s = likelihood ** (1 / len(tokens))
        a = up.advantage[tokens[0]]
        total += torch.minimum(s * a, clip(s, 1 - 3e-4, 1 + 4e-4) * a)
    return -total / len(up.lengths)


def paper_gspo_token(up, cfg, old):
    """GSPO (13) and (14): sg[s_i] p / sg[p], an advantage to each token."""
    total = 0.0
    for tokens in up.rollouts():
        mean = sum(up.logprob[t] - old[t] for t in tokens) / len(tokens)
        inner = 0.0
        for t in tokens:
            p = torch.exp(up.logprob[t])
            s = torch.exp(mean).detach() * p / p.detach()
            a = up.advantage[t]
            inner += torch.minimum(s * a, clip(s, 1 - 3e-4, 1 + 4e-4) * a)
        total += inner / len(tokens)
    return -total / len(up.lengths)


def paper_cispo(up, cfg, old):
    """MiniMax-M1 (4) and (5): sg(clip(r)) A log p, over all tokens; no lower bound, cap 5."""
    total = 0.0
    for tokens in up.rollouts():
        for t in tokens:
            r = torch.exp(up.logprob[t]) / torch.exp(old[t])
            total += clip(r, 0.0, 5.0).detach() * up.advantage[t] * up.logprob[t]
    return -total / sum(up.lengths)


def paper_dppo(up, cfg, divergence="tv", low=0.2, high=0.2, drift=0.0):
    """DPPO: M_t r_t A_t against what sampled; M_t is 0 where the divergence is beyond its bound
    and r_t is on the side that the advantage drives it to. prime-rl adds drift (log r)^2."""
    total = 0.0
    for tokens in up.rollouts():
        for t in tokens:
            p, q, a = up.logprob[t].exp().item(), up.behaviour[t].exp().item(), up.advantage[t]
            apart = abs(p - q)
            if divergence == "kl":
                apart = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
            rises = p / q > 1
            masked = (a > 0 and rises and apart > high) or (a < 0 and not rises and apart > low)
            r = torch.exp(up.logprob[t] - up.behaviour[t])
            total += (0.0 if masked else 1.0) * r * a
            total -= drift * torch.log(r) ** 2
    return -total / sum(up.lengths)


PAPERS = {
    "grpo": paper_grpo,
    "dr_grpo": paper_dr_grpo,
    "dapo": paper_dapo,
    "gspo": paper_gspo,
    "cispo": paper_cispo,
}


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("seed", range(12))
def test_equals_the_published_formula_in_value_and_gradient(name, seed):
    cfg = config(name, budget=64)
    spread = 3e-4 if name == "gspo" and seed % 2 else 0.4  # so that some ratios are not clipped
    up = update(seed, spread=spread)
    expected = PAPERS[name](up, cfg, up.behaviour)
    got = ours(up, cfg).loss

    assert got.item() == pytest.approx(expected.item(), abs=1e-6)
    assert (gradient(got, up) - gradient(expected, up)).abs().max() < 1e-6


@pytest.mark.parametrize("divergence", ["tv", "kl"])
@pytest.mark.parametrize("seed", range(12))
def test_dppo_equals_its_formula_for_both_divergences(divergence, seed):
    bound = 0.2 if divergence == "tv" else 0.05
    cfg = config("dppo", divergence=divergence, clip_low=bound, clip_high=bound, drift=None)
    up = update(seed, per_token=True, spread=0.8)
    expected = paper_dppo(up, cfg, divergence, bound, bound, drift=1e-3)
    got = ours(up, cfg).loss

    assert got.item() == pytest.approx(expected.item(), abs=1e-6)
    assert (gradient(got, up) - gradient(expected, up)).abs().max() < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_gspo_takes_an_advantage_to_each_token(seed):
    up = update(seed, per_token=True, spread=3e-4)
    cfg = config("gspo")
    expected, got = paper_gspo_token(up, cfg, up.behaviour), ours(up, cfg).loss

    assert got.item() == pytest.approx(expected.item(), abs=1e-6)
    assert (gradient(got, up) - gradient(expected, up)).abs().max() < 1e-6


def test_a_kl_to_a_reference_is_the_one_of_grpo():
    up = update(3)
    cfg = config("grpo", kl=0.04)
    expected, got = paper_grpo(up, cfg, up.behaviour), ours(up, cfg, reference=True).loss

    assert got.item() == pytest.approx(expected.item(), abs=1e-6)
    assert (gradient(got, up) - gradient(expected, up)).abs().max() < 1e-6


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_each_estimator_estimates_the_divergence(estimator):
    """Over a whole vocabulary, weighted by the policy, k1 and k3 are exact; k2 nearly."""
    logits, other = torch.randn(9).double(), 0.05 * torch.randn(9).double()
    logprob = logits.log_softmax(0)
    reference = (logits + other).log_softmax(0)
    exact = (logprob.exp() * (logprob - reference)).sum().item()
    cfg = config("dapo", kl=1.0, kl_estimator=estimator)
    zeros, sequence = torch.zeros(9).double(), torch.zeros(9, dtype=torch.long)
    got = policy_loss(
        logprob, logprob, zeros, logprob.exp(), sequence, config=cfg, reference_M=reference
    )

    assert got.loss.item() == pytest.approx(exact, rel=0.1 if estimator == "k2" else 1e-9)


def test_the_entropy_bonus_has_the_entropys_gradient():
    logits = torch.randn(9).double().requires_grad_()
    logprob = logits.log_softmax(0)
    exact = torch.autograd.grad((logprob.exp() * logprob).sum(), logits, retain_graph=True)[0]
    zeros, sequence = torch.zeros(9).double(), torch.zeros(9, dtype=torch.long)
    cfg = config("dapo", entropy=1.0)
    got = policy_loss(logprob, logprob, zeros, logprob.exp().detach(), sequence, config=cfg)

    assert torch.allclose(torch.autograd.grad(got.loss, logits)[0], exact, atol=1e-12)


# -- two policies -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAPERS)
def test_the_ratio_is_against_proximal_and_the_correction_from_behaviour_to_it(name):
    up = update(5, spread=3e-4 if name == "gspo" else 0.5)
    plain, truncated = config(name), config(name, corrections=CorrectionConfig(keep_outliers=None))
    paper = PAPERS[name](up, plain, up.proximal)
    assert ours(up, plain, proximal=True).loss.item() == pytest.approx(paper.item(), abs=1e-6)

    single = update(5, spread=3e-4 if name == "gspo" else 0.5, lengths=[1])
    weight = min(math.exp(single.proximal[0] - single.behaviour[0]), 2.0)
    bare, corrected = (ours(single, cfg, proximal=True).loss.item() for cfg in (plain, truncated))
    assert corrected == pytest.approx(weight * bare, rel=1e-9)


def test_without_proximal_the_ratio_holds_the_mismatch_and_is_not_weighted_again():
    up = update(6)
    cfg = config("dapo", corrections=CorrectionConfig(keep_outliers=None))

    assert ours(up, cfg).loss.item() == ours(up, config("dapo")).loss.item()
    assert ours(up, cfg).metrics["mismatch_max"] > 0


def test_dppo_stays_against_the_behaviour():
    up = update(7)
    cfg = config("dppo", corrections=CorrectionConfig(keep_outliers=None))

    assert ours(up, cfg, proximal=True).loss.item() == ours(up, cfg).loss.item()


# -- invariants ---------------------------------------------------------------------------------


@st.composite
def cuts(draw):
    """An update and a way to deal its rollouts out to micro-batches."""
    seed = draw(st.integers(0, 10_000))
    up = update(seed, per_token=True)
    parts = draw(st.lists(st.integers(0, 3), min_size=len(up.lengths), max_size=len(up.lengths)))
    return up, parts


@pytest.mark.parametrize("name", NAMES)
@given(case=cuts(), proximal=st.booleans())
@settings(max_examples=25)
def test_micro_batches_add_up_to_the_whole_batch(name, case, proximal):
    up, parts = case
    cfg = LossConfig(name=name, kl=0.1, entropy=0.01)
    whole = ours(up, cfg, proximal=proximal, reference=True)
    total, grads, metrics = 0.0, torch.zeros_like(up.logprob), []
    for part in range(4):
        chosen = [place for place, at in enumerate(parts) if at == part]
        rows = [tokens for place, tokens in enumerate(up.rollouts()) if place in chosen]
        index = torch.tensor([t for tokens in rows for t in tokens], dtype=torch.long)
        lengths = [len(tokens) for tokens in rows]
        sequence = torch.repeat_interleave(
            torch.arange(len(rows)), torch.tensor(lengths, dtype=torch.long)
        )
        weight = token_weights(
            cfg, sequence, lengths, num_rollouts=len(up.lengths), num_tokens=sum(up.lengths)
        )
        found = policy_loss(
            up.logprob[index], up.behaviour[index], up.advantage[index], weight, sequence,
            config=cfg, proximal_M=up.proximal[index] if proximal else None,
            reference_M=up.reference[index],
        )  # fmt: skip
        total += found.loss.item()
        grads += gradient(found.loss, up)
        metrics.append(found.metrics)

    assert total == pytest.approx(whole.loss.item(), abs=1e-9)
    assert torch.allclose(grads, gradient(whole.loss, up), atol=1e-12)
    assert combine(metrics) == pytest.approx(dict(whole.metrics), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), data=st.data())
@settings(max_examples=20)
def test_a_token_that_is_left_out_has_no_gradient_and_no_effect(name, seed, data):
    up = update(seed, per_token=True)
    size = sum(up.lengths)
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=size, max_size=size))).double()
    bad = st.sampled_from([0.0, math.nan, math.inf, -math.inf, 1e9])
    cfg = config(name)
    before = ours(up, cfg, keep=keep)
    up.advantage[keep == 0] = data.draw(bad)
    up.behaviour[keep == 0] = data.draw(bad)
    after = ours(up, cfg, keep=keep)

    assert after.loss.item() == before.loss.item()
    assert (gradient(after.loss, up)[keep == 0] == 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("proximal", [False, True])
def test_a_mask_takes_the_whole_token_and_leaves_the_weights_of_the_others(name, proximal):
    up = update(4, lengths=[2, 3], spread=0.01)
    up.behaviour[1] = up.behaviour[1] - 3  # a ratio of about 20
    masked = CorrectionConfig(truncate=None, keep_outliers=None, keep_sequences=(0.5, 2.0))
    more = {"kl": 0.1, "entropy": 0.1, "drift": 0.1}
    whole = gradient(ours(up, config(name, **more), proximal=proximal, reference=True).loss, up)
    found = ours(up, config(name, **more, corrections=masked), proximal=proximal, reference=True)
    left = gradient(found.loss, up)

    assert (left[:2] == 0).all()
    assert torch.equal(left[2:], whole[2:])
    assert found.metrics["share_masked_sequences"] == 0.4


@pytest.mark.parametrize("field", ["behaviour", "advantage", "proximal"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_takes_its_token_out_and_is_counted(field, value):
    up = update(2, lengths=[3, 4])
    getattr(up, field)[1] = value
    found = ours(up, config("dapo"), proximal=True)
    grads = gradient(found.loss, up)

    assert found.loss.isfinite()
    assert grads.isfinite().all()
    assert grads[1] == 0
    assert grads[2] != 0
    assert found.metrics["num_left_out"] == 1


def test_a_broken_model_is_not_hidden():
    up = update(2, lengths=[3])
    with torch.no_grad():
        up.logprob[1] = math.nan

    assert not ours(up, config("cispo")).loss.isfinite()


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_at_ratio_one_the_gradient_is_the_plain_policy_gradient(name, seed):
    up = update(seed, per_token=True)
    up.behaviour = up.logprob.detach().clone()
    cfg = config(name)
    weight = token_weights(
        cfg, up.sequence, up.lengths, num_rollouts=len(up.lengths), num_tokens=sum(up.lengths)
    ).double()

    assert torch.allclose(gradient(ours(up, cfg).loss, up), -weight * up.advantage, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
@settings(max_examples=20)
def test_the_loss_is_linear_in_the_advantage(name, seed, scale):
    up = update(seed)
    once = gradient(ours(up, config(name)).loss, up)
    up.advantage = scale * up.advantage

    assert torch.allclose(gradient(ours(up, config(name)).loss, up), scale * once, rtol=1e-9)


def test_a_clipped_token_has_no_gradient_and_a_token_moving_back_has_one():
    up = update(0, lengths=[4])
    with torch.no_grad():
        up.logprob[:] = -1.0
    up.behaviour = -1 - torch.tensor([0.5, -0.5, 0.5, -0.5]).double()  # ratio above, below, ..
    up.advantage = torch.tensor([1.0, 1.0, -1.0, -1.0]).double()
    found = ours(up, config("dapo"))
    grads = gradient(found.loss, up)

    assert (grads == 0).tolist() == [True, False, False, True]
    assert found.metrics["share_clipped_high"] == found.metrics["share_clipped_low"] == 0.25
    assert (gradient(ours(up, config("cispo")).loss, up) != 0).all()


def test_a_run_away_ratio_stays_finite():
    for name in NAMES:
        up = update(1, lengths=[3])
        with torch.no_grad():
            up.logprob[:] = -1e-3
        up.behaviour[:], up.advantage[:] = -300.0, -1.0
        found = ours(up, config(name))
        assert found.loss.isfinite()
        assert gradient(found.loss, up).isfinite().all()


def test_a_split_sequence_is_refused_where_it_matters():
    sequence = torch.tensor([0, 0])
    for name in ("gspo", "dapo"):
        cfg = config(name)
        sizes = {"num_rollouts": 1, "num_tokens": 3}
        if name == "gspo":
            with pytest.raises(UsageError, match="whole sequences"):
                token_weights(cfg, sequence, [3], **sizes)
        else:
            assert token_weights(cfg, sequence, [3], **sizes).tolist() == pytest.approx([1 / 3] * 2)
    with pytest.raises(UsageError, match="whole sequences"):
        token_weights(LossConfig(name="dapo"), sequence, [3], num_rollouts=1, num_tokens=3)
    ones = torch.ones(3)
    with pytest.raises(UsageError, match="next to each other"):
        policy_loss(-ones, -ones, ones, ones, torch.tensor([0, 1, 0]), config=config("gspo"))


def test_a_rollout_of_two_sequences_is_one_rollout():
    sequence = torch.tensor([0, 0, 1, 2])
    weight = token_weights(
        config("grpo"), sequence, [3, 3, 1], num_rollouts=2, num_tokens=4, sequence_tokens=[2, 1, 1]
    )

    assert weight.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_no_tokens_give_a_loss_of_nothing_that_can_be_differentiated():
    for name in NAMES:
        empty = torch.zeros(0, requires_grad=True)
        sequence = torch.zeros(0, dtype=torch.long)
        weight = token_weights(config(name), sequence, [], num_rollouts=1, num_tokens=1)
        found = policy_loss(empty, empty, empty, weight, sequence, config=LossConfig(name=name))
        found.loss.backward()
        assert found.loss.item() == 0


def test_a_reference_is_asked_for():
    ones, sequence = torch.ones(2), torch.zeros(2, dtype=torch.long)
    with pytest.raises(UsageError, match="reference"):
        policy_loss(-ones, -ones, ones, ones, sequence, config=config("dapo", kl=0.1))


def test_the_usual_clips_are_those_of_the_papers():
    bounds = {name: config(name).bounds for name in NAMES}

    assert bounds["dapo"] == (0.2, 0.28)
    assert bounds["gspo"] == (3e-4, 4e-4)
    assert bounds["grpo"] == bounds["dr_grpo"] == bounds["dppo"] == (0.2, 0.2)
    assert config("gspo", clip_low=2e-4).bounds == (2e-4, 4e-4)


def sampled_group(logits, generator, size=8):
    """Rollouts of two draws each, worth 1 if both are the best action."""
    drawn = torch.multinomial(logits.softmax(-1), 2 * size, True, generator=generator).view(size, 2)
    rows = []
    for actions in drawn.tolist():
        ids = np.array([0, *actions], np.int32)
        logprob = logits.log_softmax(-1)[actions].tolist()
        trace = Trace(
            ids=ids, sampled=np.array([False, True, True]),
            logprobs=np.array([0, *logprob], np.float32), penalties=np.zeros(3, np.float32),
            versions=np.zeros(3, np.int32),
        )  # fmt: skip
        reward = float(actions == [3, 3])
        rows.append(Played(rollout_id="p#0", traces=(trace,), reward=reward, finished=True))
    return Group(problem="p", place=0, rollouts=tuple(rows))


@pytest.mark.parametrize("name", NAMES)
def test_groups_advantages_and_losses_together_learn(name):
    """A policy of four actions comes to prefer the one that is rewarded, two steps a batch."""
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    cfg = LossConfig(name=name, budget=2)
    for _ in range(60):
        group = sampled_group(logits.detach(), generator)
        found = group_advantages(group)
        if isinstance(found, Dropped):
            continue
        traces = [one.traces[0] for one in group.rollouts]
        pairs = zip(traces, found.values, strict=True)
        advantage = np.concatenate([token_advantages(trace, value)[1:] for trace, value in pairs])
        ids = torch.tensor([row for trace in traces for row in trace.ids[1:].tolist()])
        behaviour = torch.tensor(np.concatenate([trace.logprobs[1:] for trace in traces]))
        sequence = torch.arange(len(traces)).repeat_interleave(2)
        weight = token_weights(
            cfg, sequence, [2] * len(traces), num_rollouts=len(traces), num_tokens=len(ids)
        )
        proximal = logits.detach().log_softmax(-1)[ids]
        for _ in range(2):
            loss = policy_loss(
                logits.log_softmax(-1)[ids], behaviour, torch.tensor(advantage), weight, sequence,
                config=cfg, proximal_M=proximal,
            ).loss  # fmt: skip
            (slope,) = torch.autograd.grad(loss, logits)
            with torch.no_grad():
                logits -= 0.1 * slope / (slope.norm() + 1e-12)

    assert logits.softmax(-1)[3] > 0.8


def test_the_page_runs_and_names_every_loss_with_its_numbers():
    page = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(block, {})
    for name in NAMES:
        (row,) = re.findall(rf"\| `{name}` \|.*\| ([^|]*) \|", page)
        low, high = (float(number) for number in re.findall(r"\d[\d.e-]*", row))
        assert (low, high) == config(name).bounds
