"""A tiny model and a tokenizer for three scripts."""

import pytest
import torch

from tests.generation.tiny import tiny_model
from upwell.generation.backend import Local
from upwell.generation.engine import Engine
from upwell.model.hub import Checkpoint
from upwell.tokens.tokenizer import train

TEXTS = ["The river flows to the sea, and the sea is wide.", "你好，世界。春眠不觉晓。", "Smiles 😀😃, 👩‍👧 too."]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer():
    return train(TEXTS * 10, 300)


@pytest.fixture(scope="session")
def model(tokenizer):
    return tiny_model(tokenizer.vocab_size)


@pytest.fixture(scope="session")
def checkpoint(model, tokenizer):
    return Checkpoint(model, tokenizer, model.config, None)


@pytest.fixture
def local(checkpoint):
    backend = Local(checkpoint, rows=16)
    yield backend
    backend.close()


@pytest.fixture
def engine(gate):
    """An engine over the file's own gate, which is a model that waits until it is let through."""
    engine = Engine(gate, rows=16, waiting=40)
    yield engine
    gate.open.set()
    engine.close()
    assert not engine.alive
