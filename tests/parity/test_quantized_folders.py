"""Rounded folders beside transformers with compressed-tensors: the same numbers."""

import pytest
import torch
import transformers as hf

from upwell.model import compressed, hub, quantize

pytest.importorskip("compressed_tensors")

IDS = torch.arange(24).view(2, 12) % 90 + 3
SMALL = {"vocab_size": 97, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "hidden_size": 64,
         "intermediate_size": 96, "num_hidden_layers": 2, "max_position_embeddings": 64,
         "num_attention_heads": 4}  # fmt: skip
MODELS = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SMALL, num_key_value_heads=2)),
    "qwen2-tied": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**SMALL, num_key_value_heads=2, tie_word_embeddings=True)),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**SMALL)),
    "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**SMALL)),
    "bert-classes": lambda: hf.BertForSequenceClassification(hf.BertConfig(**SMALL, num_labels=3)),
    "modernbert": lambda: hf.ModernBertForMaskedLM(hf.ModernBertConfig(**SMALL, cls_token_id=1, sep_token_id=2)),
    "t5": lambda: hf.T5ForConditionalGeneration(hf.T5Config(
        vocab_size=97, d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4, decoder_start_token_id=0)),
}  # fmt: skip
READ_THEIR_WEIGHTS = ("modernbert", "t5")  # their code asks a matrix for its weight before the package has unpacked it


@pytest.fixture(params=MODELS)
def pair(request, tmp_path):
    """A name, transformers' class of a noised model, and our reading of it."""
    torch.manual_seed(1)
    model = MODELS[request.param]().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(tmp_path / "float")
    return request.param, type(model), hub.load(tmp_path / "float").model


def saved(model, scheme: quantize.Scheme, folder) -> torch.Tensor:
    """Our rounded logits; the folder is written."""
    small = quantize.quantize(model, scheme)
    hub.save(hub.Checkpoint(small, None, small.config), folder)
    two = {"source": IDS.flip(1)} if small.config.shape == "encoder-decoder" else {}
    return quantize.plainly(small)(IDS, **two)


def theirs(kind, folder, **said) -> torch.Tensor:
    """transformers' logits."""
    model = kind.from_pretrained(folder, **said).eval()
    both = {"input_ids": IDS.flip(1), "decoder_input_ids": IDS}
    return model(**(both if model.config.is_encoder_decoder else {"input_ids": IDS})).logits


def far(a, b) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize("scheme", [quantize.Scheme(8), quantize.Scheme(4), quantize.Scheme(4, symmetric=False)],
                         ids=["int8", "int4", "int4-shifted"])  # fmt: skip
@torch.no_grad()
def test_transformers_opens_a_rounded_folder_with_the_same_numbers(pair, scheme, tmp_path):
    name, kind, model = pair
    ours = saved(model, scheme, tmp_path / "rounded")
    whole = {"quantization_config": hf.CompressedTensorsConfig(dequantize=True)}
    assert far(ours, theirs(kind, tmp_path / "rounded", **whole)) < 1e-5
    if scheme.symmetric and name not in READ_THEIR_WEIGHTS:
        assert far(ours, theirs(kind, tmp_path / "rounded")) < 1e-5


@torch.no_grad()
def test_the_package_packs_integers_as_we_do():
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    generator = torch.Generator().manual_seed(0)
    for bits in (4, 8):
        values = torch.randint(-(1 << bits - 1), 1 << bits - 1, (7, 64), generator=generator, dtype=torch.int8)
        assert torch.equal(compressed.packed32(values, bits), pack_to_int32(values, bits))
        assert torch.equal(compressed.unpacked32(pack_to_int32(values, bits), bits, 64), values)
