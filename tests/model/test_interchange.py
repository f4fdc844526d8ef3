"""Our checkpoint elsewhere: the same numbers in transformers, the same tokens in llama.cpp.

About a minute of one core, and ten more the first time, when llama.cpp is built. The weights
are random, with a deviation at which a continuation does not repeat itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from regreen.core.errors import PrerequisiteError
from regreen.model.borders import Borders
from regreen.model.checkpoint import save_checkpoint
from regreen.model.config import ModelConfig, Yarn
from regreen.model.decoder import Decoder
from regreen.model.rope import Rotations, attention_factor, inverse_frequencies

pytestmark = pytest.mark.slow

END = 499
"""The one end token, which llama.cpp is asked never to choose; rows behind it are padding."""
NUM_TOKENS = 128
SEED = 15
"""Of a few seeds the one whose closest choice is the clearest: 4e-4 in log-probability."""
WHOLE, SHARDS = 5_000_000_000, 300_000
SHAPE: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "rope_theta": 10_000.0,
    "max_position_embeddings": 4096,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 48,
    "initializer_range": 0.07,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "yarn": {"yarn": Yarn(factor=4.0, original_max_position_embeddings=64)},
    "other_layers": {
        "layer_types": ("full_attention", "linear_attention", "linear_attention"),
        "num_hidden_layers": 3,
        "linear_num_key_heads": 4,
        "linear_conv_kernel_dim": 3,
        "partial_rotary_factor": 0.5,
        "num_experts_per_tok": 1,
    },
}


@cache
def comparator() -> ModuleType:
    """``benchmarks/llama_cpp.py``, which is no part of a package."""
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("llama_cpp")
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def llama() -> Any:
    try:
        return comparator().build()
    except PrerequisiteError as error:
        pytest.skip("llama.cpp cannot be built here: " + "; ".join(error.lines()))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_model(**changes: Any) -> Decoder:
    torch.manual_seed(SEED)
    model = Decoder(ModelConfig(**{**SHAPE, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def prompts(lengths: Sequence[int]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(END, (length,), generator=generator).tolist() for length in lengths]


@torch.no_grad()
def greedy(model: Decoder, prompt: Sequence[int]) -> tuple[list[int], Tensor]:
    """Ids chosen step by step, and the log-probabilities (steps, vocabulary) behind them."""
    memory = model.new_cache(1)
    ids, rows = list[int](), list[Tensor]()
    step = torch.tensor([prompt])
    for _ in range(NUM_TOKENS):
        row_V = model(step, cache=memory, chosen=slice(-1, None)).logits[0].log_softmax(-1)
        rows.append(row_V)
        ids.append(int(row_V.where(torch.arange(len(row_V)) != END, -torch.inf).argmax()))
        step = torch.tensor([ids[-1:]])
    return ids, torch.stack(rows)


def in_transformers(model: Decoder, folder: Path, shard_bytes: int) -> Any:
    from transformers import AutoModelForCausalLM

    save_checkpoint(model, folder, shard_bytes=shard_bytes)
    assert (len(list(folder.glob("*.safetensors"))) > 1) == (shard_bytes == SHARDS)
    theirs, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return theirs.eval()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shard_bytes", [WHOLE, SHARDS], ids=["one", "shards"])
def test_transformers_computes_the_same(tmp_path: Path, variant: str, shard_bytes: int) -> None:
    # At 0.07 both lie some 5e-5 from float64; at the published deviation both are within 3e-6.
    model = random_model(**{**VARIANTS[variant], "initializer_range": 0.02})
    theirs = in_transformers(model, tmp_path, shard_bytes)
    for prompt in prompts((17, 300)):
        tokens_BT = torch.tensor([prompt])
        with torch.no_grad():
            difference = theirs(tokens_BT).logits - model(tokens_BT).logits
        assert difference.abs().max() <= 1e-5


@pytest.mark.parametrize("variant", VARIANTS)
def test_transformers_writes_the_same_tokens(tmp_path: Path, variant: str) -> None:
    model = random_model(**VARIANTS[variant])
    theirs = in_transformers(model, tmp_path, WHOLE)
    for prompt in prompts((17, 300)):
        tokens_BT = torch.tensor([prompt])
        written = theirs.generate(
            tokens_BT,
            attention_mask=torch.ones_like(tokens_BT),
            max_new_tokens=NUM_TOKENS,
            do_sample=False,
            suppress_tokens=[END],
            eos_token_id=None,
            pad_token_id=END,
        )
        assert written[0, len(prompt) :].tolist() == greedy(model, prompt)[0]


@pytest.mark.parametrize(
    ("variant", "lengths", "shard_bytes"),
    [
        ("plain", (1, 17, 64, 65, 300, 700), WHOLE),
        ("tied", (17, 300), SHARDS),
        ("yarn", (17, 300), WHOLE),
        ("other_layers", (17, 300), WHOLE),
    ],
)
def test_llama_cpp_writes_the_same_tokens(
    tmp_path: Path,
    llama: Any,
    variant: str,
    lengths: Sequence[int],
    shard_bytes: int,
) -> None:
    model = random_model(**VARIANTS[variant])
    folder = tmp_path / variant
    save_checkpoint(model, folder, shard_bytes=shard_bytes)
    comparator().write_tokenizer(folder, END)
    gguf = comparator().convert(llama, folder, tmp_path / "model.gguf")
    worst = 0.0
    with ExitStack() as stack:
        server = stack.enter_context(comparator().serving(llama, gguf, context=1024))
        for prompt in prompts(lengths):
            ids, expected_TV = greedy(model, prompt)
            assert len(set(ids)) > NUM_TOKENS // 4, (
                "a continuation that repeats itself shows little"
            )
            found = server.greedy(prompt, NUM_TOKENS, top=model.config.vocab_size)
            assert found.ids == ids
            rows = [[step[token] for token in range(len(step))] for step in found.log_probs]
            worst = max(worst, float((torch.tensor(rows) - expected_TV).abs().max()))
    # Over the whole vocabulary at every step; some 1e-4 where this was written.
    assert worst <= 1e-3


@torch.no_grad()
def proposal(model: Decoder, tokens: Sequence[int], *, opening: bool) -> Tensor:
    """Logits of what follows ``tokens``, by the multi-token-prediction layer.

    ``opening`` puts the pair in front with which llama.cpp begins: no hidden state, first token.
    """
    assert model.next_token is not None
    hidden_ND = model(torch.tensor([tokens[:-1]])).hidden_ND
    next_PD = model.embedding(torch.tensor(tokens))
    if opening:
        hidden_ND = torch.cat((torch.zeros_like(hidden_ND[:1]), hidden_ND))
    else:
        next_PD = next_PD[1:]
    borders = Borders((len(hidden_ND),))
    inverse_R, factor = inverse_frequencies(model.config), attention_factor(model.config.yarn)
    rotations = Rotations(borders.positions_N, inverse_R, factor, hidden_ND.dtype)
    out_PD, _ = model.next_token(next_PD, hidden_ND, borders, rotations)
    return model.unembed(out_PD[-1:])[0]


@pytest.mark.parametrize("tied", [False, True])
def test_llama_cpp_drafts_the_same_tokens(tmp_path: Path, llama: Any, tied: bool) -> None:
    model = random_model(num_nextn_predict_layers=1, tie_word_embeddings=tied)
    folder = tmp_path / "next"
    save_checkpoint(model, folder)
    comparator().write_tokenizer(folder, END)
    gguf = comparator().convert(llama, folder, tmp_path / "model.gguf")
    for prompt in prompts((2, 17, 65, 300)):
        with ExitStack() as stack:
            serving = comparator().serving(llama, gguf, context=1024, drafting=True)
            token, draft = stack.enter_context(serving).first_draft(prompt)
        tokens = [*prompt, token]
        with torch.no_grad():
            output = model(torch.tensor([tokens]))
            plain_V = model.predict_next(output, torch.tensor([tokens])).logits_PV[-1]
        assert int(output.logits[0, -2].argmax()) == token
        assert (plain_V - proposal(model, tokens, opening=False)).abs().max() <= 1e-4
        likeliest = proposal(model, tokens, opening=True).topk(10)
        assert draft.token == int(likeliest.indices[0])
        # The log tells three decimals.
        assert abs(draft.probability - float(likeliest.values.softmax(-1)[0])) <= 6e-4
