"""The decoder: embedding, layers of a mixer and a feed-forward part each, norm, output matrix.

Tokens are one flat run from the embedding to the logits; rows and documents are a matter of the
mixers. A call says where documents begin by `borders`; positions that restart without them are an
error, because the recurrent layers would go on from one document into the next.

Shapes: B rows, T tokens of a row, N = B·T tokens, D model width, V vocabulary, K experts of
a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regreen.model.borders import Borders, check_positions
from regreen.model.cache import Cache
from regreen.model.config import ModelConfig
from regreen.model.delta_net import GatedDeltaNet
from regreen.model.layer import Layer
from regreen.model.memory import AttentionMemory, DeltaMemory
from regreen.model.moe import Routing
from regreen.model.next_token import NextToken, Pairs, Prediction
from regreen.model.norm import GatedRMSNorm, RMSNorm
from regreen.model.products import product
from regreen.model.projection import Projection
from regreen.model.rope import Rotations, attention_factor, inverse_frequencies

__all__ = ["Decoder", "Layer", "Output"]


@dataclass(frozen=True)
class Output:
    """What a call of the decoder computes."""

    hidden_ND: Tensor
    """The last layer's result behind the final norm, for every token."""
    logits: Tensor
    """(B, T, V), or (chosen tokens, V) where only some were asked for."""
    routings: list[Routing]
    """What each sparse layer's router did, first to last."""


class Decoder(nn.Module):
    """The whole model of a `ModelConfig`, with new weights drawn from torch's generator."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            Layer(config, mixer, sparse=sparse)
            for mixer, sparse in zip(config.mixers, config.sparse, strict=True)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.output: Projection | None = None
        if not config.tie_word_embeddings:
            self.output = Projection(config.hidden_size, config.vocab_size)
        self.next_token = NextToken(config) if config.num_nextn_predict_layers else None
        self._inverse_R: Tensor | None = None
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Draw new weights: normal matrices, decays log U(0, 16), norms neutral.

        A matrix that stands for several on disk is drawn as one; all have the same deviation.
        """
        for module in self.modules():
            if isinstance(module, RMSNorm):
                module.weight.zero_()
            elif isinstance(module, GatedRMSNorm):
                module.weight.fill_(1.0)
        for name, parameter in self.named_parameters():
            if name.endswith("dt_bias"):
                parameter.fill_(1.0)
            elif name.endswith("a_log"):
                parameter.uniform_(0.01, 16.0).log_()
            elif name.endswith("conv"):
                parameter.uniform_(-1.0, 1.0).mul_(parameter.shape[1] ** -0.5)
            elif parameter.dim() > 1:
                parameter.normal_(0.0, self.config.initializer_range)

    def forward(
        self,
        tokens_BT: Tensor,
        *,
        borders: Borders | None = None,
        positions_BT: Tensor | None = None,
        cache: Cache | None = None,
        chosen: Tensor | slice | None = None,
        replay: Sequence[Tensor] | None = None,
    ) -> Output:
        """Compute logits for every token, or for the chosen ones.

        Args:
            tokens_BT: token ids.
            borders: the documents of the batch, in the order of its tokens; None means that each
                row is one document. With a cache, document i continues row i of the cache.
            positions_BT: positions to check against the documents; they are never needed.
            cache: what earlier calls remember; it takes this call's tokens in. It holds no
                gradients, so the call stands under `torch.no_grad()`.
            chosen: the flat tokens whose logits are wanted, as an index or a slice.
            replay: the experts (N, K) of each sparse layer, instead of the routers' choice.

        Raises:
            MissingBordersError: positions restart within a row and no borders were given, or
                within a document.
            ValueError: borders that do not fit the tokens or the cache's rows, experts that do not
                fit the layers, gradients enabled with a cache, an enabled autocast.
        """
        borders = self._checked(tokens_BT, borders, positions_BT, cache)
        self._check_replay(replay, tokens_BT.numel())
        x_ND = self.embedding(tokens_BT.flatten())
        memories: Sequence[AttentionMemory | DeltaMemory | None] = [None] * len(self.layers)
        if cache is not None:
            cache.begin(borders.lengths)
            memories = cache.memories
        positions_N = self._positions(borders, cache, tokens_BT.device)
        rotations = self._rotations(positions_N, x_ND.dtype)
        routings: list[Routing] = []
        for layer, memory in zip(self.layers, memories, strict=True):
            replayed = replay[len(routings)] if replay and len(routings) < len(replay) else None
            x_ND, routing = layer(x_ND, borders, rotations, memory, replayed)
            if routing is not None:
                routings.append(routing)
        hidden_ND = self.norm(x_ND)
        logits = self.unembed(hidden_ND if chosen is None else hidden_ND[chosen])
        if cache is not None:  # last, so that a call that fails is known to have failed
            cache.commit()
        if chosen is None:
            logits = logits.unflatten(0, tokens_BT.shape)
        return Output(hidden_ND, logits, routings)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (…, V) of normed hidden states (…, D)."""
        if self.output is not None:
            return self.output(hidden)
        return product(hidden, self.embedding.weight.t())

    def predict_next(
        self,
        output: Output,
        tokens_BT: Tensor,
        *,
        borders: Borders | None = None,
        replay_NK: Tensor | None = None,
    ) -> Prediction:
        """Predict the token after the next one, by the multi-token-prediction layer.

        Args:
            output: what `forward` computed for these tokens.
            tokens_BT: the same tokens.
            borders: the same documents.
            replay_NK: the experts of each pair, instead of the router's choice.

        Raises:
            ValueError: the model has no such layer, or borders do not fit the tokens.
        """
        if self.next_token is None:
            msg = "this model has no multi-token-prediction layer: num_nextn_predict_layers is 0"
            raise ValueError(msg)
        pairs = Pairs.of(self._checked(tokens_BT, borders, None, None), tokens_BT.device)
        hidden_ND = output.hidden_ND[pairs.index_P]
        if pairs.borders is None:
            return Prediction(
                pairs.index_P, pairs.target_P, hidden_ND, self.unembed(hidden_ND), None
            )
        next_ND = self.embedding(tokens_BT.flatten()[pairs.index_P + 1])
        positions_N = pairs.borders.positions_N.to(tokens_BT.device)
        rotations = self._rotations(positions_N, next_ND.dtype)
        hidden_ND, routing = self.next_token(
            next_ND, hidden_ND, pairs.borders, rotations, replay_NK
        )
        logits_PV = self.unembed(hidden_ND)
        return Prediction(pairs.index_P, pairs.target_P, hidden_ND, logits_PV, routing)

    def new_cache(self, num_rows: int, *, history: bool = True, anchor_every: int = 1024) -> Cache:
        """An empty memory for decoding `num_rows` sequences together; see `Cache`."""
        replays = [
            layer.mixer if isinstance(layer.mixer, GatedDeltaNet) else None
            for layer in self.layers
            if isinstance(layer, Layer)
        ]
        like = self.norm.weight.detach()
        return Cache(
            self.config, num_rows, like, replays, history=history, anchor_every=anchor_every
        )

    def _checked(
        self,
        tokens_BT: Tensor,
        borders: Borders | None,
        positions_BT: Tensor | None,
        cache: Cache | None,
    ) -> Borders:
        """The documents of a call whose arguments fit each other."""
        if tokens_BT.dim() != 2:
            msg = f"tokens have shape {tuple(tokens_BT.shape)}; give rows of tokens, (B, T)"
            raise ValueError(msg)
        if torch.is_autocast_enabled(tokens_BT.device.type):
            msg = "the model does not run under torch.autocast: its backward does not see the "
            msg += "casts; use .to(torch.bfloat16), where states and statistics stay float32"
            raise ValueError(msg)
        given = borders is not None
        borders = borders or Borders((tokens_BT.shape[1],) * tokens_BT.shape[0])
        if borders.num_tokens != tokens_BT.numel():
            msg = f"borders cover {borders.num_tokens} tokens, the batch has {tokens_BT.numel()}"
            raise ValueError(msg)
        if positions_BT is not None:
            if positions_BT.shape != tokens_BT.shape:
                msg = f"positions have shape {tuple(positions_BT.shape)}, tokens "
                msg += f"{tuple(tokens_BT.shape)}"
                raise ValueError(msg)
            begun = None if cache is None else cache.lengths
            check_positions(positions_BT, borders, given=given, begun=begun)
        return borders

    def _check_replay(self, replay: Sequence[Tensor] | None, num_tokens: int) -> None:
        if replay is None:
            return
        sparse = sum(self.config.sparse)
        if len(replay) != sparse:
            msg = f"experts of {len(replay)} layers to replay, but {sparse} layers are sparse"
            raise ValueError(msg)
        for number, index_NK in enumerate(replay):
            fits = index_NK.dim() == 2 and len(index_NK) == num_tokens
            if fits and index_NK.device.type == "cpu":  # elsewhere a look would wait for the device
                fits = bool(((index_NK >= 0) & (index_NK < self.config.num_experts)).all())
            if not fits:
                msg = f"the experts to replay in sparse layer {number} are not ({num_tokens}, K) "
                msg += f"numbers below {self.config.num_experts}"
                raise ValueError(msg)

    def _rotations(self, positions_N: Tensor, dtype: torch.dtype) -> Rotations:
        if self._inverse_R is None or self._inverse_R.device != positions_N.device:
            self._inverse_R = inverse_frequencies(self.config).to(positions_N.device)
        return Rotations(positions_N, self._inverse_R, attention_factor(self.config.yarn), dtype)

    def _positions(self, borders: Borders, cache: Cache | None, device: torch.device) -> Tensor:
        """(N,) the position of each token in its document, what a cache holds included."""
        if cache is None:
            return borders.positions_N.to(device)
        if borders.num_tokens == len(borders.lengths):
            return torch.tensor(cache.lengths, device=device)
        begun = torch.tensor(cache.lengths).repeat_interleave(torch.tensor(borders.lengths))
        return (borders.positions_N + begun).to(device)
