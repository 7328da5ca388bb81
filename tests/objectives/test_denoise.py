"""Denoising: what is hidden, by how many signs, in which order; and the loss beside one written out."""

import math

import numpy as np
import pytest
import torch

from tests.objectives import corpora
from tests.objectives.test_masked import within
from upwell.errors import DataError, SettingsError
from upwell.model import hub, preset
from upwell.objectives import _entropy, _noise, _spans, denoise
from upwell.text import Document

CONTEXT = 128
KINDS = {"spans": denoise.Settings(), "infill": denoise.Settings(kind="infill"),
         "infill in order": denoise.Settings(kind="infill", permute=False)}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return corpora.unigram()


@pytest.fixture(scope="module")
def part(tokenizer, tmp_path_factory):
    return corpora.part(tmp_path_factory.mktemp("denoise") / "s", tokenizer, corpora.texts(), CONTEXT)


@pytest.fixture(params=KINDS)
def settings(request):
    return KINDS[request.param]


def sampler(part, settings, seed=1):
    return denoise.samples(part, 8, seed, settings)


def model(kind: str, vocab: int):
    """A small encoder-decoder of float64."""
    t5 = {"model_type": "t5", "vocab_size": vocab, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2,
          "num_heads": 4, "dropout_rate": 0.0, "relative_attention_num_buckets": 8,
          "relative_attention_max_distance": 16}  # fmt: skip
    bart = {"model_type": "bart", "vocab_size": vocab, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
            "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
            "max_position_embeddings": CONTEXT, "dropout": 0.0, "attention_dropout": 0.0, "init_std": 0.3,
            "decoder_start_token_id": 2, "eos_token_id": 2}  # fmt: skip
    return corpora.filled(preset.create(hub.config_of(t5 if kind == "t5" else bart), 4), 4)


def apart(batch):
    """(source, ids, targets) of every text of a batch, alone and without padding."""
    for row in range(len(batch.ids)):
        for number in range(int(batch.source_documents[row].max()) + 1):
            read = batch.source[row][batch.source_documents[row] == number]
            written = (batch.documents[row] == number) & (batch.targets[row] != -100)
            yield read, batch.ids[row][written], batch.targets[row][written]


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_the_loss_is_the_one_written_out_of_each_text_alone(part, settings, kind):
    one, batch, want = model(kind, part.tokenizer.vocab_size), sampler(part, settings).batch(0, 3), 0.0
    for read, ids, targets in apart(batch):
        hidden = one.hidden(ids[None], source=read[None])[0]
        logits = hidden * one.config.logit_scale @ one.embed.weight.T
        logits = logits if one.output_bias is None else logits + one.output_bias
        logp = logits - logits.exp().sum(-1, keepdim=True).log()
        want -= logp[torch.arange(len(targets)), targets].sum().item()
    found = denoise.loss(one, batch, settings)
    assert found.shape == (1,) and found.item() == pytest.approx(want, rel=1e-10)
    assert denoise.counts(batch, settings) == (int((batch.targets >= 0).sum()),)


def test_what_a_text_reads_changes_no_other_text_of_its_row(part, settings):
    one, batch = model("bart", part.tokenizer.vocab_size), sampler(part, settings).batch(0, 1)
    before = one.hidden(batch.ids, batch.documents, source=batch.source, source_documents=batch.source_documents)
    source = torch.where(batch.source_documents == 0, 7, batch.source)
    after = one.hidden(batch.ids, batch.documents, source=source, source_documents=batch.source_documents)
    changed = (before - after).abs().amax(-1) > 1e-9
    assert torch.equal(changed, batch.documents == 0) and not changed.all()


def test_gradients_are_finite_though_places_are_empty(part, settings):
    one = model("t5", part.tokenizer.vocab_size)
    denoise.loss(one, sampler(part, settings).batch(0, 4), settings).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in one.parameters())


def original(read, targets, tokenizer):
    """The text that a pair of spans was made of."""
    sentinel = {id: n for n, id in enumerate(denoise.sentinels(tokenizer).tolist())}
    hidden: list[list[int]] = []
    for id in targets.tolist()[:-1]:
        hidden.append([]) if id in sentinel else hidden[-1].append(id)
    return [new for id in read.tolist()[:-1] for new in (hidden[sentinel[id]] if id in sentinel else [id])]


def test_spans_and_what_is_left_make_up_the_text(part, tokenizer):
    made = sampler(part, KINDS["spans"])
    rows, end = np.arange(10), denoise.signs(tokenizer, None, KINDS["spans"]).end
    texts = np.split(made.rows.texts(rows).ids, np.cumsum(made.rows.texts(rows).lengths)[:-1])
    batch = made._filled(rows, rows, 3)
    found = list(apart(batch))
    assert len(found) == len(texts) >= 20
    for (read, ids, targets), text in zip(found, texts, strict=True):
        assert original(read, targets, tokenizer) == text.tolist()
        assert read[-1] == targets[-1] == end and torch.equal(ids[1:], targets[:-1])
        assert ids[0] == tokenizer.special["<pad>"]
        order = [id for id in read.tolist() if id in denoise.sentinels(tokenizer)]
        assert order == denoise.sentinels(tokenizer)[: len(order)].tolist()


def test_fifteen_in_a_hundred_are_hidden_in_spans_of_three(part):
    length = np.full(2000, 300)
    key = _noise.keys(1, np.arange(2000), 0)
    hidden, count = _spans.spans(length, 0.15, 3.0)
    assert set(hidden) == {45} and set(count) == {15}
    lengths = _spans.parts(key, hidden, count, 0)
    assert lengths.min() == 1 and lengths.reshape(2000, 15).sum(1).tolist() == [45] * 2000
    # Each of the compositions of 45 into 15 parts is alike likely: the first is 1 with the chance 14/44.
    assert within((lengths == 1).mean(), 14 / 44, len(lengths))
    assert within((lengths.reshape(2000, 15)[:, 7] == 1).mean(), 14 / 44, 2000)


def test_a_text_of_one_or_two_tokens_has_a_span():
    key = _noise.keys(1, np.arange(4), 0)
    around = denoise.Signs(None, 1, 0, 0, np.array([90, 91]))
    made = denoise.spanned(np.array([11, 21, 22, 31, 32, 33, 41]), np.array([1, 2, 3, 1]), key, around,
                           denoise.Settings())  # fmt: skip
    assert made.source.tolist() == [90, 1, 21, 90, 1, 31, 32, 90, 1, 90, 1]
    assert made.target.tolist() == [90, 11, 1, 90, 22, 1, 90, 33, 1, 90, 41, 1]


def test_a_damaged_long_text_just_fills_its_row(tokenizer, tmp_path):
    part = corpora.part(tmp_path / "s", tokenizer, [" ".join(corpora.texts(200))] * 2, CONTEXT)
    made = sampler(part, KINDS["spans"])
    # T5's own numbers: 512 places hold 568 tokens, of which 114 places are written.
    shape = denoise.Shape(512, made.signs, KINDS["spans"])
    assert (shape.most, shape.width) == (568, 114)
    batch = made.batch(0, made.samples_per_epoch)
    full = (batch.source_documents >= 0).all(1)
    assert full.float().mean() > 0.9 and batch.source.shape[1] == CONTEXT


def test_thirty_in_a_hundred_are_hidden_in_spans_of_poissons_lengths():
    key, wanted = _noise.keys(1, np.arange(3000), 0), np.full(3000, 90)
    length, counted = _spans.poisson(key, wanted, 3.0)
    assert ((length * counted).sum(1) == 90).all()
    drawn = length[:, :20][counted[:, :20]]  # the first ones, before any is cut to fit
    assert drawn.mean() == pytest.approx(3.0, abs=5 * math.sqrt(3 / len(drawn)))
    for n in range(7):
        assert within((drawn == n).mean(), math.exp(-3) * 3**n / math.factorial(n), len(drawn))


def test_infilled_texts_keep_what_is_not_hidden_in_order():
    ids = np.arange(1000, 3000)
    lengths, key = np.full(20, 100), _noise.keys(2, np.arange(20), 0)
    around = denoise.Signs(0, 1, 2, 3, np.array([9]))
    made = denoise.infilled(ids, ids, lengths, key, around, denoise.Settings(kind="infill"))
    sources = np.split(made.source, np.cumsum(made.source_lengths)[:-1])
    targets = np.split(made.target, np.cumsum(made.target_lengths)[:-1])
    for number, (read, written) in enumerate(zip(sources, targets, strict=True)):
        text = ids[number * 100 : number * 100 + 100].tolist()
        assert written.tolist() == [0, *text, 1] and read[0] == 0 and read[-1] == 1
        left = [id for id in read.tolist()[1:-1] if id != 9]
        assert len(left) == 70 and left == sorted(left) and set(left) <= set(text)
        masks = read[1:-1] == 9
        assert not (masks[1:] & masks[:-1]).any() and len(read) <= len(written)
        inserted = sum(b == a + 1 for a, b in _around(read.tolist()))
        assert 0 <= inserted <= masks.sum()


def _around(read):
    return [(read[n - 1], read[n + 1]) for n in range(1, len(read) - 1) if read[n] == 9]


def test_a_tiny_text_never_grows():
    for length in range(1, 12):
        lengths, key = np.full(200, length), _noise.keys(length, np.arange(200), 0)
        made = denoise.infilled(np.full(200 * length, 50), np.full(200 * length, 50), lengths, key,
                                denoise.Signs(0, 1, 2, 3, np.array([9])), denoise.Settings(kind="infill"))  # fmt: skip
        assert (made.source_lengths <= length + 2).all() and (made.target_lengths == length + 2).all()


def test_sentences_stand_in_any_order_and_stay_whole():
    ids, sentences = np.arange(100), np.array([1, 8, 20, 31, 60, 70, 85])
    lengths, places = np.array([49, 40]), np.array([1, 60])
    seen = set()
    for number in range(200):
        key = _noise.keys(7, np.array([2 * number, 2 * number + 1]), 0)
        found = denoise.permuted(ids[:89], lengths, places, sentences, key)
        first, second = found[:49].tolist(), found[49:].tolist()
        assert sorted(first) == list(range(49)) and sorted(second) == list(range(49, 89))
        borders = [n for n in range(1, 49) if first[n] != first[n - 1] + 1]
        assert {first[n] for n in [0, *borders]} <= {0, 7, 19, 30}
        seen.add(tuple(n for n in first if n in (0, 7, 19, 30)))
    assert len(seen) == 24


def test_no_special_token_is_hidden_beside_the_end(part, tokenizer, settings):
    special = set(tokenizer.special.values())
    for read, _, targets in apart(sampler(part, settings).batch(0, 20)):
        signs = [id for id in targets.tolist() if id in special and id not in denoise.sentinels(tokenizer)]
        assert signs == ([1 + tokenizer.special["<unk>"]] if settings.kind == "infill" else []) + [
            tokenizer.special["</s>"]]  # fmt: skip
        assert len(read)


def test_a_sample_is_a_function_of_seed_and_number(part, settings):
    corpora.pure(lambda seed: sampler(part, settings, seed))


def test_whole_visits_every_token_once_and_is_always_the_same(part, tokenizer, settings):
    made, special = sampler(part, settings), set(tokenizer.special.values())
    found: list[int] = []
    for batch in made.whole(7):
        for read, _, targets in apart(batch):
            found += original(read, targets, tokenizer) if settings.kind == "spans" else targets.tolist()
    everything = part.store.read(0, len(part.store)).tolist()
    assert sorted(set(found)) and sorted(id for id in found if id not in special) == sorted(
        id for id in everything if id not in special)  # fmt: skip
    for a, b in zip(made.whole(7), sampler(part, settings, seed=9).whole(7), strict=True):
        assert corpora.same(a, b)
    one, other = ([torch.cat([batch.source for batch in made.whole(size)]) for size in (5, 16)])
    assert torch.equal(one, other)


def test_rows_are_full(part):
    made = sampler(part, KINDS["spans"])
    read = torch.cat([batch.source_documents.flatten() for batch in made.whole(16)])
    assert (read >= 0).float().mean() > 0.93
    real = sum(denoise.tokens(batch) for batch in made.whole(16))
    written = sum(int((batch.targets != -100).sum()) for batch in made.whole(16))
    assert real == int((read >= 0).sum()) + written


def test_what_does_not_fit_is_said_in_a_sentence(part, tmp_path):
    spans, infill = KINDS["spans"], KINDS["infill"]
    bart = model("bart", part.tokenizer.vocab_size).config
    assert denoise.fitted(bart, part, infill) == bart
    with pytest.raises(SettingsError, match="denoise wants a model of the shape encoder-decoder; this bert model"):
        denoise.fitted(corpora.bert(800, CONTEXT).config, part, spans)
    with pytest.raises(SettingsError, match="positions for 64; set a context of at most 64"):
        denoise.fitted(bart.with_(context=64), part, infill)
    plain = part._replace(tokenizer=corpora.bpe(("<extra_id_0>", "<extra_id_1>")))
    with pytest.raises(DataError, match="has 2 sentinels, but a text that fills a context of 128 has 7 spans"):
        denoise.fitted(bart, plain, spans)
    with pytest.raises(DataError, match="The vocabulary has no mask token"):
        denoise.fitted(bart, plain, infill)
    with pytest.raises(DataError, match="no sentinels <extra_id_0>, .* --sentinels 100"):
        denoise.fitted(bart, part._replace(tokenizer=corpora.bpe(())), spans)
    with pytest.raises(ValueError, match="span is 0.5"):
        denoise.Settings(span=0.5)


def test_examples_show_what_is_read_and_what_is_written(tokenizer):
    text = corpora.texts(1)[0]
    for kind in ("spans", "infill"):
        found = list(denoise.examples([Document(text, "a:1")], tokenizer, None, denoise.Settings(kind=kind)))
        assert [(one.part, any(one.learnt), one.source) for one in found] == [("read", False, "a:1"),
                                                                              ("written", True, "a:1")]  # fmt: skip
    assert tokenizer.decode(found[1].ids) == text


def test_whole_groups_are_those_without_a_fault():
    right = torch.tensor([[1, 1, 0, 1, 1], [1, 0, 1, 1, 1]], dtype=torch.bool)
    counted = torch.tensor([[1, 1, 1, 1, 0], [0, 0, 1, 1, 1]], dtype=torch.bool)
    number = torch.tensor([[0, 0, 1, 2, 3], [0, 1, 1, 1, 4]])
    assert [one.tolist() for one in denoise.whole_ones(right, counted, number)] == [[2, 2], [3, 2]]


def by_hand(said, batch, settings, tokenizer):
    """(words right, words, spans or texts right, spans or texts) of what was said (B, T), text by text."""
    around = denoise.signs(tokenizer, None, settings)
    hiding, told = set(around.hiding.tolist()), [0, 0, 0, 0]
    signs = hiding | {around.begin, around.end}
    for row in range(len(said)):
        for number in range(int(batch.source_documents[row].max()) + 1):
            own = (batch.documents[row] == number) & (batch.targets[row] != -100)
            targets, right, spans = batch.targets[row][own].tolist(), (said == batch.targets)[row][own].tolist(), [[]]
            words = [yes for yes, id in zip(right, targets, strict=True) if id not in signs]
            told[0], told[1] = told[0] + sum(words), told[1] + len(words)
            for place in range(settings.kind == "spans", len(right)):  # a sign begins the first span, and no span
                spans[-1].append(right[place])
                if targets[place] in hiding and settings.kind == "spans":
                    spans.append([])
            told[2], told[3] = told[2] + sum(map(all, spans)), told[3] + len(spans)
    return told


def sums(found):
    return [int(t.sum()) for name in ("accuracy", "exact match") for t in found[name]]


@pytest.mark.parametrize("kind", ["spans", "infill"])
def test_what_is_right_is_counted_as_it_is_text_by_text(part, kind, monkeypatch):
    settings, one = KINDS[kind], model("bart", part.tokenizer.vocab_size)
    batch = sampler(part, settings).batch(0, 4)
    said = batch.targets.clone()
    wrong = torch.rand(said.shape, generator=torch.Generator().manual_seed(2)) < (0.15 if kind == "spans" else 0.01)
    said[wrong] += 1
    monkeypatch.setattr(_entropy, "likeliest", lambda model, hidden: said[batch.targets != -100])
    found = sums(denoise.scored(one, batch, part, settings))
    assert found == by_hand(said, batch, settings, part.tokenizer)
    assert 0 < found[0] < found[1] and 0 < found[2] < found[3]


@pytest.mark.parametrize("kind", ["spans", "infill"])
def test_what_the_model_says_is_what_it_says_of_each_text_alone(part, kind):
    settings, one = KINDS[kind], model("bart", part.tokenizer.vocab_size)
    batch = sampler(part, settings).batch(0, 2)
    alone = [one(ids[None], source=read[None])[0].argmax(-1) for read, ids, _ in apart(batch)]
    wanted = torch.cat([targets for _, _, targets in apart(batch)])
    said = torch.cat(alone)
    some = torch.arange(len(said)) % 3 == 0  # random weights say nothing right by themselves
    batch.targets[batch.targets != -100] = torch.where(some, said, wanted)
    assert sums(denoise.scored(one, batch, part, settings)) == by_hand(
        torch.full_like(batch.targets, -1).masked_scatter(batch.targets != -100, said), batch, settings,
        part.tokenizer)  # fmt: skip
