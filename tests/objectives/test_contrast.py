"""Vectors: the loss is the known formula, exact in pieces and over processes, and repeated texts are no negatives."""

import pytest
import torch
from torch.nn import functional as F

from tests.objectives import given
from upwell.errors import DataError, SettingsError
from upwell.objectives import contrast

PAIRS = [{"anchor": "Where is the sea?", "positive": "The sea is wide."},
         {"anchor": "海在哪里？", "positive": "海在西边。"},
         {"source": "a fine day", "target": "今天天气很好。"},
         {"source": "The river flows to the sea, and the sea is wide.", "target": "河流入海。"}]  # fmt: skip
WRONG = (["a bad night"], [], ["Anna"], ["很大", "x"])
HARD = [one | {"negatives": some} for one, some in zip(PAIRS, WRONG, strict=True)]
USUAL = contrast.Settings()


@pytest.fixture(scope="module")
def tokenizer():
    return given.wordpiece()


def ready(folder, records, tokenizer, settings=USUAL, config=None, **more):
    part = given.part(folder, records, tokenizer, **more)
    part = part._replace(config=contrast.fitted(config or given.encoder(tokenizer.vocab_size), part, settings))
    return part, given.model(part.config), contrast.samples(part, 4, 0, settings)


def vector(model, ids, real):
    """The mean of the last vectors of one text, with length 1."""
    return F.normalize(model.hidden(ids[real][None])[0].mean(0), dim=-1)


def test_the_loss_is_that_of_multiple_negatives_ranking(tokenizer, tmp_path):
    """sentence-transformers: cross-entropy over scale * cosine of an anchor with all positives, then all negatives."""
    settings = contrast.Settings(both=False)
    _, model, sampler = ready(tmp_path / "s", HARD, tokenizer, settings)
    (batch,) = sampler.whole(4)
    left = torch.stack([vector(model, *one) for one in zip(batch.left, batch.left_mask, strict=True)])
    right = [vector(model, *one) for one in zip(batch.right, batch.right_mask, strict=True)]
    right += [vector(model, batch.hard[row, 0], batch.hard_mask[row, 0]) for row in (0, 2, 3)]
    scores = 20 * left @ torch.stack(right).T
    assert scores.shape == (4, 7)
    wanted = F.cross_entropy(scores, torch.arange(4))
    assert torch.allclose(contrast.loss(model, batch, settings)[0] / 4, wanted, atol=1e-12)


def test_both_directions_are_the_hand_calculation(tokenizer, tmp_path):
    _, model, sampler = ready(tmp_path / "s", PAIRS, tokenizer)
    (batch,) = sampler.whole(4)
    left, right = contrast.vectors(model, batch, USUAL)
    scores = (left @ right.T / 0.05).exp()
    forward, backward = scores.diag() / scores.sum(1), scores.diag() / scores.sum(0)
    wanted = -(forward.log() + backward.log()).sum() / 2
    assert torch.allclose(contrast.loss(model, batch, USUAL)[0], wanted, atol=1e-12)
    assert contrast.counts(batch, USUAL) == (4,) and batch.hard is None


@pytest.mark.parametrize("records", [PAIRS, HARD])
@pytest.mark.parametrize("shape", ["encoder", "decoder"])
@pytest.mark.parametrize("micro", [1, 3])
def test_pieces_change_neither_loss_nor_gradient(records, shape, micro, tokenizer, tmp_path):
    config = (given.encoder if shape == "encoder" else given.decoder)(tokenizer.vocab_size)
    _, model, sampler = ready(tmp_path / "s", records, tokenizer, config=config)
    (batch,) = sampler.whole(4)
    whole = given.learnt(contrast, model, [batch], USUAL)
    given.same(whole, given.learnt(contrast, model, [batch], contrast.Settings(micro=micro)))


def test_pieces_have_the_dropout_of_the_whole_run_again(tokenizer, tmp_path):
    config = given.encoder(tokenizer.vocab_size).with_(dropout=0.5)
    _, model, sampler = ready(tmp_path / "s", PAIRS, tokenizer, config=config)
    (batch,) = sampler.whole(4)
    settings, found = contrast.Settings(micro=2), []
    for step in (0.0, 1e-6):  # the gradient is that of the masks that the loss was computed with
        torch.manual_seed(1)
        model.train().zero_grad()
        weight = model.encoder.blocks[0].ffn.up.weight
        with torch.no_grad():
            weight[0, 0] += step
        loss = contrast.loss(model, batch, settings)[0]
        loss.backward()
        found.append((loss.item(), weight.grad[0, 0].item()))
    assert (found[1][0] - found[0][0]) / 1e-6 == pytest.approx(found[0][1], rel=1e-3)


def test_padding_changes_nothing(tokenizer, tmp_path):
    _, model, sampler = ready(tmp_path / "s", HARD, tokenizer)
    (batch,) = sampler.whole(4)
    wider = {name: F.pad(t, (0, 5)) for name, t in batch._asdict().items() if name != "keys"}
    given.same(*(given.learnt(contrast, model, [one], USUAL) for one in (batch, batch._replace(**wider))))


def test_a_text_that_is_the_right_one_again_is_no_negative(tokenizer, tmp_path):
    again = [*PAIRS[:2], {"anchor": "a fine day", "positive": PAIRS[0]["positive"], "negative": "海在西边。"}]
    _, model, sampler = ready(tmp_path / "s", again, tokenizer, contrast.Settings(both=False))
    (batch,) = sampler.whole(3)
    left, right = contrast.vectors(model, batch, USUAL)
    scores = left @ right.T / 0.05
    allowed = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1]], dtype=torch.bool)
    wanted = F.cross_entropy(scores.masked_fill(~allowed, float("-inf")), torch.arange(3), reduction="sum")
    assert torch.allclose(contrast.loss(model, batch, contrast.Settings(both=False))[0], wanted, atol=1e-12)


def worker(rank, size, folder, micro, queue):
    """One of several processes: its rows of the batch; gives its loss and gradients."""
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    tokenizer = given.wordpiece()
    _, model, sampler = ready(folder / "s", HARD, tokenizer)
    (batch,) = sampler.whole(4)
    mine = given.cut(batch, 3)[rank] if size == 2 else given.cut(batch, 1, 2, 3)[rank]
    loss = contrast.loss(model.train(), mine, contrast.Settings(micro=micro))
    (loss / 4).sum().backward()
    queue.put((loss.item() / 4, {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "micro"), [(2, 0), (2, 1), (4, 0)])
def test_several_processes_have_the_loss_and_gradient_of_one(size, micro, tokenizer, tmp_path):
    _, model, sampler = ready(tmp_path / "s", HARD, tokenizer)
    (batch,) = sampler.whole(4)
    alone, gradients = given.learnt(contrast, model, [batch], USUAL)
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    running = [context.Process(target=worker, args=(rank, size, tmp_path, micro, queue)) for rank in range(size)]
    for one in running:
        one.start()
    found = [queue.get(timeout=120) for _ in running]
    for one in running:
        one.join(60)
    assert sum(loss for loss, _ in found) == pytest.approx(alone.item(), abs=1e-10)
    for name, gradient in gradients.items():
        summed = sum(torch.from_numpy(theirs[name]) for _, theirs in found if name in theirs)
        assert torch.allclose(summed, gradient, rtol=1e-10, atol=1e-10), name


def test_the_pool_is_what_is_asked_for_and_a_decoder_has_the_last_token(tokenizer, tmp_path):
    part = given.part(tmp_path / "s", PAIRS, tokenizer)
    encoder, decoder = given.encoder(tokenizer.vocab_size), given.decoder(tokenizer.vocab_size)
    heads = [contrast.fitted(config, part, settings).head for config, settings in (
        (encoder, USUAL), (encoder, contrast.Settings(pool="first", unit=False)), (decoder, USUAL))]  # fmt: skip
    assert [(head.kind, head.pool, head.unit) for head in heads] == [
        ("embed", "mean", True), ("embed", "first", False), ("embed", "last", True)]  # fmt: skip
    with pytest.raises(SettingsError, match="the first token of a decoder knows nothing of the others"):
        contrast.fitted(decoder, part, contrast.Settings(pool="first"))


def test_a_model_that_learnt_so_is_opened_by_sentence_transformers_layout(tokenizer, tmp_path):
    from upwell.model import hub

    part, model, sampler = ready(tmp_path / "s", PAIRS, tokenizer)
    hub.save(hub.Checkpoint(model, tokenizer, model.config), tmp_path / "m")
    again = hub.load(tmp_path / "m").model
    (batch,) = sampler.whole(4)
    weights = again.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    for one, other in zip(contrast.vectors(model, batch, USUAL), contrast.vectors(again, batch, USUAL), strict=True):
        # not bit for bit: the loaded weights lie elsewhere in memory, and products go by how their numbers are aligned
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("records", "told"), [
    ([*PAIRS, {"text": "a"}], "^a.jsonl:5: found plain text, expected a pair of texts"),
    ([], "s holds no example; expected a pair of texts or more"),
    ([*PAIRS, {"query": "a", "pos": "b", "neg": "a " * 60}], "^a.jsonl:5: found 60 tokens, expected at most 46"),
])  # fmt: skip
def test_what_does_not_fit_is_one_sentence_with_the_place(records, told, tokenizer, tmp_path):
    with pytest.raises(DataError, match=told):
        ready(tmp_path / "s", records, tokenizer)
