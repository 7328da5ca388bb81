"""A student from a teacher: the three terms are the hand calculation, and what cannot be compared is refused."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tests.objectives import given
from upwell.errors import CheckpointError, SettingsError
from upwell.model import hub
from upwell.objectives import distil

PLAIN = [{"text": text} for text in given.TEXTS[:4]]
PAIRS = [{"en": "The sea is wide.", "zh": "海很宽。"}, {"en": "A fine day.", "zh": "今天天气很好。"}]


def ready(folder, base, records=None, **settings):
    """(student, objective, sampler, settings, teacher) of a base."""
    tokenizer = {"causal": given.bytes_with_chat, "masked": given.wordpiece, "pairs": given.unigram}[base]()
    make = {"causal": given.decoder, "masked": given.encoder, "pairs": given.both}[base]
    config = make(tokenizer.vocab_size)
    wide = make(tokenizer.vocab_size, layers=4, width=24) if base != "pairs" else config
    teacher = given.model(wide, seed=5)
    hub.save(hub.Checkpoint(teacher, tokenizer, teacher.config), folder / "teacher")
    chosen = distil.Settings(teacher=folder / "teacher", base=base, **settings)
    part = given.part(folder / "s", records or (PAIRS if base == "pairs" else PLAIN), tokenizer, context=32)
    part = part._replace(config=distil.fitted(config, part, chosen))
    student = given.model(part.config, seed=1)
    return student, distil.begun(student, chosen), distil.samples(part, 2, 0, chosen), chosen, teacher


def logits_at(model, batch):
    """Logits of a model at every place that a batch asks for, by the model's own way out."""
    given_too = {name: getattr(batch, name) for name in distil.READ if name in batch._fields}
    logits = model(batch.ids, **given_too)
    if "places" in batch._fields:
        logits = logits.gather(1, batch.places[..., None].expand(-1, -1, logits.shape[-1]))
    return logits[batch.targets != -100]


@pytest.mark.parametrize("base", ["causal", "masked", "pairs"])
def test_soft_and_hard_terms_are_the_hand_calculation(base, tmp_path):
    student, objective, sampler, settings, teacher = ready(tmp_path, base, temperature=3.0, soft=0.7, hard=0.2)
    batch = next(iter(sampler.whole(2)))
    found, targets = objective.loss(student, batch, settings), batch.targets[batch.targets != -100]
    ours, theirs = logits_at(student, batch), logits_at(teacher, batch)
    share, mine = F.softmax(theirs / 3, -1), F.softmax(ours / 3, -1)
    soft = 9 * (share * (share / mine).log()).sum()
    hard = -F.log_softmax(ours, -1).gather(1, targets[:, None]).sum()
    assert torch.allclose(found, torch.stack([0.7 * soft, 0.2 * hard, found.new_zeros(())]), rtol=1e-10)
    assert objective.counts(batch, settings) == (len(targets),) * 3


@pytest.mark.parametrize("distance", ["cosine", "mse"])
@pytest.mark.parametrize("base", ["causal", "masked"])
def test_the_hidden_term_is_the_distance_of_mapped_layers_through_the_projection(base, distance, tmp_path):
    student, objective, sampler, settings, teacher = ready(tmp_path, base, hidden=2.0, distance=distance)
    assert objective.layers == [(0, 1), (1, 3)]
    batch = next(iter(sampler.whole(2)))

    def layers(model):
        kept = []
        stack = model.decoder or model.encoder
        hooks = [block.register_forward_hook(lambda m, i, o: kept.append(o)) for block in stack.blocks]
        logits_at(model, batch)
        for hook in hooks:
            hook.remove()
        return [x.gather(1, batch.places[..., None].expand(-1, -1, x.shape[-1]))[batch.targets != -100]
                if base == "masked" else x[batch.targets != -100] for x in kept]  # fmt: skip

    ours, theirs = layers(student), layers(teacher)
    total = 0
    for number, other in objective.layers:
        a, b = ours[number] @ student.aside[number].weight.T, theirs[other]
        cosine = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))
        each = 1 - cosine if distance == "cosine" else (a - b).pow(2).mean(-1)
        total += each.sum() / 2
    found = objective.loss(student, batch, settings)
    assert torch.allclose(found[2], 2 * total, rtol=1e-10)


@pytest.mark.parametrize("base", ["causal", "masked", "pairs"])
def test_neither_micro_batches_nor_pieces_of_logits_change_loss_and_gradient(base, tmp_path, monkeypatch):
    student, objective, sampler, settings, _ = ready(tmp_path, base, hidden=1.0)
    batch = next(iter(sampler.whole(8)))
    whole = given.learnt(objective, student, [batch], settings)
    given.same(whole, given.learnt(objective, student, given.cut(batch, 1), settings))
    monkeypatch.setattr(distil, "PIECE", student.config.vocab * 3)
    given.same(whole, given.learnt(objective, student, [batch], settings))


def test_a_student_that_is_its_teacher_has_nothing_to_learn_but_the_text(tmp_path):
    _, objective, sampler, settings, teacher = ready(tmp_path, "causal")
    batch = next(iter(sampler.whole(2)))
    found = objective.loss(teacher, batch, settings)
    assert abs(found[0].item()) < 1e-9 and found[1] > 0


def test_the_teacher_is_no_part_of_the_student_and_learns_nothing(tmp_path):
    student, objective, sampler, settings, _ = ready(tmp_path, "causal", hidden=1.0)
    batch = next(iter(sampler.whole(2)))
    names = {name for name, _ in student.named_parameters()}
    assert {name for name in names if name.startswith("aside")} == {"aside.0.weight", "aside.1.weight"}
    objective.loss(student, batch, settings).sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in objective.teacher.parameters())
    assert all(p.grad is not None for p in student.aside.parameters()) and not objective.teacher.training


def test_the_projection_stands_in_the_state_and_in_no_folder(tmp_path):
    student, objective, _, _, _ = ready(tmp_path, "causal", hidden=1.0)
    assert not [name for name in student.state_dict() if "aside" in name]
    assert not hasattr(student.twin(), "aside")
    tokenizer = given.bytes_with_chat()
    hub.save(hub.Checkpoint(student, tokenizer, student.config), tmp_path / "m")
    again = hub.load(tmp_path / "m").model
    assert {name for name, _ in again.named_parameters()} == {
        name for name, _ in student.named_parameters() if not name.startswith("aside")}  # fmt: skip
    weights = {name: p.detach().clone() for name, p in student.named_parameters()}
    with torch.no_grad():
        student.aside[0].weight.zero_()
    student.load_state_dict(weights)
    assert student.aside[0].weight.abs().sum() > 0


def test_equal_widths_need_no_projection(tmp_path):
    student, objective, sampler, settings, _ = ready(tmp_path, "pairs", hidden=1.0)
    assert objective.aside is None and objective.layers == [(0, 0), (1, 1)]
    assert objective.loss(student, next(iter(sampler.whole(2))), settings)[2] > 0


def test_a_gradient_step_brings_the_student_nearer(tmp_path):
    student, objective, sampler, settings, _ = ready(tmp_path, "causal", hard=0.0, soft=1.0)
    batch, optimizer = next(iter(sampler.whole(2))), torch.optim.Adam(student.parameters(), 1e-2)
    before = objective.loss(student, batch, settings)[0].item()
    for _ in range(20):
        optimizer.zero_grad()
        objective.loss(student, batch, settings).sum().backward()
        optimizer.step()
    assert objective.loss(student, batch, settings)[0].item() < 0.7 * before and math.isfinite(before)


def test_what_cannot_teach_is_refused_in_one_sentence(tmp_path):
    *_, settings, teacher = ready(tmp_path, "causal")
    other = given.wordpiece()
    part = given.part(tmp_path / "o", PLAIN, other, context=32)
    with pytest.raises(CheckpointError, match="the teacher has 320 words and the shape decoder, the student 103"):
        distil.fitted(given.decoder(other.vocab_size), part, settings)
    with pytest.raises(CheckpointError, match="its tokens are not those of the data"):
        distil.fitted(given.decoder(teacher.config.vocab), part, settings)
    with pytest.raises(SettingsError, match="^there is no teacher; name a folder: --learn.teacher FOLDER"):
        distil.fitted(given.decoder(other.vocab_size), part, distil.Settings())
    with pytest.raises(CheckpointError, match="found the shape decoder and the head language, expected a model that"):
        distil.fitted(given.encoder(other.vocab_size), part, distil.Settings(teacher=settings.teacher, base="masked"))
    with pytest.raises(SettingsError, match="the teacher is not open"):
        distil.loss(None, None, settings)


# ---- vectors of whole texts ----


def with_vectors(folder, records=None, **settings):
    """(student, objective, sampler, settings, teacher, part); the teacher has four layers of the student's width."""
    tokenizer = given.wordpiece()
    teacher = given.model(given.encoder(tokenizer.vocab_size, layers=4).with_(
        head=EMBED.head, pooler=False), seed=5)  # fmt: skip
    hub.save(hub.Checkpoint(teacher, tokenizer, teacher.config), folder / "teacher")
    chosen = distil.Settings(teacher=folder / "teacher", base="vectors", **settings)
    part = given.part(folder / "s", records or PLAIN, tokenizer, context=32)
    part = part._replace(config=distil.fitted(given.encoder(tokenizer.vocab_size, context=32), part, chosen))
    student = given.model(part.config, seed=1)
    return student, distil.begun(student, chosen), distil.samples(part, 2, 0, chosen), chosen, teacher, part


EMBED = hub.config_of({
    "model_type": "bert", "architectures": ["BertModel"], "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 8, "type_vocab_size": 2,
})  # fmt: skip
EMBED = EMBED.with_(head=replace(EMBED.head, kind="embed", pool="mean", unit=True))


def test_vectors_and_layers_are_compared_as_by_hand(tmp_path):
    student, objective, sampler, settings, teacher, part = with_vectors(tmp_path, soft=0.5, hidden=2.0)
    batch = next(iter(sampler.whole(3)))
    soft, layers, kept = 0, 0, {student: [], teacher: []}
    hooks = [block.register_forward_hook(lambda m, i, o, own=kept[model]: own.append(o))
             for model in kept for block in model.encoder.blocks]  # fmt: skip
    for row, real in zip(batch.ids, batch.mask, strict=True):
        for own in kept.values():
            own.clear()
        ours, theirs = (model.hidden(row[real][None])[0].mean(0) for model in (student, teacher))
        soft += 1 - ours @ theirs / (ours.norm() * theirs.norm())
        for number, other in [(0, 1), (1, 3)]:
            a, b = kept[student][number][0], kept[teacher][other][0]
            layers += (1 - (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))).sum() / 2
    for hook in hooks:
        hook.remove()
    found = objective.loss(student, batch, settings)
    assert torch.allclose(found, torch.stack([0.5 * soft, 0 * soft, 2.0 * layers]), rtol=1e-10)
    assert objective.counts(batch, settings) == (3, 3, int(batch.mask.sum()))
    above, below = objective.scored(student, batch, part, settings)["cosine"]
    assert torch.allclose(1 - above.sum() / below.sum(), soft / 3, rtol=1e-10)


def test_vectors_do_not_depend_on_micro_batches(tmp_path):
    student, objective, sampler, settings, _, _ = with_vectors(tmp_path, hidden=1.0)
    batch = next(iter(sampler.whole(4)))
    whole = given.learnt(objective, student, [batch], settings)
    given.same(whole, given.learnt(objective, student, given.cut(batch, 1), settings))


def test_a_student_inherits_embeddings_and_every_second_block(tmp_path):
    student, _, _, _, teacher, _ = with_vectors(tmp_path, inherit=True)
    ours, theirs = student.state_dict(), teacher.state_dict()
    assert torch.equal(ours["embed.weight"], theirs["embed.weight"])
    for name, weight in ours.items():
        for block, other in (("blocks.0.", "blocks.1."), ("blocks.1.", "blocks.3.")):
            if block in name:
                assert torch.equal(weight, theirs[name.replace(block, other)]), name
    places = [name for name in ours if name in theirs and ours[name].shape != theirs[name].shape]  # a shorter context
    assert all(torch.equal(ours[name], theirs[name][: len(ours[name])]) for name in places) and places


def test_of_pairs_both_texts_are_compared_and_what_cannot_be_is_refused(tmp_path):
    records = [{"query": "The sea", "positive": "The sea is wide."}, {"query": "Anna", "positive": "Anna sees Bern."}]
    _, _, sampler, settings, _, part = with_vectors(tmp_path, records)
    assert sampler.examples == 4
    narrow = given.encoder(part.tokenizer.vocab_size, width=8, context=32)
    with pytest.raises(SettingsError, match="vectors have 16 numbers, the student's 8; expected the same: --model.wid"):
        distil.fitted(narrow, part, settings)
    words = given.model(given.encoder(part.tokenizer.vocab_size))
    hub.save(hub.Checkpoint(words, part.tokenizer, words.config), tmp_path / "words")
    with pytest.raises(CheckpointError, match="expected a model that gives one vector a text"):
        distil.fitted(part.config, part, replace(settings, teacher=tmp_path / "words"))
