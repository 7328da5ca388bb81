"""Small texts in English, Chinese and code, tokenizers learnt from them, and stores of their tokens."""

import random

import numpy as np
import torch

from upwell.objectives import Part
from upwell.text import Document
from upwell.tokens import kinds
from upwell.tokens.markers import MIDDLE
from upwell.tokens.store import Store, write

ENGLISH = "river sea mountain water stone bridge village morning winter summer bird window garden letter".split()
DOES = "sees carries follows remembers covers crosses answers builds".split()
CHINESE = ["北京大学", "图书馆", "学生", "今天", "天气", "我们", "喜欢", "学习", "历史", "数学", "老师", "城市"]
SENTINELS = tuple(f"<extra_id_{number}>" for number in range(100))


def texts(count: int = 300, seed: int = 1) -> list[str]:
    """Documents of 1 to 12 sentences, every third one Chinese."""
    draw = random.Random(seed)
    return [text(draw, number % 3 == 2, draw.randint(1, 12)) for number in range(count)]


def text(draw: random.Random, chinese: bool, sentences: int) -> str:
    if chinese:
        return "".join("".join(draw.choices(CHINESE, k=draw.randint(3, 7))) + "。" for _ in range(sentences))
    return " ".join(f"The {draw.choice(ENGLISH)} {draw.choice(DOES)} {draw.randint(1, 999)} unforgettable "
                    f"{draw.choice(ENGLISH)}s{draw.choice('.!?')}" for _ in range(sentences))  # fmt: skip


def code(count: int = 60, seed: int = 2) -> list[str]:
    """Small functions."""
    draw = random.Random(seed)
    line = "    {} = {} + {}  # the {}\n"
    return [f"def {draw.choice(ENGLISH)}({draw.choice(ENGLISH)}):\n" + "".join(
        line.format(*draw.choices(ENGLISH, k=4)) for _ in range(draw.randint(2, 9))) for _ in range(count)]  # fmt: skip


def wordpiece(vocab_size: int = 260):
    """BERT's kind, so small that many words are several pieces."""
    return kinds.train(texts(), kinds.Wanted(vocab_size, "wordpiece"))


def unigram():
    """With sentinels and a mask."""
    return kinds.train(texts(), kinds.Wanted(600, "unigram", special=(*SENTINELS, "<mask>")))


def bpe(special: tuple[str, ...] = MIDDLE):
    """With the signs of a gap."""
    return kinds.train([*texts(), *code()], kinds.Wanted(500, "bpe", special=special))


def part(folder, tokenizer, written: list[str], context: int, kind: str = "prose", **more) -> Part:
    """These texts as a Part."""
    ids = tokenizer.encode_batch(written)
    size = sum(len(text.encode()) for text in written)
    write(folder, ids, tokenizer.vocab_size, tokenizer.end, size, tokenizer.hash)
    documents = [Document(text, f"a:{number}", kind=kind) for number, text in enumerate(written)]
    return Part(Store(folder), lambda: iter(documents), tokenizer, context=context, **more)


def same(a, b) -> bool:
    """Whether two batches are equal, tensor by tensor."""
    return type(a) is type(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def one_by_one(sampler, numbers) -> list[list[np.ndarray]]:
    """Each sample asked for alone."""
    return [[tensor[0].numpy() for tensor in sampler.samples(np.array([number]))] for number in numbers]


def pure(make, epochs: int = 2) -> None:
    """Assert that samples are a function of (seed, number) alone, in any order and company, and new in each epoch."""
    sampler, count = make(5), make(5).samples_per_epoch
    numbers = np.random.default_rng(0).permutation(epochs * count)[:40]
    together = sampler.samples(numbers)
    for row, number in enumerate(numbers.tolist()):
        alone = make(5).samples(np.array([number])) if row < 3 else sampler.samples(np.array([number]))
        assert all(torch.equal(a[0], b[row]) for a, b in zip(alone, together, strict=True))
    assert same(sampler.batch(7, 9), sampler.samples(np.arange(7, 16)))
    assert not same(make(5).batch(0, 8), make(6).batch(0, 8))
    assert not same(sampler.batch(0, min(8, count)), sampler.batch(count, min(8, count)))


def bert(vocab: int, context: int, kind: str = "BertForMaskedLM", seed: int = 3):
    """A small BERT of float64 with random weights, dropout off."""
    from upwell.model import hub, preset

    config = hub.config_of({
        "model_type": "bert", "architectures": [kind], "vocab_size": vocab, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": context,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3,
    })  # fmt: skip
    return filled(preset.create(config, seed), seed)


def filled(model, seed: int):
    """The model in float64 with random biases too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return model.double().eval()
