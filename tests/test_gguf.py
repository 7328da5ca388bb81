"""GGUF files become folders whose numbers and ids are those of the file."""

import json
import random
import struct

import numpy as np
import pytest
import torch

from tests import gguf_files
from upwell import gguf
from upwell.errors import CheckpointError, ServiceError
from upwell.model import hub
from upwell.tokens.tokenizer import Tokenizer

pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")

IDS = torch.tensor([[1, 40, 200, 77, 5, 5, 263, 9], [2, 3, 4, 100, 250, 31, 0, 8]])
TEXTS = [
    "the this 12345 is 3.14\n\n  x = [1,  2]\t# it's THE end",
    "床前明月光，疑是地上霜 ①②③ 2026年 café",
    "def f(x):\n    return x**2  # the 123 1 12\r\n",
]


def opened(path, folder, **options):
    folder.mkdir()
    gguf.convert(path, folder, **options)
    return hub.load(folder)


def difference(theirs, ours):
    with torch.inference_mode():
        expected, found = theirs(IDS).logits, ours.model(IDS)
    return ((expected - found).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_logits_are_those_of_the_dequantised_weights(tmp_path, kind):
    theirs = gguf_files.model()
    ours = opened(gguf_files.write(tmp_path / "a.gguf", theirs, kind), tmp_path / "a")
    assert difference(theirs, ours) < 1e-5
    assert ours.model.dtype == torch.float32 and ours.config.tied


@pytest.mark.parametrize(("kind", "size"), [("Q4_K", 144), ("Q6_K", 210)])
def test_kinds_that_the_package_reads_but_does_not_write_are_read(tmp_path, kind, size):
    import gguf as package

    number = package.GGMLQuantizationType[kind]
    theirs, blocks = gguf_files.model(width=256), np.random.default_rng(1).integers(0, 256, (256, size), dtype=np.uint8)
    scales = np.frombuffer(np.float16([0.002]).tobytes(), np.uint8)
    blocks[:, 0:2], blocks[:, 2:4], blocks[:, -2:] = scales, scales, scales
    with torch.no_grad():
        theirs.model.layers[1].self_attn.o_proj.weight.copy_(
            torch.from_numpy(np.array(package.quants.dequantize(blocks, number)))
        )
    path = gguf_files.write(tmp_path / "a.gguf", theirs, tensors={"blk.1.attn_output.weight": (blocks, number)})
    assert difference(theirs, opened(path, tmp_path / "a")) < 1e-5


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {"tie_word_embeddings": False, "num_key_value_heads": 4}),
        ("llama", {"num_attention_heads": 3, "num_key_value_heads": 1, "hidden_size": 96, "head_dim": 32}),
        ("llama", {"attention_bias": True}),
        ("qwen2", {}),
        ("qwen3", {"tie_word_embeddings": False, "head_dim": 32}),
    ],
)
def test_every_architecture_gives_transformers_logits(tmp_path, kind, changes):
    theirs = gguf_files.model(kind, **changes)
    path = gguf_files.write(tmp_path / "a.gguf", theirs, "Q8_0", pre="qwen2" if kind != "llama" else "smollm")
    ours = opened(path, tmp_path / "a")
    assert difference(theirs, ours) < 1e-5 and ours.config.tied == theirs.config.tie_word_embeddings


def test_rows_of_queries_in_the_wrong_order_would_be_seen(tmp_path, monkeypatch):
    theirs = gguf_files.model()
    monkeypatch.setattr(gguf, "halves_first", lambda values, heads: values)
    ours = opened(gguf_files.write(tmp_path / "a.gguf", theirs), tmp_path / "a")
    assert difference(theirs, ours) > 1e-2


def test_the_folder_opens_with_transformers_with_the_same_logits_ids_and_template(tmp_path):
    theirs = gguf_files.model()
    ours = opened(gguf_files.write(tmp_path / "a.gguf", theirs, "Q4_1"), tmp_path / "a")
    again = transformers.AutoModelForCausalLM.from_pretrained(str(tmp_path / "a")).eval()
    assert difference(again, ours) < 1e-5 and again.dtype == torch.float32
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "a"))
    assert [tokenizer(text)["input_ids"] for text in TEXTS] == [ours.tokenizer.encode(text) for text in TEXTS]
    assert (tokenizer.bos_token, tokenizer.eos_token_id, tokenizer.pad_token_id) == ("<|im_start|>", 2, 2)
    said = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert said == "<|im_start|>user\nHi<|im_end|>\n"
    assert tokenizer(said)["input_ids"].count(1) == 1  # special tokens of the file stay whole
    assert json.loads((tmp_path / "a/generation_config.json").read_text(encoding="utf-8"))["eos_token_id"] == [2]


def test_digits_are_cut_alone_where_the_file_says_smollm(tmp_path):
    opened(gguf_files.write(tmp_path / "a.gguf", gguf_files.model()), tmp_path / "a")
    opened(gguf_files.write(tmp_path / "b.gguf", gguf_files.model(), pre="gpt-2"), tmp_path / "b")
    tokens = gguf_files.vocabulary()
    alone, merged = (Tokenizer.load(tmp_path / name).encode("123 the") for name in "ab")
    assert [tokens[id] for id in alone] == ["1", "2", "3", "\u0120the"]
    assert [tokens[id] for id in merged] == ["123", "\u0120the"]


@pytest.mark.parametrize("pre", ["qwen2", "llama-bpe", "tekken"])
def test_text_is_cut_as_transformers_does_for_the_same_file(tmp_path, pre):
    path = gguf_files.write(tmp_path / "a.gguf", gguf_files.model(), pre=pre)
    opened(path, tmp_path / "a")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path), gguf_file="a.gguf")
    ours = Tokenizer.load(tmp_path / "a")
    for text in TEXTS:
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_a_sentencepiece_vocabulary_gives_transformers_ids_and_begins_texts(tmp_path):
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [2, 3, 3, *[6] * 256]
    words = "t h e i s n d th the \u2581the is \u2581is an and a 床"
    pieces = ["\u2581", *words.split()]
    tokens, kinds = tokens + pieces, kinds + [1] * len(pieces)
    scores = [0.0] * 259 + [-float(len(pieces) - n) for n in range(len(pieces))]
    facts = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default", "tokenizer.ggml.tokens": tokens,
             "tokenizer.ggml.token_type": kinds, "tokenizer.ggml.scores": scores,
             "tokenizer.ggml.merges": None}  # fmt: skip
    theirs = gguf_files.model(vocab_size=len(tokens))
    path = gguf_files.write(tmp_path / "a.gguf", theirs, facts=facts)
    ours = opened(path, tmp_path / "a").tokenizer
    peer = transformers.AutoTokenizer.from_pretrained(str(tmp_path), gguf_file="a.gguf")
    for text in ("the sand is this", "an island, the 床 and é", "and  the\nis"):
        assert ours.encode(text) == peer(text, add_special_tokens=False)["input_ids"]
        assert ours.decode(ours.encode(text)) == text
    begun = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "a"))("the")["input_ids"]
    assert begun == [1, *ours.encode("the")]


def test_the_filling_of_a_vocabulary_is_no_token_but_keeps_its_rows(tmp_path):
    theirs = gguf_files.model(vocab_size=len(gguf_files.vocabulary()) + 2)
    tokens = [*gguf_files.vocabulary(), "[PAD1]", "[PAD2]"]
    kinds = [3, 3, 3, *[1] * (len(tokens) - 5), 5, 5]
    facts = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds}
    ours = opened(gguf_files.write(tmp_path / "a.gguf", theirs, facts=facts), tmp_path / "a")
    assert ours.config.vocab == len(tokens) and ours.tokenizer.vocab_size == len(tokens) - 2


@pytest.mark.parametrize("kind", ["linear", "yarn", "llama3"])
def test_stretched_positions_are_those_of_transformers(tmp_path, kind):
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 8.0}
    facts, tensors = {"llama.rope.scaling.type": kind, "llama.rope.scaling.factor": 8.0}, None
    if kind == "yarn":
        rope["original_max_position_embeddings"] = facts["llama.rope.scaling.original_context_length"] = 64
    if kind == "llama3":
        rope |= {"original_max_position_embeddings": 8192, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    theirs = gguf_files.model(rope_parameters=rope, head_dim=64)
    if kind == "llama3":
        plain = 10000.0 ** -(np.arange(0, 64, 2) / 64)
        slower = plain / theirs.model.rotary_emb.inv_freq.double().numpy()
        assert slower.max() > 7.9
        facts, tensors = {}, {gguf.STRETCH: (slower.astype(np.float32), None)}
    ours = opened(gguf_files.write(tmp_path / "a.gguf", theirs, facts=facts, tensors=tensors), tmp_path / "a")
    assert difference(theirs, ours) < 1e-5 and ours.config.rotary_scaling.kind == kind


def test_a_window_makes_a_mistral(tmp_path):
    theirs = gguf_files.model("mistral", sliding_window=4)
    path = gguf_files.write(tmp_path / "a.gguf", theirs, facts={"llama.attention.sliding_window": 4})
    ours = opened(path, tmp_path / "a")
    assert difference(theirs, ours) < 1e-5 and ours.config.kind == "mistral"


REFUSED = {
    "an unknown architecture": ({"architecture": "falcon"}, "its architecture is 'falcon'.*llama, qwen2, qwen3"),
    "an unknown fact": ({"facts": {"llama.attention.warp": 3}}, "unknown fact llama.attention.warp.*--allow-key"),
    "a mixture": ({"facts": {"llama.expert_count": 8}}, "a mixture of experts"),
    "a part": ({"facts": {"split.count": 3}}, "one of 3 parts"),
    "an unknown scaling": ({"facts": {"llama.rope.scaling.type": "spiral"}}, "'spiral'; upwell reads none, linear"),
    "a missing fact": ({"facts": {"llama.block_count": None}}, "llama.block_count is missing"),
    "a fact of a wrong kind": ({"facts": {"llama.block_count": "two"}}, "llama.block_count is two; expected int"),
    "half a head turning": ({"facts": {"llama.rope.dimension_count": 8}}, "is 8, but keys have 16"),
    "unknown borders": ({"pre": "klingon"}, "cut by the rules 'klingon'"),
    "an unknown tokenizer": ({"facts": {"tokenizer.ggml.model": "bert"}}, "of the kind 'bert'"),
    "no tokens": ({"facts": {"tokenizer.ggml.tokens": None}}, "no list of tokens"),
    "too few kinds": ({"facts": {"tokenizer.ggml.token_type": [1, 1]}}, "not as many kinds"),
    "a token twice": ({"facts": {"tokenizer.ggml.tokens": ["a"] * 267}}, "a token stands there twice"),
    "kinds that are none": ({"facts": {"tokenizer.ggml.token_type": 3}}, "not as many kinds"),
    "no scores": ({"facts": {"tokenizer.ggml.model": "llama"}}, "not as many scores"),
    "parts that are none": ({"facts": {"split.count": "three"}}, "one of three parts"),
    "no numbers": ({"tensors": {"output_norm.weight": (np.full(64, np.nan, np.float32), None)}}, "that are none"),
    "an empty tensor": ({"tensors": {"blk.0.x.weight": (np.zeros((2, 0), np.float32), None)}}, "has the shape"),
    "too many blocks": ({"facts": {"llama.block_count": 2**31}}, "2147483648 blocks, but 20 tensors"),
    "merges of nothing": ({"facts": {"tokenizer.ggml.merges": ["zz yy"]}}, "its tokenizer cannot be made"),
    "an end outside": ({"facts": {"tokenizer.ggml.eos_token_id": 9999}}, "the eos token has the id 9999"),
    "a missing tensor": ({"tensors": {"blk.1.ffn_up.weight": None}}, "missing from the file: model.layers.1.mlp.up"),
    "an unknown tensor": ({"tensors": {"blk.0.warp.weight": (np.zeros(4, np.float32), None)}}, "unknown: blk.0.warp"),
    "foreign stretching": ({"tensors": {gguf.STRETCH: (np.float32([1, 2, 9, 3, 1, 1, 1, 1]), None)}}, "other numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name(tmp_path, name):
    changes, sentence = REFUSED[name]
    path = gguf_files.write(tmp_path / "a.gguf", gguf_files.model(), **changes)
    with pytest.raises(CheckpointError, match=sentence):
        opened(path, tmp_path / "a")


def test_an_unknown_fact_passes_with_its_flag(tmp_path):
    theirs = gguf_files.model()
    path = gguf_files.write(tmp_path / "a.gguf", theirs, facts={"llama.attention.warp": 3})
    assert difference(theirs, opened(path, tmp_path / "a", allow=("llama.attention.warp",))) < 1e-5


def test_a_damaged_file_is_one_sentence_wherever_it_ends(tmp_path):
    whole = gguf_files.write(tmp_path / "a.gguf", gguf_files.model(), "Q4_1").read_bytes()
    for share in (0.0001, 0.001, 0.01, 0.05, 0.1, 0.3, 0.9, 0.9999):
        (tmp_path / "cut.gguf").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(CheckpointError, match="cut.gguf: (not a whole GGUF file|found no GGUF file)"):
            gguf.convert(tmp_path / "cut.gguf", tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a whole GGUF file"),
        (b"PK\x03\x04 something else", "found no GGUF file"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(64), "version is 1"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(64), "little-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60), "ends too early"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63) + b"name", "ends too early"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 4, 2**61), "ends too early"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 9, 2**61), "not a whole GGUF file"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<I", 77), "not a whole GGUF file"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"\xff" + struct.pack("<II", 4, 1), "not a whole GGUF file"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"a" + struct.pack("<IQIQ", 1, 2**50, 0, 0), "it ends before a"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"a" + struct.pack("<IQIQ", 1, 32, 999, 0), "kind 999"),
    ],
)  # fmt: skip
def test_lying_numbers_end_in_a_sentence_and_not_in_memory(tmp_path, content, sentence):
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        gguf.convert(tmp_path / "a.gguf", tmp_path)


@pytest.mark.filterwarnings("ignore:invalid value")  # numpy's, about numbers that are none
def test_whatever_byte_is_wrong_the_answer_is_a_model_or_a_sentence(tmp_path):
    theirs = gguf_files.model(width=32)
    whole = gguf_files.write(tmp_path / "a.gguf", theirs, "Q4_1").read_bytes()
    head = len(whole) - sum(tensor.size for tensor in gguf.File(tmp_path / "a.gguf").tensors.values())
    chance, refused = random.Random(1), 0
    for _ in range(150):
        wrong = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 5))):
            wrong[chance.randrange(head)] = chance.choice((0, 255, chance.randrange(256)))
        (tmp_path / "wrong.gguf").write_bytes(wrong)
        try:
            gguf.convert(tmp_path / "wrong.gguf", tmp_path)
        except CheckpointError:
            refused += 1
    assert refused > 30


def test_without_the_package_the_sentence_names_it(tmp_path, monkeypatch):
    import importlib

    path = gguf_files.write(tmp_path / "a.gguf", gguf_files.model())

    def gone(name):
        raise ImportError("No module named 'gguf'")

    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(ServiceError, match="pip install gguf"):
        gguf.File(path)
