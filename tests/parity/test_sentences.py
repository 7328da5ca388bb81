"""Folders that sentence-transformers wrote declare their own pooling, and ours open there."""

import pytest
import torch

from upwell.model import hub

transformers = pytest.importorskip("transformers")
peer = pytest.importorskip("sentence_transformers")
pytestmark = pytest.mark.slow  # its import alone takes seconds

TEXTS = ["the river", "the river flows to the sea", "a", "sea sea river to"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "river", "flows", "to", "sea", "a"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A small random BERT with its tokenizer."""
    folder = tmp_path_factory.mktemp("bert")
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(1)
    model = transformers.BertModel(config).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor += 0.3 * torch.randn_like(tensor)
    model.save_pretrained(str(folder))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    transformers.BertTokenizer(vocab={word: id for id, word in enumerate(WORDS)}).save_pretrained(str(folder))
    return folder


def steps(bert, pool, unit):
    from sentence_transformers.sentence_transformer import modules as models

    reader = models.Transformer(str(bert))
    return [reader, models.Pooling(32, pooling_mode=pool), *([models.Normalize()] if unit else [])]


def vectors(folder):
    batch = transformers.AutoTokenizer.from_pretrained(str(folder))(TEXTS, padding=True, return_tensors="pt")
    checkpoint = hub.load(folder)
    with torch.inference_mode():
        return checkpoint, checkpoint.model(batch["input_ids"], mask=batch["attention_mask"].bool())


@pytest.mark.parametrize(
    ("pool", "unit"),
    [("cls", True), ("mean", False), ("mean", True), ("max", False), ("lasttoken", True)],
    ids=["as bge", "as e5", "as minilm", "max", "last"],
)
def test_the_vectors_are_those_of_the_declared_pooling_and_open_again(bert, tmp_path, pool, unit):
    theirs = peer.SentenceTransformer(modules=steps(bert, pool, unit), device="cpu")
    theirs.save_pretrained(str(tmp_path / "theirs"))
    expected = torch.tensor(theirs.encode(TEXTS))
    checkpoint, found = vectors(tmp_path / "theirs")
    assert found.shape == (4, 32) and (found - expected).abs().max() < 1e-5
    hub.save(checkpoint, tmp_path / "ours")
    again = peer.SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert (torch.tensor(again.encode(TEXTS)) - expected).abs().max() < 1e-5
