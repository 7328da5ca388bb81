"""Long texts: windows that keep the cache bounded, chunked reading, stretched rotary positions."""

import pytest
import torch
import transformers as hf

from tests.generation.tiny import tiny_model
from tests.parity.test_families import LLAMA, far
from upwell.model import hub
from upwell.model.cache import CHUNK, Cache

LONG = 2 * CHUNK + 77


def ids(rows: int, n: int) -> torch.Tensor:
    return torch.randint(0, 50, (rows, n), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("window", [None, 9, 700])
@torch.inference_mode()
def test_chunks_and_steps_equal_one_long_pass(window):
    layers = () if window is None else (0,)
    model = tiny_model(50, context=4 * CHUNK, window=window, window_layers=layers)
    text = ids(2, LONG)
    whole = model(text)
    cache = Cache(model.config, 2, 8)
    got = [model(part, cache=cache) for part in text.split([700, 1, 1, LONG - 702], 1)]
    assert far(torch.cat(got, 1), whole) < 1e-4


@torch.inference_mode()
def test_rows_of_unequal_length_keep_their_windows_when_the_ring_goes_round():
    model = tiny_model(50, context=4 * CHUNK, window=9, window_layers=(0, 1))
    text, lengths = ids(3, LONG), [LONG, 40, CHUNK + 13]
    cache = Cache(model.config, 3, 8)
    model(text, cache=cache, lengths=torch.tensor(lengths))
    more = ids(3, CHUNK + 30)[:, CHUNK:]
    got = torch.cat([model(more[:, i : i + 1], cache=cache) for i in range(more.shape[1])], 1)
    for row, n in enumerate(lengths):
        alone = model(torch.cat((text[row : row + 1, :n], more[row : row + 1]), 1))[0, n:]
        assert far(got[row], alone) < 1e-4


@torch.inference_mode()
def test_the_cache_of_windowed_blocks_does_not_grow_with_the_text():
    model = tiny_model(50, context=8 * CHUNK, window=16, window_layers=(0,))
    cache = Cache(model.config, 1, 8)
    model(ids(1, 4 * CHUNK), cache=cache)
    assert cache.keys[0].shape[2] == 16 + CHUNK and cache.keys[1].shape[2] >= 4 * CHUNK


SCALED = {
    "linear": {"factor": 3.0},
    "dynamic": {"factor": 2.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 16, "mscale": 0.8,
             "mscale_all_dim": 0.5},
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
    "longrope": {"factor": 4.0, "original_max_position_embeddings": 16, "short_factor": [1.0, 1.1, 1.2, 1.3, 1.5, 2.0],
                 "long_factor": [1.0, 2.0, 3.0, 4.0, 6.0, 9.0]},
}  # fmt: skip


@pytest.mark.parametrize("kind", SCALED)
@pytest.mark.parametrize("length", [10, 90])
@torch.inference_mode()
def test_stretched_rotary_positions_equal_theirs_for_short_and_long_texts(kind, length, tmp_path):
    rope = {"rope_type": kind, "rope_theta": 1e4} | SCALED[kind]
    torch.manual_seed(1)
    theirs = hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA, num_attention_heads=4, rope_parameters=rope)).eval()
    for p in theirs.parameters():
        p.add_(0.3 * torch.randn_like(p))
    theirs.save_pretrained(tmp_path)
    ours, text = hub.load(tmp_path), ids(2, length)
    assert far(ours.model(text), theirs(text).logits) < 1e-4
    hub.save(ours, tmp_path / "ours")
    assert hub.read_config(tmp_path / "ours") == ours.config
    again = hf.LlamaForCausalLM.from_pretrained(tmp_path / "ours").eval()
    assert far(again(text).logits, theirs(text).logits) < 1e-6
    plain = hub.build(ours.config.with_(rotary_scaling=None), hub.read_tensors(tmp_path))
    if length == 90:
        assert far(plain(text), theirs(text).logits) > 1e-3
