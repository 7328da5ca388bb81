"""Rows for the next token: windows or whole documents, and code with its middle last."""

import numpy as np
import pytest
import torch

from tests.objectives import corpora
from tests.objectives.test_masked import within
from upwell.errors import CheckpointError, DataError, SettingsError
from upwell.model import hub, preset
from upwell.objectives import _middle, causal
from upwell.text import Document

CONTEXT = 96
BOTH = [{"packing": "windows"}, {"packing": "fit"}]
MOVED = {"middle": 1.0, "middle_of": "all"}


@pytest.fixture(scope="module")
def tokenizer():
    return corpora.bpe()


@pytest.fixture(scope="module")
def part(tokenizer, tmp_path_factory):
    return corpora.part(tmp_path_factory.mktemp("causal") / "s", tokenizer, corpora.code(), CONTEXT, kind="code")


def sampler(part, seed=1, **settings):
    return causal.samples(part, 8, seed, causal.Settings(**settings))


def gpt2(vocab, context=CONTEXT):
    config = hub.config_of({"model_type": "gpt2", "vocab_size": vocab, "n_embd": 32, "n_layer": 2, "n_head": 4,
                            "n_positions": context, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "attn_pdrop": 0.0})
    return corpora.filled(preset.create(config, 3), 3)


@pytest.mark.parametrize("settings", [*BOTH, BOTH[0] | MOVED, BOTH[1] | MOVED, {"smoothing": 0.1}])
def test_the_loss_is_the_one_written_out_of_each_document_alone(part, settings):
    model, batch, want = gpt2(part.tokenizer.vocab_size), sampler(part, **settings).batch(0, 3), 0.0
    share = settings.get("smoothing", 0.0)
    for row in range(3):
        for document in range(int(batch.documents[row].max()) + 1):
            own = batch.documents[row] == document
            logits = model.hidden(batch.ids[row][own][None])[0] @ model.embed.weight.T
            logp = logits - logits.exp().sum(-1, keepdim=True).log()
            for place, target in enumerate(batch.targets[row][own].tolist()):
                if target != -100:
                    want -= (1 - share) * logp[place, target].item() + share * logp[place].mean().item()
    found = causal.loss(model, batch, causal.Settings(**settings))
    assert found.shape == (1,) and found.item() == pytest.approx(want, rel=1e-10)


def parted(ids: list[int], signs: tuple[int, int, int]) -> tuple[list[int], list[int], list[int], bool]:
    """(before, middle, after, whether the suffix came first) of a moved text."""
    prefix, suffix, gap = signs
    assert ids[0] == prefix and sum(id in signs for id in ids) == 3
    at, end = ids.index(suffix), ids.index(gap)
    if at == 1:
        return [], ids[end + 1 :], ids[2:end], True
    return ids[1:at], ids[end + 1 :], ids[at + 1 : end], False


def test_a_moved_text_is_the_same_text_and_is_cut_between_characters(part, tokenizer):
    moving, cut_words = _middle.Moving(tokenizer, causal.Settings(**MOVED, suffix_first=0.0)), 0
    for number, text in enumerate([*corpora.code(), *corpora.texts(60)]):
        ids = tokenizer.encode(text)
        moved = moving.document(ids, number)
        if len(ids) < _middle.LEAST:
            assert moved == ids
            continue
        before, middle, after, first = parted(moved, moving.signs)
        assert not first and tokenizer.decode(before) + tokenizer.decode(middle) + tokenizer.decode(after) == text
        for piece in (before, middle, after):  # as the tokenizer itself would write it
            assert abs(len(tokenizer.encode(tokenizer.decode(piece))) - len(piece)) <= 2
        cut_words += before != ids[: len(before)]
    assert cut_words > 10


def test_half_have_their_suffix_first(tokenizer):
    moving, text = _middle.Moving(tokenizer, causal.Settings(**MOVED)), corpora.code()[0]
    ids = tokenizer.encode(text)
    seen = [moving.document(ids, number) for number in range(1000)]
    first = [moved[1] == moving.signs[1] for moved in seen]  # an empty prefix looks the same
    assert within(np.mean(first), 0.5, 1000)
    for moved in seen[:50]:
        after = tokenizer.decode(moved[2 : moved.index(moving.signs[2])])
        if moved[1] == moving.signs[1]:
            assert tokenizer.decode(moved[moved.index(moving.signs[2]) + 1 :]) + after == text


def test_the_share_of_moved_documents_is_the_one_asked_for(tokenizer):
    moving = _middle.Moving(tokenizer, causal.Settings(middle=0.3, middle_of="all"))
    ids = tokenizer.encode(corpora.code()[0])
    assert within(np.mean([moving.document(ids, number) != ids for number in range(2000)]), 0.3, 2000)


def test_borders_are_anywhere(tokenizer):
    moving = _middle.Moving(tokenizer, causal.Settings(**MOVED, suffix_first=0.0))
    text = corpora.code()[3]
    ids = tokenizer.encode(text)
    lengths = [len(tokenizer.decode(parted(moving.document(ids, n), moving.signs)[1])) for n in range(2000)]
    assert np.mean(lengths) / len(text) == pytest.approx(1 / 3, abs=0.03)  # of two even borders


@pytest.mark.parametrize("packing", ["windows", "fit"])
def test_documents_change_inside_of_their_own_borders(part, tokenizer, packing):
    plain, moved = sampler(part, packing=packing), sampler(part, packing=packing, **MOVED)
    signs = _middle.signs(tokenizer)
    for number in range(20):
        a, b = plain.samples(np.array([number])), moved.samples(np.array([number]))
        for document in range(int(b.documents.max())):
            one, other = (x.ids[0][x.documents[0] == document].tolist() for x in (a, b))
            if len(other) < len(one) + 3:  # the row's end
                break
            lead = [tokenizer.end] if one[0] == tokenizer.end else []
            assert other[: len(lead)] == lead
            body = other[len(lead) :]
            if body[0] != signs[0]:
                continue
            before, middle, after, first = parted(body, signs)
            if not first:
                assert tokenizer.decode(before + middle + after) == tokenizer.decode(one)
            own = b.documents[0] == document
            assert b.targets[0][own][:-1].tolist() == other[1:]


def test_only_code_is_moved(tokenizer, tmp_path):
    texts = [*corpora.texts(40), *corpora.code(40)]
    prose = corpora.part(tmp_path / "s", tokenizer, texts, CONTEXT, cache=tmp_path / "c")
    documents = [Document(text, "a", kind="code" if number >= 40 else "prose") for number, text in enumerate(texts)]
    both = prose._replace(documents=lambda: iter(documents))
    batch = sampler(both, packing="fit", middle=1.0).batch(0, 60)
    sign, moved = _middle.signs(tokenizer)[0], 0
    for row in range(60):
        for document in range(int(batch.documents[row].max()) + 1):
            ids = batch.ids[row][batch.documents[row] == document].tolist()
            text = tokenizer.decode(ids)
            assert sign not in ids or "def " in text or "=" in text or len(ids) < 9  # the end of a row
            moved += sign in ids
    assert moved > 20 and len(list((tmp_path / "c").iterdir())) == 1
    with pytest.raises(DataError, match="of which 0 are code; expected some"):
        sampler(prose._replace(cache=None), middle=1.0)
    with pytest.raises(DataError, match="not at hand"):
        sampler(prose._replace(documents=None), middle=1.0)


@pytest.mark.parametrize("settings", [*BOTH, BOTH[0] | MOVED, BOTH[1] | MOVED])
def test_a_sample_is_a_function_of_seed_and_number(part, settings):
    corpora.pure(lambda seed: sampler(part, seed, **settings))


@pytest.mark.parametrize("settings", [*BOTH, BOTH[1] | MOVED])
def test_whole_visits_every_token_once_as_it_stands(part, settings):
    targets = torch.cat([batch.targets.flatten() for batch in sampler(part, **settings).whole(5)])
    everything = part.store.read(1, len(part.store)).astype(np.int64)
    assert targets[targets != -100].tolist() == everything.tolist()


def test_what_does_not_fit_is_said_in_a_sentence(part):
    config, settings = gpt2(part.tokenizer.vocab_size).config, causal.Settings(**MOVED)
    assert causal.fitted(config, part, settings) == config
    with pytest.raises(CheckpointError, match="expected a decoder with the head language"):
        causal.fitted(corpora.bert(600, CONTEXT).config, part, settings)
    with pytest.raises(SettingsError, match="positions for 64; set a context of at most 64"):
        causal.fitted(config.with_(context=64), part, settings)
    with pytest.raises(DataError, match="prepare the text with the model's own tokenizer"):
        causal.fitted(config.with_(vocab=100), part, settings)
    with pytest.raises(DataError, match=r"no signs for a gap .* `upwell tokenizer --middle`"):
        causal.fitted(config, part._replace(tokenizer=corpora.bpe(())), settings)


def test_a_tokenizer_that_writes_parts_otherwise_is_cut_between_words(monkeypatch, tokenizer):
    moving = _middle.Moving(tokenizer, causal.Settings(**MOVED, suffix_first=0.0))
    moving.exact = False
    monkeypatch.setattr(moving, "encoded", lambda part: np.array([], dtype=np.int64) if not part else 1 / 0)
    ids = tokenizer.encode(corpora.code()[0])
    for number in range(50):
        before, middle, after, _ = parted(moving.document(ids, number), moving.signs)
        assert before + middle + after == ids


def test_examples_show_the_signs(tokenizer):
    one = Document(corpora.code()[0], "a.py", kind="code")
    (found,) = causal.examples([one], tokenizer, None, causal.Settings(middle=1.0))
    assert set(_middle.signs(tokenizer)) <= set(found.ids)
    (prose,) = causal.examples([Document(one.text, "a.txt")], tokenizer, None, causal.Settings(middle=1.0))
    assert prose.ids == [tokenizer.end, *tokenizer.encode(one.text), tokenizer.end]
