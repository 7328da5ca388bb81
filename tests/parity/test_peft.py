"""Adapters beside PEFT: it opens ours, we open its own, and both compute the same."""

import pytest
import torch
import transformers as hf

from upwell.model import hub, lora
from upwell.model.lora_settings import Lora

peft = pytest.importorskip("peft")

IDS = torch.arange(24).view(2, 12) % 90 + 3
SMALL = {"vocab_size": 97, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = SMALL | {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "max_position_embeddings": 64}
BERT = SMALL | {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "max_position_embeddings": 64,
                "num_attention_heads": 4}  # fmt: skip
MODELS = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA, num_attention_heads=4, num_key_value_heads=2)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**LLAMA, num_attention_heads=4, head_dim=12,
                                                                  num_key_value_heads=2)),
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**SMALL, n_embd=48, n_layer=2, n_head=4, n_positions=64)),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**LLAMA, num_attention_heads=3)),
    "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**BERT)),
    "bert-classes": lambda: hf.BertForSequenceClassification(hf.BertConfig(**BERT, num_labels=3)),
    "modernbert": lambda: hf.ModernBertForMaskedLM(hf.ModernBertConfig(**BERT, cls_token_id=1, sep_token_id=2)),
    "t5": lambda: hf.T5ForConditionalGeneration(hf.T5Config(
        vocab_size=97, d_model=48, d_kv=12, d_ff=80, num_layers=2, num_heads=4, decoder_start_token_id=0)),
}  # fmt: skip
TASKS = {"bert": None, "modernbert": None, "bert-classes": "SEQ_CLS", "t5": "SEQ_2_SEQ_LM"}
TARGETS = {
    "llama": ["q_proj", "v_proj", "down_proj"], "qwen3": ["q_proj", "k_proj", "gate_proj"],
    "gpt2": ["c_attn", "c_fc"], "gpt_neox": ["query_key_value", "dense_4h_to_h"],
    "bert": ["query", "output.dense"], "bert-classes": ["query", "value"], "modernbert": ["Wqkv", "Wi"],
    "t5": ["q", "v", "wo"],
}  # fmt: skip


def theirs(name: str, folder):
    """transformers' model with noise in every weight, saved in a folder."""
    torch.manual_seed(1)
    model = MODELS[name]().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    model.save_pretrained(folder)
    return model


def logits(model) -> torch.Tensor:
    """Of theirs or ours, on the same ids."""
    inner = model.config if not hasattr(model, "base_model") else model.base_model.config
    if getattr(inner, "shape", None):
        return model(IDS, source=IDS.flip(1)) if inner.shape == "encoder-decoder" else model(IDS)
    two = {"input_ids": IDS.flip(1), "decoder_input_ids": IDS} if inner.is_encoder_decoder else {"input_ids": IDS}
    return model(**two).logits


def far(a, b) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("targets", [(), ("attn.q", "attn.v"), ("ffn.down", "attn.o", "attn.k")])
@torch.no_grad()
def test_peft_opens_our_adapters(name, targets, tmp_path):
    base = theirs(name, tmp_path / "base")
    ours = lora.wrap(hub.load(tmp_path / "base").model, Lora(targets, rank=3, alpha=5.0, rslora=not targets))
    generator = torch.Generator().manual_seed(2)
    for part in lora.adapters(ours).values():
        part.b.normal_(std=0.2, generator=generator)
    lora.save(ours, tmp_path / "adapter")
    plain = logits(base)
    opened = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert far(logits(ours), logits(opened)) < 1e-4
    assert far(plain, logits(ours)) > 1e-3


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("more", [{}, {"use_rslora": True, "rank_pattern": {}, "lora_alpha": 7}])
@torch.no_grad()
def test_we_open_adapters_of_peft(name, more, tmp_path):
    base = theirs(name, tmp_path / "base")
    task = TASKS.get(name, "CAUSAL_LM")
    said = {"r": 4, "lora_alpha": 6, "target_modules": TARGETS[name], "task_type": task, "init_lora_weights": False}
    torch.manual_seed(3)
    wrapped = peft.get_peft_model(base, peft.LoraConfig(**(said | more)))
    wrapped.eval().save_pretrained(tmp_path / "adapter")
    ours = lora.load(hub.load(tmp_path / "base").model, tmp_path / "adapter")
    assert lora.adapters(ours)
    assert far(logits(ours), logits(wrapped)) < 1e-4
    merged = lora.unwrap(lora.merge(ours))
    assert far(logits(merged), logits(wrapped.merge_and_unload())) < 1e-4


@torch.no_grad()
def test_ranks_and_weights_that_differ_by_module_are_read_and_written(tmp_path):
    base = theirs("llama", tmp_path / "base")
    torch.manual_seed(3)
    wrapped = peft.get_peft_model(base, peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=["q_proj", "up_proj"], init_lora_weights=False,
        rank_pattern={"up_proj": 2, "layers.1.self_attn.q_proj": 5},
        alpha_pattern={"layers.0.mlp.up_proj": 9}))  # fmt: skip
    wrapped.eval().save_pretrained(tmp_path / "adapter")
    ours = lora.load(hub.load(tmp_path / "base").model, tmp_path / "adapter")
    assert far(logits(ours), logits(wrapped)) < 1e-4
    lora.save(ours, tmp_path / "again")
    fresh = hf.LlamaForCausalLM.from_pretrained(tmp_path / "base")
    assert far(logits(peft.PeftModel.from_pretrained(fresh, tmp_path / "again")), logits(ours)) < 1e-4


@torch.no_grad()
def test_a_swapped_pair_would_be_seen(tmp_path):
    base = theirs("gpt2", tmp_path / "base")
    torch.manual_seed(3)
    said = peft.LoraConfig(r=4, target_modules=["c_attn"], init_lora_weights=False, fan_in_fan_out=True)
    wrapped = peft.get_peft_model(base, said)
    wrapped.eval().save_pretrained(tmp_path / "adapter")
    ours = lora.load(hub.load(tmp_path / "base").model, tmp_path / "adapter")
    attn = ours.decoder.blocks[0].attn
    attn.q.b.data, attn.k.b.data = attn.k.b.data, attn.q.b.data
    assert far(logits(ours), logits(wrapped)) > 1e-3
