"""A vocabulary that grows under a model: old logits stay as they are, new rows begin as the mean of their parts."""

import pytest
import torch

from upwell.errors import CheckpointError
from upwell.model import hub
from upwell.model.hub import Checkpoint
from upwell.model.quantize import Scheme, quantize
from upwell.model.resize import resize
from upwell.model.transformer import Transformer
from upwell.tokens.extend import extend
from upwell.tokens.kinds import Wanted, train

ENGLISH = ["Paris is the capital of France, and it's been so since 1789.", "def f(x):\n    return x * x"] * 9
CHINESE = ["床前明月光，疑是地上霜。举头望明月，低头思故乡。"] * 9
LLAMA = {"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 32, "max_position_embeddings": 64}  # fmt: skip
BERT = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 64, "architectures": ["BertForMaskedLM"]}  # fmt: skip
T5 = {"model_type": "t5", "d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 32,
      "decoder_start_token_id": 0, "architectures": ["T5ForConditionalGeneration"]}  # fmt: skip
BART = {"model_type": "bart", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64,
        "architectures": ["BartForConditionalGeneration"], "decoder_start_token_id": 0}  # fmt: skip
MODELS = {
    "tied decoder": ("bpe", LLAMA | {"tie_word_embeddings": True}),
    "decoder": ("bpe", LLAMA | {"tie_word_embeddings": False}),
    "tied encoder with a bias": ("wordpiece", BERT),
    "encoder with an output of its own": ("wordpiece", BERT | {"tie_word_embeddings": False}),
    "encoder without words": ("wordpiece", BERT | {"architectures": ["BertModel"]}),
    "encoder-decoder": ("unigram", T5 | {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}),
    "tied encoder-decoder": ("unigram", T5),
    "tied encoder-decoder with a bias": ("unigram", BART),
}


def drawn(config):
    """A model in which every weight and bias is noise, so that a wrong row is seen."""
    generator = torch.Generator().manual_seed(1)
    with torch.device("meta"):
        model = Transformer(config)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1 + ("norm" in name))
    return model.eval()


def pair(name, padding=0):
    """(the checkpoint, the extension of its tokenizer, the larger checkpoint)."""
    kind, settings = MODELS[name]
    extension = extend(train(ENGLISH, Wanted(500, kind)), CHINESE, 20, ("<|zh|>",))
    config = hub.config_of(settings | {"vocab_size": extension.old.vocab_size + padding})
    before = Checkpoint(drawn(config), extension.old, config)
    return before, extension, resize(before, extension.tokenizer, extension.parts)


def answers(checkpoint, ids):
    with torch.no_grad():
        more = {"source": ids} if checkpoint.config.shape == "encoder-decoder" else {}
        return checkpoint.model(ids, **more)


@pytest.mark.parametrize("name", MODELS)
def test_the_logits_of_old_ids_do_not_change(name):
    before, extension, after = pair(name)
    ids = torch.tensor([extension.old.encode_source(ENGLISH[0])])
    assert extension.tokenizer.encode_source(ENGLISH[0]) == ids[0].tolist()
    ours, theirs = answers(after, ids), answers(before, ids)
    torch.testing.assert_close(ours[..., : theirs.shape[-1]], theirs, atol=1e-6, rtol=1e-5)
    words = before.config.head.kind in ("language", "masked")
    assert ours.shape[-1] == (extension.tokenizer.vocab_size if words else theirs.shape[-1])


@pytest.mark.parametrize("name", MODELS)
def test_new_rows_are_the_mean_of_the_parts_and_old_rows_are_the_same(name):
    before, extension, after = pair(name)
    old, new = before.model.state_dict(), after.model.state_dict()
    size, grown = extension.old.vocab_size, [key for key in old if old[key].shape != new[key].shape]
    assert "embed.weight" in grown and all(torch.equal(old[key], new[key]) for key in old if key not in grown)
    for key in grown:
        assert torch.equal(new[key][:size], old[key])
        for id, parts in extension.parts.items():
            expected = old[key][list(parts) or slice(None)].mean(0)
            torch.testing.assert_close(new[key][id], expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_larger_folder_opens_with_us_and_with_transformers(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    _, extension, after = pair(name)
    hub.save(after, tmp_path)
    again = hub.load(tmp_path)
    assert again.config.vocab == extension.tokenizer.vocab_size == again.tokenizer.vocab_size
    ids = torch.tensor([again.tokenizer.encode_source(CHINESE[0])])
    torch.testing.assert_close(answers(again, ids), answers(after, ids))
    kind = getattr(transformers, (MODELS[name][1].get("architectures") or ["LlamaForCausalLM"])[0])
    theirs = kind.from_pretrained(str(tmp_path)).eval()
    with torch.no_grad():
        more = {"decoder_input_ids": ids} if again.config.shape == "encoder-decoder" else {}
        told = theirs(ids, **more)
    told = told.logits if hasattr(told, "logits") else told.last_hidden_state
    torch.testing.assert_close(answers(again, ids), told, atol=1e-4, rtol=1e-4)


def test_rows_that_were_padding_are_used_first():
    before, extension, after = pair("decoder", padding=30)
    assert after.config.vocab == before.config.vocab
    id, parts = next((id, parts) for id, parts in extension.parts.items() if parts)
    expected = before.model.embed.weight[list(parts)].mean(0)
    torch.testing.assert_close(after.model.embed.weight[id], expected)


def test_the_model_that_was_given_stays_as_it_was():
    before, _, after = pair("tied decoder", padding=30)
    assert before.model.embed.weight.data_ptr() != after.model.embed.weight.data_ptr()
    assert before.config.vocab == len(before.model.embed.weight)


def test_rounded_weights_are_refused():
    before, extension, _ = pair("decoder")
    rounded = Checkpoint(quantize(before.model, Scheme()), before.tokenizer, before.config)
    with pytest.raises(CheckpointError, match="rounded to int8 or int4"):
        resize(rounded, extension.tokenizer, extension.parts)


@pytest.mark.parametrize("parts", [{5: (1,)}, {10**6: (1,)}, {-1: ()}])
def test_new_ids_among_the_old_ones_are_refused(parts):
    before, extension, _ = pair("decoder")
    with pytest.raises(CheckpointError, match="expected new ids"):
        resize(before, extension.tokenizer, parts)
    with pytest.raises(CheckpointError, match="expected new ids"):
        resize(before, extension.tokenizer, {extension.old.vocab_size: (10**6,)})
