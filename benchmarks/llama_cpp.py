"""llama.cpp as a comparator: fed by its own converter, asked for tokens, drafts and speeds.

    python benchmarks/llama_cpp.py CHECKPOINT [--types f32,q8_0,q4_k_m] [--threads 1]

Tokens go in and come out as ids, so that no tokenizer can differ; the server keeps its state in
f32 and reuses nothing, so that what is compared is the model. Speeds are those of llama.cpp's own
programs with their own settings.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from llama_cpp_build import LlamaCpp, build, end_of

from regreen.core.errors import RegreenError

_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The converter knows a byte-pair vocabulary by the ids it gives one text, so it refuses every new
# one. Where it does, the split is taken to be Qwen2's: right for the vocabularies used here.
_CONVERT = """
import runpy, sys
tree = sys.argv[1]
sys.path[:0] = [tree, tree + "/gguf-py"]
from conversion.base import TextModel
known = TextModel.get_vocab_base_pre
def pinned(self, tokenizer):
    try:
        return known(self, tokenizer)
    except NotImplementedError:
        return "qwen2"
TextModel.get_vocab_base_pre = pinned
sys.argv = ["convert_hf_to_gguf.py", *sys.argv[2:]]
runpy.run_path(tree + "/convert_hf_to_gguf.py", run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a prompt was greedily continued with."""

    ids: list[int]
    """Chosen tokens."""
    log_probs: list[dict[int, float]]
    """At each step, natural logarithms of the probabilities of the likeliest tokens."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second, of all sequences of a batch together."""

    prompt: float
    """Reading prompts."""
    generation: float
    """Writing."""


def convert(tools: LlamaCpp, checkpoint: Path, out: Path, *, dtype: str = "f32") -> Path:
    """Write ``checkpoint`` as GGUF with the tree's own converter.

    Args:
        tools: the built tree.
        checkpoint: folder in the Hugging Face layout, with a ``tokenizer.json``.
        out: file to write.
        dtype: ``f32``, ``bf16``, ``f16`` or ``q8_0`` as the converter names them; else what
            ``llama-quantize`` makes of f32 (``q4_k_m``, ...).

    Raises:
        RegreenError: the converter or the quantiser refuses; the end of its output is told.
    """
    direct = dtype in {"f32", "bf16", "f16", "q8_0"}
    first = out if direct else out.with_name(out.name + ".f32")
    command = [sys.executable, "-c", _CONVERT, str(tools.source), str(checkpoint)]
    command += ["--outfile", str(first), "--outtype", dtype if direct else "f32"]
    if not _has_mtp(checkpoint):
        command.append("--no-mtp")
    _run(command, "llama.cpp's converter refuses the checkpoint", where=checkpoint)
    if not direct:
        quantise = [tools["llama-quantize"], str(first), str(out), dtype.upper()]
        _run(quantise, f"the checkpoint cannot be quantised to {dtype}", where=checkpoint)
        first.unlink()
    return out


@dataclass(frozen=True, slots=True)
class Draft:
    """What the multi-token-prediction layer proposes."""

    token: int
    """Its likeliest token."""
    probability: float
    """That token's share among the ten likeliest, to three decimals."""


def write_tokenizer(folder: Path, end: int) -> None:
    """Give a random model a vocabulary of ``end`` tokens and an end token, for the converter.

    All tokens are ASCII, since the server tells nothing of a token that is half a character.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = [level.pre_tokenize_str(chr(code))[0][0] for code in range(128)]
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_QWEN2_SPLIT), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=end, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(
        [Path(json.__file__).with_name("decoder.py").read_text()], trainer
    )
    tokenizer.add_special_tokens(["<|im_end|>"])
    if tokenizer.token_to_id("<|im_end|>") != end:
        raise ValueError(f"a vocabulary of {end} tokens cannot be made; ask for 200 to 600")
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


class Server:
    """A running ``llama-server`` with one slot, which forgets every request."""

    def __init__(self, client: httpx2.Client, log: Path) -> None:
        self._client = client
        self._log = log

    def greedy(self, prompt: Sequence[int], num_tokens: int, *, top: int = 1) -> Continuation:
        """The likeliest continuation, the end of text barred.

        Args:
            prompt: token ids, taken as they are.
            num_tokens: how many to write.
            top: of how many tokens a step tells the log-probability, before the end is barred.
        """
        body = {
            "prompt": list(prompt),
            "n_predict": num_tokens,
            "n_probs": top,
            "return_tokens": True,
        }
        found = self._ask(body)
        steps = [
            {row["id"]: row["logprob"] for row in step["top_logprobs"]}
            for step in found["completion_probabilities"]
        ]
        return Continuation(found["tokens"], steps)

    def first_draft(self, prompt: Sequence[int]) -> tuple[int, Draft]:
        """The greedy token behind the prompt, and what is proposed to follow that one.

        A draft is told by the log alone. llama.cpp begins a sequence with a pair of its own, a
        hidden state of zeros and the first token, and in a slot's second request with the first
        one's last state: only the first request to a server is determined.
        """
        found = self._ask({"prompt": list(prompt), "n_predict": 3, "return_tokens": True})
        until = time.monotonic() + 30.0
        while time.monotonic() < until:
            text = self._log.read_text(encoding="utf-8", errors="replace")
            if told := re.search(r"draft candidate +0, pos +0: +(\d+) \( +([\d.]+)\)", text):
                return found["tokens"][0], Draft(int(told[1]), float(told[2]))
            time.sleep(0.05)
        raise RegreenError("llama-server told of no draft", where=str(prompt))

    def _ask(self, body: dict[str, object]) -> Any:  # JSON edge
        fixed = {"temperature": 0.0, "ignore_eos": True, "cache_prompt": False}
        answer = self._client.post("/completion", json={**body, **fixed})
        answer.raise_for_status()
        return answer.json()


@contextmanager
def serving(
    tools: LlamaCpp, gguf: Path, *, context: int, threads: int = 1, drafting: bool = False
) -> Iterator[Server]:
    """A server of ``gguf`` that computes as exactly as it can: state in f32, nothing reused.

    Args:
        tools: the built tree.
        gguf: the model.
        context: tokens of prompt and continuation together.
        threads: threads of reading and writing.
        drafting: let the multi-token-prediction layer propose one token at a time.

    Raises:
        RegreenError: it does not start; the end of its output is told.
    """
    with tempfile.TemporaryDirectory(prefix="llama") as name, Path(name, "log").open("w+") as log:
        socket = Path(name, "llama.sock")
        command = [tools["llama-server"], "-m", str(gguf), "--host", str(socket)]
        command += ["-t", str(threads), "-tb", str(threads), "-c", str(context), "-np", "1"]
        command += ["-ctk", "f32", "-ctv", "f32", "-fa", "off", "-fit", "off", "-cram", "0"]
        command += ["-ctxcp", "0", "--no-warmup", "--no-ui", "--offline"]
        if drafting:
            command += ["--spec-type", "draft-mtp", "--spec-draft-n-max", "1", "-lv", "5"]
            command += ["--spec-draft-p-min", "0", "-ctkd", "f32", "-ctvd", "f32"]
        with subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
            transport = httpx2.HTTPTransport(uds=str(socket))
            client = httpx2.Client(transport=transport, base_url="http://llama", timeout=600.0)
            try:
                with client:
                    _await(client, process, gguf, Path(name, "log"))
                    yield Server(client, Path(name, "log"))
            finally:
                process.terminate()


def bench(
    tools: LlamaCpp,
    gguf: Path,
    *,
    num_prompt: int,
    num_generated: int,
    threads: int = 1,
    depth: int = 0,
    repetitions: int = 5,
) -> Speed:
    """Tokens per second as ``llama-bench`` measures them (loading and one warm-up left out).

    Args:
        tools: the built tree.
        gguf: the model.
        num_prompt: tokens of a prompt that is read.
        num_generated: tokens that are written.
        threads: threads of both.
        depth: tokens in the state before either begins.
        repetitions: runs, of which the median is told.
    """
    command = [tools["llama-bench"], "-m", str(gguf), "-o", "json", "-r", str(repetitions)]
    command += ["-p", str(num_prompt), "-n", str(num_generated), "-t", str(threads)]
    rows = json.loads(_run([*command, "-d", str(depth)], "llama-bench fails", where=gguf))
    found = {row["n_gen"] > 0: statistics.median(row["samples_ts"]) for row in rows}
    return Speed(prompt=found[False], generation=found[True])


def bench_batches(
    tools: LlamaCpp,
    gguf: Path,
    batches: Sequence[int],
    *,
    num_prompt: int,
    num_generated: int,
    threads: int = 1,
) -> dict[int, Speed]:
    """Tokens per second of all sequences together, by batch, as ``llama-batched-bench`` measures.

    Each sequence has a prompt of its own of ``num_prompt`` tokens; measured once.
    """
    context = max(batches) * (num_prompt + num_generated)
    command = [tools["llama-batched-bench"], "-m", str(gguf), "-c", str(context)]
    command += ["-npp", str(num_prompt), "-ntg", str(num_generated), "-fit", "off"]
    command += ["-npl", ",".join(map(str, batches)), "-t", str(threads), "-tb", str(threads)]
    text = _run([*command, "--output-format", "jsonl"], "llama-batched-bench fails", where=gguf)
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {row["pl"]: Speed(prompt=row["speed_pp"], generation=row["speed_tg"]) for row in rows}


def _run(command: list[str], what: str, *, where: Path) -> str:
    """Standard output of a program that must succeed and stay off the network."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise RegreenError(f"{what}: {end_of(done.stderr or done.stdout)}", where=str(where))
    return done.stdout


def _has_mtp(checkpoint: Path) -> bool:
    """Whether any tensor is of the multi-token-prediction layer: without, it must be said."""
    from safetensors import safe_open

    for shard in checkpoint.glob("*.safetensors"):
        with safe_open(shard, "pt") as tensors:
            if any(name.startswith("mtp.") for name in tensors.keys()):  # noqa: SIM118 - no dict
                return True
    return False


def _await(client: httpx2.Client, process: subprocess.Popen[bytes], gguf: Path, log: Path) -> None:
    while process.poll() is None:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    what = f"llama-server does not start: {end_of(log.read_text(errors='replace'))}"
    raise RegreenError(what, where=str(gguf))


def main() -> None:
    """Convert a checkpoint and print its speeds in llama.cpp."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--types", default="f32,bf16,q8_0,q4_k_m")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generated", type=int, default=128)
    options = parser.parse_args()
    tools = build()
    sizes = {"num_prompt": options.prompt, "num_generated": options.generated}
    print(f"{'tokens per second':18}{'prompt':>10}{'batch 1':>10}{'batch 16':>10}{'bytes':>15}")
    with tempfile.TemporaryDirectory() as place:
        for dtype in options.types.split(","):
            gguf = convert(tools, options.checkpoint, Path(place, dtype), dtype=dtype)
            one = bench(tools, gguf, threads=options.threads, **sizes)
            many = bench_batches(tools, gguf, [16], threads=options.threads, **sizes)[16]
            row = (one.prompt, one.generation, many.generation, gguf.stat().st_size)
            print(
                f"{dtype:18}" + "".join(f"{value:>10,.1f}" for value in row[:3]) + f"{row[3]:>15,}"
            )


if __name__ == "__main__":
    main()
