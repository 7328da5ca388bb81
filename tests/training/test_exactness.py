"""Loss and gradients of a step are the same however it is computed: in micro-batches, by the fused or the plain kernel,
packed or each text alone with padding; float64 to 1e-10, float32 to 1e-5. Several processes: test_parallel."""

import pytest
import torch
from torch.nn import functional as F

from tests.objectives import corpora, test_learning
from upwell import plugs
from upwell.model import preset
from upwell.model.sizes import Sizes
from upwell.objectives import _entropy, causal, denoise, distil, masked, masked_next
from upwell.tokens.batches import Batch
from upwell.training import loop
from upwell.training.parallel import Alone
from upwell.training.settings import Settings
from upwell.training.state import State

ROWS, CONTEXT, IGNORE = 8, 48, -100
NEAR = {torch.float64: 1e-10, torch.float32: 1e-5}
PLAIN = {
    "causal": ("causal", corpora.bpe, "gpt2", causal.Settings(smoothing=0.1)),
    "whole documents, gaps": ("causal", corpora.bpe, "llama", causal.Settings(packing="fit", middle=0.5)),
    "masked": ("masked", corpora.wordpiece, "modernbert", masked.Settings()),
    "masked_next": ("masked_next", corpora.wordpiece, "bert", masked_next.Settings()),
    "spans": ("denoise", corpora.unigram, "t5", denoise.Settings()),
    "infill": ("denoise", corpora.unigram, "bart", denoise.Settings(kind="infill", smoothing=0.1)),
}
EVERY = [*PLAIN, *test_learning.ASKED]


class Task:
    """An objective, its settings and a sampler, with the config of a small model that learns it."""

    def __init__(self, name, folder):
        self.folder = folder
        if name not in PLAIN:
            self.part, self.settings = test_learning.begun(name, folder)
            self.room, self.config = plugs.find("objectives", name), self.part.config
        else:
            objective, make, family, self.settings = PLAIN[name]
            tokenizer, self.room = make(), plugs.find("objectives", objective)
            written = corpora.code(20) + corpora.texts(40) + [text[:40] for text in corpora.texts(80, 3)]
            part = corpora.part(folder / "s", tokenizer, written, CONTEXT, kind="code")
            config = preset.config(Sizes(family, 32, 2, 2), tokenizer.vocab_size, 2 * CONTEXT, tokenizer.end)
            self.config = self.room.fitted(config, part, self.settings)
            self.part = part._replace(config=self.config)
        self.batch = self.room.samples(self.part, ROWS, 1, self.settings).batch(0, ROWS)

    def model(self, dtype):
        """Random weights, none of them 0."""
        made, g = preset.create(self.config, 3), torch.Generator().manual_seed(4)
        with torch.no_grad():
            for p in made.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=g))
        return made.to(dtype)

    def step(self, dtype, batch=None, micro_rows=0):
        """(loss, gradients by name) of one step of the loop."""
        batch = self.batch if batch is None else batch
        model, room = self.model(dtype), self.room
        if room is distil:
            room = distil.begun(model, self.settings)
            room.teacher.to(dtype)
        s = Settings(rows=len(batch[0]), micro_rows=micro_rows, compile="off", clip=0.0)
        done = loop.Pass(State(model, []), room, self.settings, s, torch.float32, Alone())(batch, seed=1)
        return done.loss, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def same(one, other, near):
    """Losses and gradients agree, relative to the largest number of each gradient."""
    assert one[0] == pytest.approx(other[0], rel=near) and one[1].keys() == other[1].keys()
    largest = max(slope.abs().max() for slope in other[1].values())
    for name, slope in other[1].items():
        scale = max(slope.abs().max(), largest / 100)  # some, such as biases of keys, are 0 but for rounding
        assert (one[1][name] - slope).abs().max() <= near * scale, name


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Tasks by name, each made once."""
    made = {}

    def task(name):
        if name not in made:
            made[name] = Task(name, tmp_path_factory.mktemp("task"))
        return made[name]

    return task


@pytest.mark.parametrize("dtype", NEAR, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_micro_batches_change_neither_loss_nor_gradients(name, dtype, tasks):
    whole = tasks(name).step(dtype)
    for rows in (1, 4):
        same(tasks(name).step(dtype, micro_rows=rows), whole, NEAR[dtype])


def plainly(hidden, weight, targets, cap=None, bias=None, smoothing=0.0):
    """What _entropy.summed computes, by torch's own on all logits at once."""
    z = F.linear(hidden, weight, bias).flatten(0, -2)
    z = cap * torch.tanh(z / cap) if cap else z
    return F.cross_entropy(z, targets.flatten(), ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing)


@pytest.mark.parametrize("dtype", NEAR, ids=str)
@pytest.mark.parametrize("name", [name for name in EVERY if name in PLAIN or name in ("pairs", "instruct")])
def test_the_fused_kernel_in_small_pieces_is_the_plain_one(name, dtype, tasks, monkeypatch):
    task = tasks(name)
    monkeypatch.setattr(_entropy, "PIECE", 5 * task.config.vocab)
    fused = task.step(dtype)
    monkeypatch.setattr(_entropy, "summed", plainly)
    same(fused, task.step(dtype), NEAR[dtype])


# ---- packed rows, and each text alone with padding behind it ----


def filled(rows, empty):
    """Rows of unequal length as one matrix."""
    wide = max(map(len, rows)) + 3
    return torch.stack([F.pad(row, (0, wide - len(row)), value=empty) for row in rows])


def texts(batch):
    """(row, which of its places) of each text of a packed batch."""
    for row, documents in enumerate(batch.documents):
        for number in documents.unique().tolist():
            yield row, documents == number


def alone_of_words(batch):
    """Each text of rows of next tokens in a row of its own."""
    some = list(texts(batch))
    ids, targets = (filled([t[row][own] for row, own in some], empty)
                    for t, empty in ((batch.ids, 0), (batch.targets, IGNORE)))  # fmt: skip
    lengths = torch.tensor([int(own.sum()) for _, own in some])
    return Batch(ids, targets, (torch.arange(ids.shape[1]) >= lengths[:, None]).int())


def alone_of_masks(batch):
    """Each text of rows with masks, in a row of its own; of pairs with the answer of each."""
    some = list(texts(batch))
    fields = {"ids": filled([batch.ids[row][own] for row, own in some], 0)}
    lengths = torch.tensor([int(own.sum()) for _, own in some])
    fields["documents"] = (torch.arange(fields["ids"].shape[1]) >= lengths[:, None]).int()
    places, targets, answers = [], [], []
    for row, own in some:
        inside = own[batch.places[row]] & (batch.targets[row] != IGNORE)
        places.append(own.long().cumsum(0)[batch.places[row][inside]] - 1)
        targets.append(batch.targets[row][inside])
        if "answers" in batch._fields:
            here = own[batch.firsts[row]] & (batch.answers[row] != IGNORE)
            answers.append(batch.answers[row][here])
    fields |= {"places": filled(places, 0), "targets": filled(targets, IGNORE), "real": lengths}
    if answers:
        fields["types"] = filled([batch.types[row][own] for row, own in some], 0)
        fields |= {"answers": filled(answers, IGNORE), "firsts": torch.zeros_like(filled(answers, 0))}
    return type(batch)(**fields)


def alone_of_damage(batch):
    """Each damaged text, with what is to be written, in a row of its own."""
    parts = []
    for row in range(len(batch.ids)):
        for number in range(int(batch.source_documents[row].max()) + 1):
            read, own = batch.source_documents[row] == number, batch.documents[row] == number
            own = own & (batch.targets[row] != IGNORE)
            parts.append((batch.source[row][read], batch.ids[row][own], batch.targets[row][own]))
    sources, ids, targets = zip(*parts, strict=True)
    source, real = filled(sources, 0), torch.tensor([len(one) for one in sources])
    beside = torch.where(torch.arange(source.shape[1]) < real[:, None], 0, -1).int()
    words = filled(ids, 0)
    return denoise.Batch(source, beside, words, torch.zeros_like(words).int(), filled(targets, IGNORE), real)


@pytest.mark.parametrize("dtype", NEAR, ids=str)
@pytest.mark.parametrize("name", [*PLAIN, "instruct"])
def test_packed_texts_have_the_loss_and_gradients_of_each_alone_with_padding(name, dtype, tasks):
    task = tasks(name)
    alone = {"masked": alone_of_masks, "masked_next": alone_of_masks, "spans": alone_of_damage,
             "infill": alone_of_damage}.get(name, alone_of_words)(task.batch)  # fmt: skip
    assert len(alone.ids) > ROWS
    assert task.room.counts(alone, task.settings) == task.room.counts(task.batch, task.settings)
    same(task.step(dtype, alone), task.step(dtype), NEAR[dtype])


def test_a_fault_would_be_seen(tasks, monkeypatch):
    task = tasks("masked")
    right, real = task.step(torch.float64), _entropy.summed
    monkeypatch.setattr(_entropy, "summed", lambda *given: real(*given) * (1 + 1e-8))
    with pytest.raises(AssertionError):
        same(task.step(torch.float64), right, 1e-10)
