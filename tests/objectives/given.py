"""Tokenizers, parts and tiny models for the objectives that learn from supervised examples; English and Chinese."""

import torch

from tests.text import chats
from upwell.model import hub, preset
from upwell.objectives import Part
from upwell.text.chat import Template
from upwell.text.examples import document
from upwell.tokens.kinds import Wanted, train
from upwell.tokens.store import Store, write

TEXTS = ["The river flows to the sea, and the sea is wide. Anna sees Bern.", "A fine day by the river; a bad night.",
         "北京很大，海很宽。今天天气很好。", "海在哪里？海在西边。河流入海。"] * 4  # fmt: skip
CHATML = Template(chats.CHATML, {"eos_token": "<|im_end|>"})


def wordpiece():
    return train(TEXTS, Wanted(vocab_size=160, kind="wordpiece"))


def bytes_with_chat():
    return train(TEXTS, Wanted(vocab_size=320, special=("<|im_start|>", "<|im_end|>", "<2en>", "<2zh>")))


def unigram():
    return train(TEXTS, Wanted(vocab_size=420, kind="unigram"))


def part(folder, records, tokenizer, context=48, template=None, cache=None, name="a.jsonl"):
    """A Part over these records, which are read as a file of JSON lines is."""
    documents = [document(record, f"{name}:{line}") for line, record in enumerate(records, start=1)]
    if not (folder / "index.json").exists():
        texts = [tokenizer.encode(one.text) for one in documents] or [[tokenizer.end]]
        write(folder, texts, tokenizer.vocab_size, tokenizer.end, 1, tokenizer.hash)
    return Part(Store(folder), lambda: iter(documents), tokenizer, template, context, cache)


def encoder(vocab, head="BertForMaskedLM", layers=2, width=16, context=64):
    return hub.config_of({
        "model_type": "bert", "architectures": [head], "vocab_size": vocab, "hidden_size": width,
        "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": context, "type_vocab_size": 2, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "pad_token_id": 0,
    })  # fmt: skip


def decoder(vocab, layers=2, width=16, context=64, end=0):
    return hub.config_of({
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": vocab, "n_embd": width,
        "n_layer": layers, "n_head": 2, "n_inner": 32, "n_positions": context, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
        "attn_pdrop": 0.0, "bos_token_id": end, "eos_token_id": end, "pad_token_id": end,
    })  # fmt: skip


def both(vocab, kind="t5", end=2, pad=3):
    if kind == "bart":
        return hub.config_of({
            "model_type": "bart", "architectures": ["BartForConditionalGeneration"], "vocab_size": vocab, "d_model": 16,
            "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64, "dropout": 0.0,
            "decoder_start_token_id": end, "bos_token_id": 1, "eos_token_id": end, "pad_token_id": pad,
        })  # fmt: skip
    return hub.config_of({
        "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "vocab_size": vocab, "d_model": 16,
        "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0, "decoder_start_token_id": pad,
        "eos_token_id": end, "pad_token_id": pad, "n_positions": 64,
    })  # fmt: skip


def model(config, seed=0, dtype=torch.float64):
    """Weights drawn from a seed, none of them 0, so that every one of them matters."""
    made = preset.create(config, seed).to(dtype)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(dtype))
    return made.eval()


def learnt(room, model, batches, settings):
    """(sum over terms of total / count over all of the batches, gradients by name)."""
    model.zero_grad(set_to_none=True)
    counts = torch.tensor([room.counts(one, settings) for one in batches]).sum(0)
    loss = sum((room.loss(model, one, settings) / counts).sum() for one in batches)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def cut(batch, *borders):
    """A batch in micro-batches that end at these rows."""
    ends = [*borders, len(batch[0])]
    return [type(batch)(*(None if t is None else t[a:b] for t in batch))
            for a, b in zip([0, *borders], ends, strict=True)]  # fmt: skip


def same(one, other, close=1e-10):
    """Two results of `learnt` are equal to 1e-10."""
    assert abs(float(one[0] - other[0])) < close
    assert one[1].keys() == other[1].keys()
    for name, grad in one[1].items():
        assert torch.allclose(grad, other[1][name], rtol=close, atol=close), name


def without_padding(room, model, sampler, settings, size=4):
    """Rows one by one, each as wide as itself, give what a padded batch gives."""
    whole = list(sampler.whole(size))
    single = list(sampler.whole(1))
    same(learnt(room, model, whole, settings), learnt(room, model, single, settings))
