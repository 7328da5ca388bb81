"""Small GGUF files, written with the gguf package from models of transformers."""

import numpy as np
import torch

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["t h", "th e", "\u0120 the", "1 2", "12 3", "i s", "\u0120 is", "\u0120 1"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
BLOCK = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def vocabulary() -> list[str]:
    """Three special tokens, the bytes, what the merges give."""
    from tokenizers.pre_tokenizers import ByteLevel

    return [*SPECIAL, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]


def model(kind="llama", width=64, **changes):
    """A small model of transformers with weights that are worth comparing."""
    import transformers

    classes = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "mistral": "Mistral"}
    settings = {
        "vocab_size": len(vocabulary()), "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": width // 4, "max_position_embeddings": 128,
        "rope_theta": 100000.0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "tie_word_embeddings": True,
    }  # fmt: skip
    config = getattr(transformers, f"{classes[kind]}Config")(**settings | changes)
    torch.manual_seed(1)
    made = getattr(transformers, f"{classes[kind]}ForCausalLM")(config).eval()
    with torch.no_grad():
        for tensor in made.parameters():
            tensor += 0.1 * torch.randn_like(tensor)
    return made


def write(path, theirs, quantised="F32", facts=None, tensors=None, pre="smollm", architecture=None):
    """Write a model as a GGUF file. The model's own weights become what the file holds, with its loss of precision.

    facts: {name: value} that stand in the file instead or besides; None leaves one out. tensors: the same for tensors.
    """
    import gguf

    c, kind = theirs.config, gguf.GGMLQuantizationType[quantised]
    name = architecture or {"mistral": "llama"}.get(c.model_type, c.model_type)
    writer = gguf.GGUFWriter(str(path), name)
    for key, value in (model_facts(c, name) | tokenizer_facts(pre) | (facts or {})).items():
        add(writer, key, value)
    stored = {}
    for key, tensor in theirs.state_dict().items():
        if key == "lm_head.weight" and c.tie_word_embeddings:
            continue
        whole = tensor.numpy().astype(np.float32)
        data = whole if whole.ndim == 1 else gguf.quants.quantize(whole, kind)
        if whole.ndim > 1:
            tensor.copy_(torch.from_numpy(np.array(gguf.quants.dequantize(data, kind)).reshape(whole.shape)))
        if name == "llama" and key.split(".")[-2] in ("q_proj", "k_proj"):
            data = turned(data, c.num_attention_heads if "q_proj" in key else c.num_key_value_heads)
        stored[ggml_name(key)] = (data, kind if whole.ndim > 1 else None)
    for key, value in (stored | (tensors or {})).items():
        if value is not None:
            writer.add_tensor(key, value[0], raw_dtype=value[1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def turned(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in the order of llama.cpp: what turns together stands together."""
    order = [head + at + half for head in range(0, len(rows), len(rows) // heads)
             for at in range(len(rows) // heads // 2) for half in (0, len(rows) // heads // 2)]  # fmt: skip
    return np.ascontiguousarray(rows[order])


def ggml_name(name: str) -> str:
    """llama.cpp's name of a tensor of transformers."""
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    base, _, end = name.rpartition(".")
    if base in whole:
        return f"{whole[base]}.{end}"
    _, _, layer, rest = base.split(".", 3)
    return f"blk.{layer}.{next(ours for ours, theirs in BLOCK.items() if theirs == rest)}.{end}"


def model_facts(c, name: str) -> dict:
    """The shape of a model."""
    return {f"{name}.{key}": value for key, value in {
        "context_length": c.max_position_embeddings, "embedding_length": c.hidden_size,
        "block_count": c.num_hidden_layers, "feed_forward_length": c.intermediate_size,
        "attention.head_count": c.num_attention_heads, "attention.head_count_kv": c.num_key_value_heads,
        "attention.key_length": c.head_dim if hasattr(c, "head_dim") else None,
        "attention.layer_norm_rms_epsilon": float(c.rms_norm_eps),
        "rope.freq_base": float(c.rope_parameters["rope_theta"]),
    }.items()}  # fmt: skip


def tokenizer_facts(pre: str) -> dict:
    """A tokenizer of bytes with a few merges."""
    tokens = vocabulary()
    return {f"tokenizer.{key}": value for key, value in {
        "ggml.model": "gpt2", "ggml.pre": pre, "ggml.tokens": tokens, "ggml.merges": MERGES,
        "ggml.token_type": [3 if token in SPECIAL else 1 for token in tokens], "ggml.bos_token_id": 1,
        "ggml.eos_token_id": 2, "ggml.padding_token_id": 2, "ggml.unknown_token_id": 0, "chat_template": TEMPLATE,
    }.items()}  # fmt: skip


def add(writer, key: str, value) -> None:
    """One fact; None is none."""
    if value is None:
        return
    kinds = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string,
             list: writer.add_array}  # fmt: skip
    kinds[type(value)](key, value)
