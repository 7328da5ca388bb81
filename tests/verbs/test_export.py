"""`upwell export`: what is written is opened again by its own reader, and a planted fault is found."""

import json

import pytest
import torch
import transformers

from upwell import export, to_gguf
from upwell.cli import main
from upwell.errors import CheckpointError
from upwell.model import hub, lora, preset, quantize
from upwell.model.lora_settings import Lora
from upwell.model.sizes import Sizes
from upwell.tokens import from_gguf
from upwell.tokens.tokenizer import Tokenizer, train

TEXT = ["The river was long and it's 1998 now, x = 12345.", "Straße 東京 naïve? [x]", "the sea and the river"] * 9


@pytest.fixture(scope="module")
def tokenizer():
    """A home-made one whose rules of cutting have a name in GGUF."""
    own = train(TEXT, 400)
    made = json.loads(own.definition)
    made["pre_tokenizer"] = json.loads(from_gguf.splitter("llama-bpe").__getstate__())
    return Tokenizer(json.dumps(made), own.beside, "<|endoftext|>")


def saved(family, tokenizer, folder, **sizes):
    """A folder of a small noised model."""
    wanted = {"width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "ffn_width": 96} | sizes
    config = preset.config(Sizes(family, **wanted), tokenizer.vocab_size, 64, tokenizer.end)
    model, generator = preset.create(config, 1).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.empty(p.shape).normal_(generator=generator))
    return hub.save(hub.Checkpoint(model, tokenizer, config), folder)


@pytest.mark.parametrize("family", ["nanochat", "llama"])
def test_a_hugging_face_folder_is_checked_by_transformers(family, tokenizer, tmp_path, capsys):
    folder = saved(family, tokenizer, tmp_path / "mine")
    assert main(["export", str(folder), "--to", "hf", "--out", str(tmp_path / "out"), "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert "gives the same numbers" in checks[0] and checks[1] == "AutoTokenizer gives the same ids"


def test_a_rounded_folder_is_exported_in_float(tokenizer, tmp_path):
    model = hub.load(saved("llama", tokenizer, tmp_path / "mine")).model
    small = quantize.quantize(model, quantize.Scheme(4))
    hub.save(hub.Checkpoint(small, tokenizer, small.config), tmp_path / "small")
    export.hf(tmp_path / "small", tmp_path / "out")
    ids = export.sample(small.config)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "out")(ids).logits
    assert export.compare(quantize.plainly(small)(ids), theirs, "transformers") < 1e-5


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_a_rounded_folder_is_checked_by_transformers(weights, tokenizer, tmp_path, capsys):
    pytest.importorskip("compressed_tensors")
    folder = saved("llama", tokenizer, tmp_path / "mine")
    assert main(["export", str(folder), "--to", "hf", "--weights", weights, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["out"].endswith(f"mine-{weights}") and "gives the same numbers" in found["checks"][0]
    assert isinstance(hub.load(found["out"]).model, quantize.Quantized)


def test_a_planted_fault_is_an_error_with_its_size(tokenizer, tmp_path, monkeypatch):
    folder = saved("llama", tokenizer, tmp_path / "mine")
    right = hub.to_theirs

    def wrong(model):
        found = right(model)
        found["model.layers.0.self_attn.q_proj.weight"] = found["model.layers.0.self_attn.q_proj.weight"].flip(0)
        return found

    monkeypatch.setattr(to_gguf, "side_by_side", lambda values, heads: values)
    with pytest.raises(CheckpointError, match=r"differ by \d\.\d\de"):
        export.gguf(folder, tmp_path / "out.gguf", "f32")
    original = hub.load(folder)
    with pytest.raises(CheckpointError, match=r"transformers gives other numbers: they differ by"):
        monkeypatch.setattr(hub, "to_theirs", wrong)
        hub.save(original, tmp_path / "out")
        theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "out").eval()
        export.compare(export.ours_of(original.model), export.theirs_of(theirs, original.config), "transformers")


@pytest.mark.parametrize("kind", ["f32", "f16", "q8_0", "q4_1"])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_gguf_file_is_read_again_with_the_same_numbers(family, kind, tokenizer, tmp_path, capsys):
    folder = saved(family, tokenizer, tmp_path / "mine", tied=family == "qwen3")
    out = tmp_path / "mine.gguf"
    assert main(["export", str(folder), "--to", "gguf", "--kind", kind, "--out", str(out), "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert "read again" in checks[0] and checks[1] == "its tokenizer gives the same ids" and "llama" in checks[2]


def test_transformers_reads_the_gguf_file_too(tokenizer, tmp_path):
    folder = saved("llama", tokenizer, tmp_path / "mine")
    export.gguf(folder, tmp_path / "mine.gguf", "f32")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="mine.gguf").eval()
    model = hub.load(folder).model
    assert export.compare(export.ours_of(model), export.theirs_of(theirs, model.config), "transformers") < 1e-4


def test_rules_of_cutting_without_a_name_are_refused_with_the_nearest(tmp_path):
    own = train(TEXT, 400)
    folder = saved("llama", own, tmp_path / "mine")
    with pytest.raises(CheckpointError, match=r"no name for.*--cut [\w-]+ accepts"):
        export.gguf(folder, tmp_path / "out.gguf")
    done = export.gguf(folder, tmp_path / "out.gguf", cut="llama-bpe")
    assert any("may differ" in line for line in done)


def test_a_family_without_a_place_in_gguf_is_refused_by_name(tokenizer, tmp_path, capsys):
    folder = saved("nanochat", tokenizer, tmp_path / "mine")
    assert main(["export", str(folder), "--to", "gguf"]) == 2
    assert "nanochat" in capsys.readouterr().err and not (tmp_path / "mine-f16.gguf").exists()


def test_an_adapter_is_checked_by_peft(tokenizer, tmp_path, capsys):
    pytest.importorskip("peft")
    folder = saved("gpt2", tokenizer, tmp_path / "mine", kv_heads=0)
    model = lora.wrap(hub.load(folder).model, Lora(("attn.q", "ffn.up"), rank=4))
    for part in lora.adapters(model).values():
        part.b.data.normal_(std=0.1)
    lora.save(model, tmp_path / "adapter")
    words = ["export", str(tmp_path / "adapter"), "--to", "peft", "--out", str(tmp_path / "out"), "--json"]
    assert main([*words, "--base", str(folder)]) == 0
    assert "PEFT over GPT2LMHeadModel gives the same numbers" in json.loads(capsys.readouterr().out)["checks"][0]
    assert main(["export", str(tmp_path / "adapter"), "--to", "peft"]) == 2


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3", "t5", "bart"])
def test_a_folder_for_ctranslate2_is_converted_and_compared(family, tokenizer, tmp_path):
    pytest.importorskip("ctranslate2")
    folder = saved(family, tokenizer, tmp_path / "mine", kv_heads=2 if family in ("llama", "qwen3") else 0)
    done = export.ctranslate2_ready(folder, tmp_path / "out")
    assert done[-1] == "CTranslate2 writes the same 32 greedy tokens"


def test_what_could_not_be_checked_is_said(tokenizer, tmp_path, monkeypatch):
    folder = saved("llama", tokenizer, tmp_path / "mine")
    monkeypatch.setattr(export, "missing", lambda package: True)
    assert export.hf(folder, tmp_path / "out") == ["not checked: transformers is not installed"]
    assert "not checked: llama-cpp-python is not installed" in export.gguf(folder, tmp_path / "out.gguf")
