"""vLLM's dialect: ``/v1/completions`` with ids as the prompt, and its commands for new weights.

The vendor's end-of-text id is told not to end anything (``ignore_eos``): only the stream's own
stops do. Read off vLLM 0.32 (``entrypoints/openai/completion/protocol.py``, ``entrypoints/rl``).
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import ModelError
from regreen.inference.engine.http_dialect import Answer, Ask, control, parsed, unusable
from regreen.inference.messages import encode
from regreen.inference.wire import Wire

__all__ = ["Vllm"]

_UPDATE = "update vLLM: its completions must know return_token_ids"


class Vllm:
    """See ``Dialect``."""

    name = "vLLM"
    flags: Mapping[str, str] = MappingProxyType(
        {
            "logprobs": "start vLLM with --logprobs-mode processed_logprobs",
            "routes": "start vLLM with --enable-return-routed-experts, or give no policy shape",
            "load": "start vLLM with VLLM_SERVER_DEV_MODE=1 in its environment",
            "reload": "restart vLLM on each checkpoint; its CPU build mistakes experts here",
        }
    )

    def request(self, ask: Ask) -> tuple[str, bytes]:
        """See ``Dialect``."""
        body: dict[str, Any] = {
            "model": ask.model,
            "prompt": list(ask.ids),
            "max_tokens": ask.max_tokens,
            "temperature": ask.temperature,
            "seed": ask.seed,
            # Each is named, because a server's own defaults come from the model's folder.
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "stop": list(ask.stops.texts),
            "stop_token_ids": list(ask.stops.ids),
            "include_stop_str_in_output": True,
            "ignore_eos": True,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "logprobs": ask.tops,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }
        if ask.routes_from is not None:
            body["routed_experts_prompt_start"] = ask.routes_from
        return "/v1/completions", encode(body)

    def read(self, body: bytes, ask: Ask) -> Answer:
        """See ``Dialect``."""
        try:
            choice = json.loads(body)["choices"][0]
            ids = choice.get("token_ids")
            if ids is None:
                msg = "the server returns text without token ids"
                raise unusable(msg, body, _UPDATE)
            if choice.get("prompt_token_ids", list(ask.ids)) != list(ask.ids):
                what = "the server read other ids than it was sent"
                raise unusable(what, body, "send to vLLM itself, not through a gateway")
            logprobs = choice.get("logprobs")
            if logprobs is None:
                what = "the server returns no log-probabilities"
                raise unusable(what, body, "start vLLM with --max-logprobs of at least 5")
            if choice["finish_reason"] not in {"stop", "length"}:
                what = f"the server ended the request by itself: {choice['finish_reason']!r}"
                raise unusable(what, body, "look into the server's log")
            answer = Answer(
                ids=tuple(map(int, ids)),
                logprobs=tuple(map(float, logprobs["token_logprobs"])),
                stopped=choice["finish_reason"] == "stop",
                matched=choice.get("stop_reason"),
                tops=tuple(map(_tops, logprobs.get("top_logprobs") or ())),
                routes=_routes(choice.get("routed_experts")),
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            what = f"the answer is no completion of vLLM: {type(error).__name__}: {error}"
            raise unusable(what, body, _UPDATE) from error
        return parsed(answer, body, ask, _UPDATE)

    async def load(self, wire: Wire, checkpoint: Path | None, version: int) -> None:
        """See ``Dialect``; requests under way are frozen, and read again by the new weights."""
        mend = self.flags["load"]
        await control(wire, "/pause?mode=keep", mend=mend)
        try:
            where = {} if checkpoint is None else {"weights_path": str(checkpoint)}
            command = {"method": "reload_weights", "kwargs": where}
            await control(wire, "/collective_rpc", command, mend=mend)
            path = "/reset_prefix_cache?reset_running_requests=true"
            if not (await control(wire, path, mend=mend)).get("success"):
                what = "vLLM did not forget what the old weights computed"
                raise ModelError(what, where=wire.where, mend="look into the server's log")
        finally:
            await control(wire, "/resume", mend=mend)


def _tops(place: Mapping[str, float]) -> Mapping[int, float]:
    return {int(token.removeprefix("token_id:")): float(logp) for token, logp in place.items()}


def _routes(encoded: str | None) -> NDArray[np.integer] | None:
    if encoded is None:
        return None
    found: NDArray[np.integer] = np.load(io.BytesIO(base64.b64decode(encoded)), allow_pickle=False)
    return found
