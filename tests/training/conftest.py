"""A small prepared folder and a small model to train on it."""

import pytest
import torch

from upwell.model import preset
from upwell.model.sizes import Sizes
from upwell.tokens import store, tokenizer
from upwell.tokens.batches import Packed

WORDS = "the river runs under old bridges and past quiet mills where grey herons wait for silver fish at dawn".split()


def texts(count: int) -> list[str]:
    """Made-up documents of 20 to 60 words."""
    generator = torch.Generator().manual_seed(7)
    lengths = torch.randint(20, 60, (count,), generator=generator).tolist()
    return [" ".join(WORDS[i] for i in torch.randint(len(WORDS), (n,), generator=generator)) for n in lengths]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder as `upwell prepare` leaves it."""
    folder = tmp_path_factory.mktemp("prepared")
    documents = texts(240)
    tok = tokenizer.train(documents, 300)
    tok.save(folder)
    for name, part in (("train", documents[:200]), ("heldout", documents[200:])):
        size = sum(len(text.encode()) for text in part)
        store.write(folder / name, tok.encode_batch(part), tok.vocab_size, tok.end, size, tok.hash)
    return folder


@pytest.fixture
def packed(prepared):
    return Packed(store.Store(prepared / "train"), 32, seed=3)


@pytest.fixture
def model():
    config = preset.config(Sizes(width=32, layers=2, heads=2), 300, 32, 0)
    return preset.create(config, seed=5)
