"""The engine over a real vLLM, its CPU build, on checkpoints that we write: ``make test-vllm``.

On a CPU vLLM computes Gated DeltaNet in bfloat16 alone and with heads of 64 or 128. So exactness is
measured in float32 on a policy of attention and experts, and the hybrid in bfloat16, where it must
be no further from our float32 than our own bfloat16 is.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from tests.train.rl_sets import rows
from tests.train.served_sets import add_vocabulary, served, settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from regreen.core.errors import ModelError
from regreen.inference import Endpoint
from regreen.inference.engine.base import Stops
from regreen.inference.engine.http import HttpEngine
from regreen.inference.errors import ContextOverflow
from regreen.model import SHAPES, Decoder, load_checkpoint, save_checkpoint
from regreen.model.untied import untied
from regreen.train.compute.forward import flatten, score

HOME = Path(os.environ.get("REGREEN_HOME") or Path.home() / ".cache" / "regreen")
PYTHON = HOME / "vllm" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="no vLLM: make test-vllm installs it"),
]
ATTENTION = {"layer_types": ("full_attention",) * 4}
MAX_LEN = 1024


def write_policy(
    folder: Path, *, shape: str, seed: int, mute: bool = False, **changes: Any
) -> Path:
    """A checkpoint with a tokenizer of bytes and named tokens.

    The CPU build packs experts when it starts and does not when it loads again; ``mute`` experts
    are all zero, in either order.
    """
    torch.manual_seed(seed)
    config = SHAPES[shape].model_copy(update={"initializer_range": 0.08, **changes})
    policy = Decoder(config)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if mute and ".experts." in name:
                parameter.zero_()
    save_checkpoint(untied(policy), folder)
    names = sorted(pre_tokenizers.ByteLevel.alphabet())
    names += [f"<t{place}>" for place in range(256, config.vocab_size)]
    tokenizer = Tokenizer(models.BPE({name: place for place, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(names[256:])
    tokenizer.save(str(folder / "tokenizer.json"))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": names[-1]}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    return folder


@contextmanager
def vllm(checkpoint: Path, dtype: str, *flags: str) -> Iterator[str]:
    """A server while it is entered; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ, "VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
    }  # fmt: skip
    command = [
        str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint),
        "--served-model-name", "policy", "--host", "127.0.0.1", "--port", str(port),
        "--dtype", dtype, "--enforce-eager", "--generation-config", "vllm",
        "--max-model-len", str(MAX_LEN), "--max-num-seqs", "8",
        # The CPU build dies when it reads a prompt with a seed in several pieces.
        "--max-num-batched-tokens", str(8 * MAX_LEN), "--no-enable-prefix-caching", *flags,
    ]  # fmt: skip
    log = checkpoint / "server.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=sink, env=environment, start_new_session=True,
            cwd=checkpoint,
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 600
    with httpx2.Client(trust_env=False, timeout=5) as client:
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(1)
    pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Attention and experts in float32, with tempered log-probabilities."""
    folder = write_policy(tmp_path_factory.mktemp("exact"), shape="1m", seed=1, **ATTENTION)
    with vllm(folder, "float32", "--logprobs-mode", "processed_logprobs") as url:
        yield url, folder


def run(url: str, play: Any, *, temperature: float = 1.5) -> Any:
    async def go() -> Any:
        endpoint = Endpoint(base_url=url, model="policy", timeout=120, retry_seconds=0)
        engine = HttpEngine(endpoint, temperature=temperature)
        try:
            await engine.check()
            return await play(engine)
        finally:
            await engine.close()

    return asyncio.run(go())


async def rollouts(engine: HttpEngine) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Ids, which were sampled, and their log-probabilities, of eight rollouts of three turns."""

    async def one(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chance = random.Random(seed)
        stream = engine.open(seed=seed, stops=Stops(ids=(300, 301)))
        ids: list[int] = []
        sampled: list[bool] = []
        logprobs: list[float] = []
        for _ in range(3):
            forced = [chance.randrange(512) for _ in range(chance.randrange(1, 60))]
            turn = await stream.extend(forced, max_tokens=60)
            ids += [*forced, *turn.ids]
            sampled += [False] * len(forced) + [True] * len(turn.ids)
            logprobs += [0.0] * len(forced) + list(turn.logprobs)
            assert (turn.finish_reason == "stop") == (turn.ids[-1] in {300, 301})
            assert not {300, 301} & set(turn.ids[:-1])
        assert stream.ids == ids
        return np.array(ids), np.array(sampled), np.array(logprobs)

    return list(await asyncio.gather(*map(one, range(8))))


def rescored(model: Decoder, played: Any, temperature: float) -> np.ndarray:
    with torch.no_grad():
        flat = flatten([ids for ids, _, _ in played], [mask for _, mask, _ in played])
        return score(model, flat, temperature=temperature).logprob_M.float().numpy()


def told(played: Any) -> np.ndarray:
    return np.concatenate([logprobs[mask] for _, mask, logprobs in played])


@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_what_vllm_says_is_what_the_trainer_finds(exact, temperature, record_property):
    url, folder = exact
    played = run(url, rollouts, temperature=temperature)
    apart = np.abs(rescored(load_checkpoint(folder), played, temperature) - told(played))
    record_property("max", float(apart.max()))
    assert len(apart) > 500
    assert apart.max() < 1e-4


def test_stops_contexts_and_seeds(exact):
    async def play(engine: HttpEngine) -> None:
        assert engine.server.dialect.name == "vLLM"
        assert engine.server.max_context == MAX_LEN
        assert engine.server.reproducible
        first, again = (engine.open(seed=7, stops=Stops()) for _ in range(2))
        one = await first.extend([1, 2, 3], max_tokens=20)
        assert one.ids == (await again.extend([1, 2, 3], max_tokens=20)).ids
        with pytest.raises(ContextOverflow):
            await first.extend([1] * MAX_LEN, max_tokens=1)
        last = await first.extend([1] * (MAX_LEN - 25), max_tokens=9)
        assert (len(last.ids), last.finish_reason) == (2, "length")
        marked = engine.open(seed=8, stops=Stops(texts=("<t3", "<t4")))
        ended = await marked.extend([1], max_tokens=900)
        assert ended.finish_reason == "stop"
        assert not any(300 <= token < 500 for token in ended.ids[:-1])
        assert 300 <= ended.ids[-1] < 500

    run(exact[0], play)


def test_experts_that_vllm_mistakes_when_it_loads_them_again_are_found_out(exact):
    url, folder = exact

    async def play(engine: HttpEngine) -> None:
        try:
            await engine.load(folder, version=1)
        except ModelError as error:
            assert "restart vLLM" in error.mend  # noqa: PT017
            with pytest.raises(ModelError, match="unknown"):
                await engine.open(seed=1, stops=Stops()).extend([1], max_tokens=2)
        else:
            played = await rollouts(engine)
            apart = np.abs(rescored(load_checkpoint(folder), played, 1.5) - told(played))
            assert apart.max() < 1e-4

    run(url, play)


def test_new_weights_act_also_on_a_request_under_way(tmp_path):
    old = write_policy(tmp_path / "old", shape="1m", seed=1, mute=True, **ATTENTION)
    new = write_policy(tmp_path / "new", shape="1m", seed=2, mute=True, **ATTENTION)

    async def play(engine: HttpEngine) -> Any:
        stream = engine.open(seed=1, stops=Stops())
        await engine.load(old, version=1)
        under_way = asyncio.ensure_future(stream.extend([1, 2, 3], max_tokens=900))
        await asyncio.sleep(0.7)
        await engine.load(new, version=2)
        after = await engine.open(seed=2, stops=Stops()).extend([4], max_tokens=50)
        return await under_way, after

    with vllm(old, "float32", "--logprobs-mode", "processed_logprobs") as url:
        across, after = run(url, play)
    models_of = {1: load_checkpoint(old), 2: load_checkpoint(new)}

    def apart(version: int, prompt: list[int], found: Any) -> np.ndarray:
        ids = np.array([*prompt, *found.ids])
        mask = np.arange(len(ids)) >= len(prompt)
        both = (ids, mask, np.array([0.0] * len(prompt) + list(found.logprobs)))
        return np.abs(rescored(models_of[version], [both], 1.5) - told([both]))

    assert after.versions == (2, 2)
    assert apart(2, [4], after).max() < 1e-4
    assert across.versions == (1, 2)
    by_old, by_new = apart(1, [1, 2, 3], across), apart(2, [1, 2, 3], across)
    change = int(np.argmax(by_old > 1e-4))
    assert 0 < change < len(by_old)
    assert by_new[change:].max() < 1e-4


def test_the_hybrid_is_as_near_as_its_precision_lets_it(tmp_path, record_property):
    folder = write_policy(tmp_path / "hybrid", shape="5m", seed=1, initializer_range=0.02)
    with vllm(folder, "bfloat16", "--logprobs-mode", "processed_logprobs") as url:
        played = run(url, rollouts)
    rounded = load_checkpoint(folder, dtype=torch.bfloat16)
    coarse = rescored(rounded, played, 1.5)
    fine = rescored(rounded.float(), played, 1.5)
    theirs, ours = np.abs(fine - told(played)), np.abs(fine - coarse)
    record_property("theirs", (float(theirs.max()), float(theirs.mean())))
    record_property("ours", (float(ours.max()), float(ours.mean())))
    assert theirs.mean() < 2 * ours.mean() + 1e-4


def test_raw_log_probabilities_are_refused_unless_temperature_is_one(tmp_path):
    folder = write_policy(tmp_path / "raw", shape="1m", seed=1, mute=True, **ATTENTION)

    async def nothing(engine: HttpEngine) -> None:
        assert engine.server.max_context == MAX_LEN

    with vllm(folder, "float32") as url:
        with pytest.raises(ModelError, match="temperature 1,") as caught:
            run(url, nothing)
        assert "--logprobs-mode processed_logprobs" in caught.value.mend
        run(url, nothing, temperature=1.0)


def test_a_run_trains_on_what_vllm_samples(tmp_path, record_property):
    """Experts that are zero stay zero, so loading weights again cannot mistake them."""
    start = write_policy(tmp_path / "start", shape="1m", seed=1, mute=True, **ATTENTION)
    add_vocabulary(start)
    with vllm(start, "float32") as url:
        found, _ = served(tmp_path / "run", settings(url, away_seconds=60.0), start)
    apart = [value for _, value in rows(tmp_path / "run", "mismatch_max")]
    record_property("mismatch_max", apart)
    moved = [value for _, value in rows(tmp_path / "run", "updates")]
    assert found.step == 3
    assert len(apart) == sum(moved) == 3
    assert max(apart) < 1e-4
    assert all(value == 0 for _, value in rows(tmp_path / "run", "faults"))


def test_a_run_over_a_vllm_that_mistakes_experts_ends_by_saying_so(exact, tmp_path):
    url, start = exact
    add_vocabulary(start)
    with pytest.raises(ModelError, match="another model once it has loaded") as caught:
        served(tmp_path / "run", settings(url, away_seconds=60.0), start)
    assert "restart vLLM" in caught.value.mend
    assert len(caught.value.lines()) == 3
    assert not (tmp_path / "run" / "logs" / "worker-1.log").exists()
