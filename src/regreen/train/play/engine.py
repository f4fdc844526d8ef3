"""How the policy is sampled: by workers themselves, or by servers that they ask."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["EngineConfig", "server_url"]


class EngineConfig(BaseModel):
    """How the policy is sampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, ge=0.001)
    """Divides the logits; nothing is filtered out, so that the policy that is trained is the one
    that was sampled."""
    max_context: int = Field(default=32_768, ge=2)
    """Tokens of a rollout."""
    max_tokens: int = Field(default=4096, ge=1)
    """Tokens of one completion."""
    patience: float | None = Field(default=0.05, ge=0.0)
    """Seconds that the batch waits for rollouts whose tool runs; None waits for all of them, and
    then what is computed does not depend on how fast tools are. A server decides for itself."""
    experts: bool = False
    """Record the routers' choices, for router replay."""
    urls: tuple[str, ...] = ()
    """Addresses of vLLM or SGLang servers that sample, one worker for each; none samples in the
    workers' own processes."""
    model: str = ""
    """Name of the model as servers know it; empty takes the only one that they serve."""
    away_seconds: float = Field(default=60.0, ge=0.0)
    """How long a server may be away, while it is started again for example."""
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    """Where workers compute that have no server: cpu, cuda, or cuda:N."""

    @field_validator("urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(map(server_url, urls))
        if len(set(found)) < len(found):
            msg = "two workers would give one server their weights in turn; name each server once"
            raise ValueError(msg)
        return found

    @model_validator(mode="after")
    def _one_place(self) -> EngineConfig:
        if self.urls and self.device != "cpu":
            msg = "a server computes where it was started to; give engine.device without servers"
            raise ValueError(msg)
        return self


def server_url(text: str) -> str:
    """An address in the one form by which two are compared: without a path.

    Raises:
        ValueError: it is none, or shows a password to whoever reads the run's settings.
    """
    parts = urlsplit(text.strip())
    path = parts.path.rstrip("/").removesuffix("/v1")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or path:
        msg = f"{text!r} is no address of a server; give http://HOST:PORT"
        raise ValueError(msg)
    if "@" in parts.netloc:
        msg = "an address is written to the run's settings; give the key in OPENAI_API_KEY"
        raise ValueError(msg)
    return f"{parts.scheme}://{parts.netloc.lower()}"
