"""Our Transformer beside transformers': the same weights with noise added, the same logits, both ways."""

import json

import pytest
import torch
import transformers as hf

from tests.parity.heads import HEADS, numbers
from upwell.errors import CheckpointError
from upwell.generation.engine import run
from upwell.generation.session import Session
from upwell.generation.stop import Stop
from upwell.generation.strategies import beam, greedy
from upwell.model import hub
from upwell.model.cache import Cache

NEOX = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3,
        "max_position_embeddings": 64}  # fmt: skip
SMALL = {"vocab_size": 97, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None}
LLAMA = SMALL | {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "max_position_embeddings": 64}
SHAPES = {
    "gpt2": lambda: hf.GPT2Config(**SMALL, n_embd=48, n_layer=3, n_head=3, n_positions=64),
    "gpt2-odd": lambda: hf.GPT2Config(**SMALL, n_embd=35, n_layer=2, n_head=5, n_positions=64, n_inner=50,
                                      tie_word_embeddings=False, activation_function="gelu"),
    "llama": lambda: hf.LlamaConfig(**LLAMA, num_attention_heads=4, num_key_value_heads=4),
    "llama-grouped-biased": lambda: hf.LlamaConfig(**LLAMA, num_attention_heads=6, num_key_value_heads=2, mlp_bias=True,
                                                   attention_bias=True, head_dim=10, tie_word_embeddings=True),
    "qwen3": lambda: hf.Qwen3Config(**LLAMA, num_attention_heads=6, num_key_value_heads=3, head_dim=16,
                                    rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
    "llama-yarn": lambda: hf.LlamaConfig(**LLAMA, num_attention_heads=4, rope_parameters={
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16}),
    "llama-llama3": lambda: hf.LlamaConfig(**LLAMA, num_attention_heads=4, rope_parameters={
        "rope_type": "llama3", "rope_theta": 5e3, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32}),
    "mistral-windowed": lambda: hf.MistralConfig(**LLAMA, num_attention_heads=6, num_key_value_heads=2, head_dim=8,
                                                 sliding_window=5),
    "mistral": lambda: hf.MistralConfig(**LLAMA, num_attention_heads=4, num_key_value_heads=4, sliding_window=None),
    "qwen2": lambda: hf.Qwen2Config(**LLAMA, num_attention_heads=4, num_key_value_heads=2),
    "qwen2-windowed": lambda: hf.Qwen2Config(**LLAMA, num_attention_heads=4, num_key_value_heads=2, max_window_layers=1,
                                             use_sliding_window=True, sliding_window=4, tie_word_embeddings=True),
    "gemma2": lambda: hf.Gemma2Config(**LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                                      query_pre_attn_scalar=12, sliding_window=5),
    "gemma3": lambda: hf.Gemma3TextConfig(**LLAMA, num_attention_heads=4, num_key_value_heads=1, head_dim=16,
                                          query_pre_attn_scalar=9, sliding_window=5, layer_types=[
                                              "sliding_attention", "full_attention", "sliding_attention"]),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**NEOX, num_attention_heads=3),
    "gpt_neox-serial": lambda: hf.GPTNeoXConfig(**NEOX, num_attention_heads=6, use_parallel_residual=False,
                                                tie_word_embeddings=True, attention_bias=False),
    "mixtral": lambda: hf.MixtralConfig(**LLAMA, num_attention_heads=4, num_key_value_heads=2, num_local_experts=5,
                                        num_experts_per_tok=2),
    "qwen3_moe": lambda: hf.Qwen3MoeConfig(**LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=12,
                                           num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20,
                                           mlp_only_layers=[1], norm_topk_prob=True),
    "nanochat": lambda: hf.NanoChatConfig(**LLAMA, num_attention_heads=3, num_key_value_heads=3),
    "nanochat-grouped-uncapped": lambda: hf.NanoChatConfig(**LLAMA, num_attention_heads=6, num_key_value_heads=2,
                                                           final_logit_softcapping=None, tie_word_embeddings=True),
}  # fmt: skip


def noised(shape: str, folder) -> hf.PreTrainedModel:
    """transformers' model of a shape with N(0, 0.3) added to every weight, saved in a folder."""
    torch.manual_seed(1)
    config = SHAPES[shape]()
    theirs = hf.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(0.3 * torch.randn_like(p))
    theirs.save_pretrained(folder)
    return theirs


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference as a share of the largest logit."""
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.fixture(params=SHAPES)
def pair(request, tmp_path):
    theirs = noised(request.param, tmp_path / "theirs")
    return theirs, hub.load(tmp_path / "theirs"), tmp_path


@torch.inference_mode()
def test_logits_equal_theirs_whole_and_step_by_step(pair):
    theirs, ours, _ = pair
    ids = torch.randint(0, 97, (3, 20), generator=torch.Generator().manual_seed(2))
    want = theirs(ids).logits
    assert far(ours.model(ids), want) < 1e-4
    cache = Cache(ours.config, 3, 4)
    steps = [ours.model(part, cache=cache) for part in ids.split([7, 1, 1, 5, 6], 1)]
    assert far(torch.cat(steps, 1), want) < 1e-4


@torch.inference_mode()
def test_rows_of_unequal_length_equal_each_row_alone(pair):
    theirs, ours, _ = pair
    ids = torch.randint(0, 97, (3, 12), generator=torch.Generator().manual_seed(3))
    lengths, more = torch.tensor([12, 5, 8]), torch.tensor([[3], [4], [5]])
    cache = Cache(ours.config, 3, 12)
    got = [ours.model(ids, cache=cache, lengths=lengths, last=True), ours.model(more, cache=cache)[:, -1]]
    cache.reorder(torch.tensor([2, 0, 0, 1]))
    got.append(ours.model(more[[2, 0, 0, 1]], cache=cache)[:, -1])
    for row, n in enumerate(lengths.tolist()):
        text = torch.cat((ids[row : row + 1, :n], more[row : row + 1]), 1)
        want = theirs(text).logits[0]
        assert far(got[0][row], want[n - 1]) < 1e-4 and far(got[1][row], want[n]) < 1e-4
    for row, parent in enumerate([2, 0, 0, 1]):
        n = int(lengths[parent])
        text = torch.cat((ids[parent : parent + 1, :n], more[parent : parent + 1], more[parent : parent + 1]), 1)
        assert far(got[2][row], theirs(text).logits[0, -1]) < 1e-4


@torch.inference_mode()
def test_packed_documents_equal_each_document_alone(pair):
    theirs, ours, _ = pair
    ids = torch.randint(0, 97, (2, 18), generator=torch.Generator().manual_seed(4))
    documents = torch.tensor([[0] * 7 + [1] * 11, [0] * 4 + [1] * 4 + [2] * 10], dtype=torch.int32)
    packed = ours.model(ids, documents=documents)
    for row in range(2):
        for document in documents[row].unique():
            where = documents[row] == document
            assert far(packed[row, where], theirs(ids[row, where][None]).logits[0]) < 1e-4


@torch.inference_mode()
def test_padding_on_either_side_changes_nothing(pair):
    theirs, ours, _ = pair
    ids = torch.randint(0, 97, (3, 12), generator=torch.Generator().manual_seed(7))
    real = torch.arange(12) < torch.tensor([12, 5, 8])[:, None]
    right, left = ours.model(ids, mask=real), ours.model(ids.flip(1), mask=real.flip(1))
    for row, n in enumerate(real.sum(1).tolist()):
        assert far(right[row, :n], theirs(ids[row : row + 1, :n]).logits[0]) < 1e-4
        assert far(left[row, -n:], theirs(ids[row : row + 1, :n].flip(1)).logits[0]) < 1e-4


@pytest.mark.parametrize("beams", [1, 4])
@torch.inference_mode()
def test_generated_ids_equal_theirs(pair, beams):
    theirs, ours, _ = pair
    stop = Stop(ours.config.ends, 12)
    for prompt in ([5, 6, 7], [40], [3, 90, 11, 12, 13, 14, 15]):
        given = {"do_sample": False, "max_new_tokens": 12, "num_beams": beams, "pad_token_id": 1}
        want = theirs.generate(torch.tensor([prompt]), **given)[0, len(prompt) :].tolist()
        session = Session(ours.model, [prompt])
        search = greedy if beams == 1 else beam
        found = run(search.search(session.logits, lambda _, logits: logits, stop, search.Settings()), session)
        got = [token.id for token in found[0].tokens]
        assert got == want[: len(got)] and not set(want[len(got) :]) - {1}


HEADED = {
    "llama-grouped-biased": ("classify", "tag"), "qwen3": ("classify", "tag"), "mistral": ("classify",),
    "gemma2": ("classify", "tag"), "gpt2": ("classify", "tag"), "gpt_neox": ("classify", "tag", "span"),
    "mixtral": ("classify", "tag"), "qwen3_moe": ("classify",),
}  # fmt: skip


@pytest.mark.parametrize("shape, kind", [(shape, kind) for shape, kinds in HEADED.items() for kind in kinds])
@torch.inference_mode()
def test_heads_of_decoders_equal_theirs_and_open_again(shape, kind, tmp_path):
    config, auto = SHAPES[shape](), HEADS[kind]
    config.num_labels, config.pad_token_id = 2 if kind == "span" else 5, 1
    torch.manual_seed(1)
    theirs = auto.from_config(config).eval()
    for p in theirs.parameters():
        p.add_(0.3 * torch.randn_like(p))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = hub.load(tmp_path / "theirs")
    ids = torch.randint(2, 97, (3, 12), generator=torch.Generator().manual_seed(8))
    real = torch.arange(12) < torch.tensor([12, 5, 8])[:, None]
    ids = ids.masked_fill(~real, 1)
    got, want = ours.model(ids, mask=real), numbers(theirs(ids, attention_mask=real.long()))
    assert far(got, want) < 1e-4 if kind == "classify" else far(got[real], want[real]) < 1e-4
    hub.save(ours, tmp_path / "ours")
    again = auto.from_pretrained(tmp_path / "ours").eval()
    both = zip(theirs.state_dict().items(), again.state_dict().items(), strict=True)
    assert type(again) is type(theirs) and all(torch.equal(a, b) for (_, a), (_, b) in both)


def test_what_is_loaded_is_saved_bit_for_bit_and_opens_in_transformers(pair):
    theirs, ours, folder = pair
    hub.save(ours, folder / "ours")
    again = hf.AutoModelForCausalLM.from_pretrained(folder / "ours").eval()
    assert type(again) is type(theirs)
    for (name, a), (_, b) in zip(theirs.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    ids = torch.randint(0, 97, (2, 9), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        assert torch.equal(theirs(ids).logits, again(ids).logits)
    assert hub.read_config(folder / "ours") == ours.config


FAULTS = {
    "gpt2": lambda m: m.decoder.blocks[1].norm1.register_parameter("bias", torch.nn.Parameter(torch.zeros(48))),
    "llama": lambda m: setattr(m.decoder, "config", m.config.with_(rotary_theta=20000.0)),
    "qwen3": lambda m: setattr(m.decoder.blocks[0].attn, "qk_norm", "after"),
    "mistral-windowed": lambda m: setattr(m.decoder, "config", m.config.with_(window=6)),
    "qwen2": lambda m: m.decoder.blocks[1].attn.k.register_parameter("bias", torch.nn.Parameter(torch.zeros(24))),
    "gemma2": lambda m: setattr(m.decoder.blocks[1].attn, "cap", 30.0),
    "gemma3": lambda m: setattr(m.decoder, "config", m.config.with_(window_theta=None)),
    "gpt_neox": lambda m: setattr(m.decoder, "config", m.config.with_(rotary_share=0.5)),
    "mixtral": lambda m: setattr(m.decoder.blocks[0].ffn, "normalised", False),
    "qwen3_moe": lambda m: setattr(m.decoder.blocks[0].ffn, "used", 2),
    "nanochat": lambda m: setattr(m.decoder, "config", m.config.with_(rotary_sign=1)),
}


@pytest.mark.parametrize("shape", FAULTS)
@torch.inference_mode()
def test_a_planted_fault_is_seen(shape, tmp_path):
    theirs, ours = noised(shape, tmp_path), hub.load(tmp_path)
    ids = torch.randint(0, 97, (2, 20), generator=torch.Generator().manual_seed(6))
    FAULTS[shape](ours.model)
    assert far(ours.model(ids), theirs(ids).logits) > 1e-3


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"alibi": True}, "unknown key alibi"),
        ({"model_type": "mamba"}, "model_type is 'mamba'; upwell knows"),
        ({"hidden_act": "snake"}, "hidden_act is 'snake'"),
        ({"rope_parameters": {"rope_type": "spiral", "rope_theta": 1e4}}, "rope_type is 'spiral'"),
        ({"num_hidden_layers": 2}, "model.layers.2.input_layernorm.weight"),
        ({"num_hidden_layers": 4}, "model.layers.3.self_attn.q_proj.weight"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; expected at most 10000"),
        ({"intermediate_size": 72}, "decoder.blocks.0.ffn.gate.weight: the file has shape (80, 48)"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": "48"}, "hidden_size"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_name(changes, words, tmp_path):
    noised("llama", tmp_path)
    change_config(tmp_path, **changes)
    with pytest.raises(CheckpointError) as error:
        hub.load(tmp_path)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_truncated_weights_are_refused(tmp_path):
    noised("llama", tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        hub.load(tmp_path)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="without config.json"):
        hub.load(tmp_path)
    with pytest.raises(CheckpointError, match="no such folder"):
        hub.load(tmp_path / "absent")
