"""A family in a user's own file, outside the package, found by its path."""

import pytest
import torch
import transformers as hf

import upwell
from tests.parity.test_families import far
from upwell.errors import CheckpointError
from upwell.model import hub

STABLELM = '''"""StableLM: LLaMA's build with LayerNorm, of each head a quarter turns."""

from upwell.model.config import Config, Head
from upwell.model.names import Keys, Row, head, hf_head, hf_ids, hf_rotary, ids, pairs, rotary, same

MODEL_TYPES = ("stablelm",)
HEADS = {"StableLmForCausalLM": Head(), "StableLmModel": Head("none")}


def config(keys: Keys) -> Config:
    width, heads, bias = keys.need("hidden_size"), keys.need("num_attention_heads"), keys("use_qkv_bias", False)
    keys.expect("hidden_act", "silu", "silu"), keys.expect("qk_layernorm", False, False)
    keys.expect("use_parallel_residual", False, False), keys("hidden_dropout")
    return Config(family="stablelm", kind="stablelm", head=head(keys, HEADS), vocab=keys.need("vocab_size"),
                  width=width, decoder_layers=keys.need("num_hidden_layers"), heads=heads, head_dim=width // heads,
                  kv_heads=keys("num_key_value_heads", heads), ffn_width=keys.need("intermediate_size"),
                  context=keys.need("max_position_embeddings"), positions="rotary", **rotary(keys, share=0.25),
                  norm="layer", norm_eps=keys("layer_norm_eps", 1e-5), qkv_bias=bias,
                  attention_dropout=keys("attention_dropout", 0), tied=keys("tie_word_embeddings", False), **ids(keys))


def to_hf(c: Config) -> dict:
    return {**hf_head(c, HEADS), "model_type": "stablelm", "vocab_size": c.vocab, "hidden_size": c.width,
            "num_hidden_layers": c.decoder_layers, "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads,
            "intermediate_size": c.ffn_width, "max_position_embeddings": c.context, "rope_parameters": hf_rotary(c),
            "layer_norm_eps": c.norm_eps, "use_qkv_bias": c.qkv_bias, "tie_word_embeddings": c.tied, **hf_ids(c)}


def rows(c: Config) -> list[Row]:
    ours, theirs = "decoder.blocks.{i}.", "model.layers.{i}."
    qkv = {f"attn.{p}": f"self_attn.{p}_proj" for p in "qkv"}
    rest = {"attn.o": "self_attn.o_proj"} | {f"ffn.{p}": f"mlp.{p}_proj" for p in ("gate", "up", "down")}
    norms = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm"}
    table = pairs(ours, theirs, qkv | rest, "weight") + pairs(ours, theirs, norms, "weight", "bias")
    table += pairs(ours, theirs, qkv if c.qkv_bias else {}, "bias")
    table += pairs("", "", {"decoder.norm": "model.norm"}, "weight", "bias")
    table += [same("embed.weight", "model.embed_tokens.weight")]
    return table + ([] if c.tied else [same("head.weight", "lm_head.weight")])
'''


def test_a_family_from_a_file_of_ones_own_is_read_and_written(tmp_path):
    (tmp_path / "stablelm.py").write_text(STABLELM, encoding="utf-8")
    torch.manual_seed(1)
    config = hf.StableLmConfig(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
                               use_qkv_bias=True, num_attention_heads=3, num_key_value_heads=1,
                               max_position_embeddings=64)  # fmt: skip
    theirs = hf.StableLmForCausalLM(config).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(0.3 * torch.randn_like(p))
    theirs.save_pretrained(tmp_path / "theirs")
    with pytest.raises(CheckpointError, match="model_type is 'stablelm'"):
        upwell.load(tmp_path / "theirs")
    ours = upwell.load(tmp_path / "theirs", family=str(tmp_path / "stablelm.py"))
    text = torch.randint(0, 97, (2, 20), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        assert far(ours.model(text), theirs(text).logits) < 1e-4
    hub.save(ours, tmp_path / "ours")
    again = hf.StableLmForCausalLM.from_pretrained(tmp_path / "ours").eval()
    both = zip(theirs.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in both)
