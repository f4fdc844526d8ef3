"""A server of token ids that speaks as vLLM or as SGLang does and computes with a real model."""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regreen.model import Decoder, ModelConfig, load_checkpoint
from regreen.model.generate import greedy, sample

POLICY = ModelConfig(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=3,
    full_attention_interval=3,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    linear_num_key_heads=1,
    linear_num_value_heads=2,
    linear_key_head_dim=16,
    linear_value_head_dim=16,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=16,
    shared_expert_intermediate_size=16,
    intermediate_size=32,
    mlp_only_layers=(0,),
    initializer_range=0.3,
)


def policy(seed: int) -> Decoder:
    torch.manual_seed(seed)
    return Decoder(POLICY)


@dataclass
class TokenServer:
    """What the server is started with, and what it has seen."""

    kind: str
    model: Decoder = field(default_factory=lambda: policy(0))
    max_len: int = 200
    logprobs: str = "processed"  # or raw, logits, none
    stops: str = "kept"  # or cut, ignored
    token_ids: bool = True
    routes: bool = True
    dev: bool = True
    owner: str = ""
    indifferent: bool = False
    added: int = 0  # ids that the server puts before the prompt
    eos: int | None = None  # SGLang: ends completions whatever was asked for
    reloads: str = "right"  # or wrong, fails
    paused: bool = False
    failures: list[int] = field(default_factory=list)  # statuses of the next completions
    hang_up: int = 0  # completions to be cut off
    hold: threading.Event | None = None  # completions wait for it
    port: int = 0
    prompts: list[list[int]] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    checkpoint: str = ""
    version: str = "default"
    stubborn: str = ""  # SGLang: the version that it names whatever was loaded
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    # -- what is sampled --------------------------------------------------------------------

    def complete(self, ids: list[int], options: dict[str, Any]) -> dict[str, Any]:
        """Sample, and name what either dialect can tell of it."""
        warmth, limit = options["temperature"], options["limit"]
        stop = options["stop_ids"] if self.stops != "ignored" else []
        stop = [*stop, *([] if self.eos is None else [self.eos])]
        with self.lock:
            if warmth == 0:
                found = greedy(self.model, [ids], limit, stop_ids=stop)[0]
            else:
                found = sample(
                    self.model, [ids], limit, seed=options["seed"], temperature=warmth,
                    top_k=0, top_p=1.0, min_p=0.0, stop_ids=stop,
                )[0]  # fmt: skip
            sampled, matched = list(found.ids), found.ids[-1] if found.stopped else None
            for end in range(1, len(sampled) + 1):
                mark = next((m for m in options["marks"] if m in text(sampled[:end])), None)
                if mark is not None:
                    sampled, matched = sampled[:end], mark
                    break
            with torch.no_grad():
                whole = self.model(torch.tensor([[*ids, *sampled[:-1]]]))
        logits = whole.logits[0, len(ids) - 1 :]
        tempered = logits / (warmth or 1.0)
        told = {
            "processed": tempered.log_softmax(-1),
            "raw": logits.log_softmax(-1),
            "logits": tempered,
            "none": logits,
        }[self.logprobs]
        if self.indifferent:
            told = torch.zeros_like(logits).log_softmax(-1)
        if self.stops == "cut" and matched is not None:
            sampled = sampled[:-1]
        chosen = told.gather(1, torch.tensor(sampled)[:, None])[:, 0] if sampled else told[:0, 0]
        tops = [
            dict(zip(i.tolist(), v.tolist(), strict=True))
            for v, i in zip(*told.topk(options["tops"]), strict=True)
        ]
        shape = self.model.config
        kinds = shape.num_hidden_layers, shape.num_experts_per_tok
        layers = np.zeros((len(ids) + len(sampled) - 1, *kinds), np.int32)
        sparse = [place for place, routed in enumerate(shape.sparse) if routed]
        for place, routing in zip(sparse, whole.routings, strict=True):
            layers[:, place] = routing.index_NK[: len(layers)].numpy()
        return {"ids": sampled, "logprobs": chosen.tolist(), "tops": tops, "matched": matched,
                "routes": layers}  # fmt: skip

    # -- how it is told ---------------------------------------------------------------------

    def vllm(self, body: dict[str, Any]) -> dict[str, Any]:
        ids = [0] * self.added + body["prompt"]
        options = {
            "temperature": body["temperature"], "limit": body["max_tokens"], "seed": body["seed"],
            "stop_ids": body["stop_token_ids"], "marks": body["stop"],
            "tops": body["logprobs"],
        }  # fmt: skip
        assert body["top_p"] == 1.0
        assert body["top_k"] == 0
        assert body["min_p"] == 0.0
        assert body["ignore_eos"]
        found = self.complete(ids, options)
        choice: dict[str, Any] = {
            "text": text(found["ids"]),
            "finish_reason": "length" if found["matched"] is None else "stop",
            "stop_reason": found["matched"],
        }
        if self.token_ids:
            choice |= {"token_ids": found["ids"], "prompt_token_ids": ids}
        if self.logprobs != "none":
            tops = [{f"token_id:{i}": v for i, v in place.items()} for place in found["tops"]]
            choice["logprobs"] = {"token_logprobs": found["logprobs"], "top_logprobs": tops}
        if self.routes:
            buffer = io.BytesIO()
            start = body.get("routed_experts_prompt_start", 0)
            np.save(buffer, found["routes"][start:].astype(np.uint8))
            choice["routed_experts"] = base64.b64encode(buffer.getvalue()).decode()
        return {"choices": [choice]}

    def sglang(self, body: dict[str, Any]) -> dict[str, Any]:
        ids, how = [0] * self.added + body["input_ids"], body["sampling_params"]
        options = {
            "temperature": how["temperature"], "limit": how["max_new_tokens"],
            "seed": how["sampling_seed"], "stop_ids": how["stop_token_ids"], "marks": how["stop"],
            "tops": body["top_logprobs_num"],
        }  # fmt: skip
        assert (how["top_p"], how["top_k"], how["min_p"]) == (1.0, -1, 0.0)
        found = self.complete(ids, options)
        finish = {"type": "stop", "matched": found["matched"]}
        meta: dict[str, Any] = {
            "prompt_tokens": len(ids),
            "finish_reason": {"type": "length"} if found["matched"] is None else finish,
            "weight_version": self.stubborn or self.version,
        }
        if self.logprobs != "none":
            pairs = zip(found["logprobs"], found["ids"], strict=True)
            meta["output_token_logprobs"] = [[value, token, None] for value, token in pairs]
            meta["output_top_logprobs"] = [
                [[value, token, None] for token, value in place.items()] for place in found["tops"]
            ]
        if self.routes and body.get("return_routed_experts"):
            told = found["routes"][body["routed_experts_start_len"] :].astype(np.int32)
            meta["routed_experts"] = base64.b64encode(told.tobytes()).decode()
        answer = {"text": text(found["ids"]), "meta_info": meta}
        return answer | ({"output_ids": found["ids"]} if self.token_ids else {})

    # -- commands ---------------------------------------------------------------------------

    def load(self, folder: str | None) -> bool:
        """Take other weights; None takes those it has."""
        if self.reloads == "fails":
            return False
        if folder is not None:
            with self.lock:
                self.model, self.checkpoint = load_checkpoint(Path(folder)), folder
        if self.reloads == "wrong":
            self.model = policy(99)
        return True

    def command(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not self.dev:
            return 404, {}
        if path in {"/pause", "/resume", "/pause_generation", "/continue_generation"}:
            self.paused = path.startswith("/pause")
        if path == "/collective_rpc":
            good = self.load(body["kwargs"].get("weights_path"))
            return (200, {"results": [None]}) if good else (500, {"error": "no such folder"})
        if path == "/update_weights_from_disk":
            good = self.load(body["model_path"] or None)
            self.version = body["weight_version"] if good else self.version
            return (200 if good else 400), {"success": good, "message": "no such folder"}
        return 200, {"success": True, "status": "ok"}


def text(ids: list[int]) -> str:
    return "".join(f"<{token}>" for token in ids)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: TokenServer
    doomed = False

    def log_message(self, *args: object) -> None:
        pass

    def reply(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        server = self.owner
        if self.path == "/get_model_info":
            return self.reply(200, {"model_path": server.checkpoint})
        card = {
            "id": "policy",
            "owned_by": server.owner or server.kind,
            "max_model_len": server.max_len,
        }
        return self.reply(200, {"data": [card]})

    def do_POST(self) -> None:
        server = self.owner
        size = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(size) or b"{}")
        if self.doomed:
            self.close_connection = True
            return None
        if self.path not in {"/v1/completions", "/generate"}:
            status, answer = server.command(self.path.partition("?")[0], body)
            self.reply(status, answer)
            self.doomed = status == 500  # as vLLM does: it hangs up, and no header says so
            return None
        if server.failures:
            return self.reply(server.failures.pop(0), {"error": {"message": "busy"}})
        if server.hang_up:
            server.hang_up -= 1
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
            return None
        server.prompts.append(body.get("prompt") or body["input_ids"])
        with server.lock:
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        try:
            answer = (server.vllm if server.kind == "vllm" else server.sglang)(body)
            if server.hold is not None:
                server.hold.wait(20)
            return self.reply(200, answer)
        finally:
            with server.lock:
                server.busy -= 1


@contextmanager
def serving(server: TokenServer) -> Iterator[TokenServer]:
    handler = type("Bound", (Handler,), {"owner": server})
    listener = ThreadingHTTPServer(("127.0.0.1", server.port), handler)
    listener.daemon_threads = True
    server.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def main() -> None:
    """Be a server that is started with a checkpoint: its kind, its port and its folder."""
    kind, port, folder, experts = sys.argv[1:]
    torch.set_num_threads(1)
    server = TokenServer(
        kind, load_checkpoint(Path(folder)), max_len=4096, port=int(port), checkpoint=folder,
        routes=bool(experts),
    )  # fmt: skip
    with serving(server):
        threading.Event().wait()


if __name__ == "__main__":
    main()
