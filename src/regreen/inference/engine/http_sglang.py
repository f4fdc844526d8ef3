"""SGLang's dialect: ``/generate`` with ``input_ids``, and its commands for new weights.

``ignore_eos`` is left alone, because there it also switches off ``stop_token_ids``; a completion
that the vendor's own end-of-text id cuts is carried on by the stream. Read off SGLang 0.5.23
(``srt/managers/io_struct.py``, ``srt/managers/tokenizer_manager.py``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import ModelError
from regreen.inference.engine.http_dialect import Answer, Ask, control, parsed, unusable
from regreen.inference.messages import encode
from regreen.inference.wire import Wire

__all__ = ["Sglang"]

_UPDATE = "update SGLang: its /generate must return output_ids and output_token_logprobs"


class Sglang:
    """See ``Dialect``."""

    name = "SGLang"
    flags: Mapping[str, str] = MappingProxyType(
        {
            "logprobs": "start SGLang without SGLANG_RETURN_ORIGINAL_LOGPROB in its environment",
            "routes": "start SGLang with --enable-return-routed-experts, or give no policy shape",
            "reload": "restart SGLang on each checkpoint, or update it",
            "load": "update SGLang: it must know /pause_generation and /update_weights_from_disk",
        }
    )

    def request(self, ask: Ask) -> tuple[str, bytes]:
        """See ``Dialect``."""
        body: dict[str, Any] = {
            "input_ids": list(ask.ids),
            "sampling_params": {
                "max_new_tokens": ask.max_tokens,
                "temperature": ask.temperature,
                "sampling_seed": ask.seed,
                # Each is named, because a server may have preferred ones of its own.
                "top_p": 1.0,
                "top_k": -1,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
                "presence_penalty": 0.0,
                "frequency_penalty": 0.0,
                "stop": list(ask.stops.texts),
                "stop_token_ids": list(ask.stops.ids),
                "no_stop_trim": True,
                "skip_special_tokens": False,
                "spaces_between_special_tokens": False,
            },
            "return_logprob": True,
            "top_logprobs_num": ask.tops,
        }
        if ask.routes_from is not None:
            body |= {"return_routed_experts": True, "routed_experts_start_len": ask.routes_from}
        return "/generate", encode(body)

    def read(self, body: bytes, ask: Ask) -> Answer:
        """See ``Dialect``."""
        try:
            whole = json.loads(body)
            ids, meta = whole.get("output_ids"), whole["meta_info"]
            if ids is None:
                msg = "the server returns text without token ids"
                raise unusable(msg, body, _UPDATE)
            if meta.get("prompt_tokens", len(ask.ids)) != len(ask.ids):
                what = f"the server read {meta['prompt_tokens']} ids, {len(ask.ids)} were sent"
                raise unusable(what, body, "start SGLang without --allow-auto-truncate")
            pairs = meta.get("output_token_logprobs")
            if pairs is None:
                msg = "the server returns no log-probabilities"
                raise unusable(msg, body, _UPDATE)
            if [pair[1] for pair in pairs] != ids:
                what = "log-probabilities are of other ids than were sampled"
                raise unusable(what, body, "start SGLang without speculative decoding")
            finish = meta["finish_reason"]
            if finish["type"] not in {"stop", "length"}:
                what = f"the server ended the request by itself: {finish.get('message')}"
                raise unusable(what, body, "look into the server's log")
            answer = Answer(
                ids=tuple(map(int, ids)),
                logprobs=tuple(float(pair[0]) for pair in pairs),
                stopped=finish["type"] == "stop",
                matched=finish.get("matched"),
                tops=tuple(map(_tops, meta.get("output_top_logprobs") or ())),
                routes=_routes(meta.get("routed_experts"), ask, len(ids)),
                versions=_versions(meta),
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            what = f"the answer is none of SGLang's /generate: {type(error).__name__}: {error}"
            raise unusable(what, body, _UPDATE) from error
        return parsed(answer, body, ask, _UPDATE)

    async def load(self, wire: Wire, checkpoint: Path | None, version: int) -> None:
        """See ``Dialect``; requests under way are taken back, and read again by the new weights."""
        mend = self.flags["load"]
        folder = str(checkpoint or await _running(wire))
        await control(wire, "/pause_generation", {"mode": "retract"}, mend=mend)
        try:
            body = {"model_path": folder, "weight_version": str(version)}
            answer = await control(
                wire, "/update_weights_from_disk", {**body, "flush_cache": True}, mend=mend
            )
            if not answer.get("success"):
                what = f"SGLang did not take the weights: {answer.get('message')}"
                raise ModelError(what, where=wire.where, mend="look into the server's log")
        finally:
            await control(wire, "/continue_generation", {}, mend=mend)


async def _running(wire: Wire) -> str:
    """Folder of the weights that the server has."""
    response = await wire.send("GET", "/get_model_info")
    if response.status_code >= 400:
        raise wire.refusal(response)
    try:
        return str(json.loads(response.content)["model_path"])
    except (ValueError, KeyError, TypeError) as error:
        msg = "SGLang does not say which weights it has"
        raise unusable(msg, response.content, Sglang.flags["load"]) from error


def _tops(place: Sequence[Sequence[Any]]) -> Mapping[int, float]:
    return {int(entry[1]): float(entry[0]) for entry in place}


def _routes(encoded: str | None, ask: Ask, num_sampled: int) -> NDArray[np.integer] | None:
    """(R, L·K) from flat int32; the last sampled id has not been read."""
    if encoded is None or ask.routes_from is None:
        return None
    flat = np.frombuffer(base64.b64decode(encoded), dtype=np.int32)
    rows = len(ask.ids) + num_sampled - 1 - ask.routes_from
    return flat.reshape(rows, -1) if rows > 0 and flat.size % rows == 0 else None


def _versions(meta: Mapping[str, Any]) -> tuple[int, int] | None:
    """First and last version; the name a server has before the first load is no number."""
    spans = meta.get("weight_versions") or [{"version": meta.get("weight_version")}]
    try:
        return int(spans[0]["version"]), int(spans[-1]["version"])
    except (ValueError, TypeError):
        return None
