"""An output matrix of its own changes nothing that is computed."""

from __future__ import annotations

import torch

from regreen.model import SHAPES, Decoder, load_checkpoint, save_checkpoint
from regreen.model.untied import untied


def test_an_untied_model_computes_the_same_and_is_saved_with_its_matrix(tmp_path):
    torch.manual_seed(0)
    tied = Decoder(SHAPES["1m"])
    other = untied(tied)
    tokens = torch.randint(512, (2, 9))
    with torch.no_grad():
        wanted = tied(tokens).logits
        assert torch.allclose(other(tokens).logits, wanted, atol=1e-6)
        save_checkpoint(other, tmp_path)
        loaded = load_checkpoint(tmp_path)
        assert torch.allclose(loaded(tokens).logits, wanted, atol=1e-6)
    assert not loaded.config.tie_word_embeddings
    assert untied(other) is other


def test_the_matrix_is_a_copy_and_the_rest_is_shared():
    tied = Decoder(SHAPES["1m"])
    other = untied(tied)
    assert other.output.weight.data_ptr() != tied.embedding.weight.data_ptr()
    assert other.embedding.weight.data_ptr() == tied.embedding.weight.data_ptr()
