"""Strings that may not or must appear, whatever the tokens are."""

import pytest
import torch

from upwell.errors import SettingsError
from upwell.generation.backend import Local, Settings
from upwell.generation.filters import NEVER
from upwell.generation.spelling import Spelling

PIECES = [b"", b"the", b" riv", b"er", b"r", b" river", b"iver", b"i", b"v", b"xriverx", "世界".encode(),
          "世".encode()[:2], "世".encode()[2:], b"ver "]  # fmt: skip


class Pieces:
    """A tokenizer of some pieces."""

    vocab_size, special = len(PIECES), {"<end>": 0}
    bytes_of = staticmethod(PIECES.__getitem__)


def left(spelling, strings, written):
    logits = spelling.never(strings)(torch.tensor([written], dtype=torch.int64), torch.zeros(1, len(PIECES) + 2))
    return {id for id, value in enumerate(logits[0].tolist()) if value > NEVER}


@pytest.mark.parametrize("strings", [["river"], ["er", "世"], ["iver", "the r"], ["vv"]])
def test_a_string_that_may_not_appear_never_does_however_it_is_cut(strings):
    spelling = Spelling(Pieces(), len(PIECES) + 2)
    wanted = [string.encode() for string in strings]
    texts = [[]]
    for _ in range(3):
        longer = []
        for text in texts:
            free = left(spelling, strings, text)
            before = b"".join(map(PIECES.__getitem__, text))
            for id in range(len(PIECES)):
                hit = any(w in before + PIECES[id] for w in wanted)
                assert (id in free) != hit, (text, id)
            longer += [[*text, id] for id in sorted(free) if id < len(PIECES)][:12]
        texts = longer


def test_tables_over_the_vocabulary_find_beginnings_and_insides():
    spelling = Spelling(Pieces(), len(PIECES))
    assert sorted(spelling.beginning(b"r")) == [4] and sorted(spelling.beginning(b" r")) == [2, 5]
    assert spelling.holding([b"iver"]) == [5, 6, 9] and spelling.holding([b"rr"]) == []     # 3 and 4 are neighbours
    assert spelling.holding(["世".encode()]) == [10]


@pytest.fixture
def writer(local):
    def write(prompt="The", **asked):
        pieces = list(local.generate(prompt, Settings(**(dict(max_new=40, seed=1) | asked))))
        return "".join(piece.text for piece in pieces), pieces
    return write


def test_a_banned_string_is_missed_in_many_texts_and_another_strategy_too(local, writer):
    free = writer(temperature=2.0, max_new=100, seed=3)[0]
    common = max(set(free) - {"\ufffd"}, key=free.count)
    assert free.count(common) > 2
    for seed in range(4):
        assert common not in writer(temperature=2.0, max_new=100, seed=seed, never=(common,))[0]
    assert common not in writer(strategy="beam", never=(common,))[0]


def test_a_text_begins_with_what_it_must(writer):
    assert writer(begin="你好 river")[0].startswith("你好 river")
    assert writer(begin="你好 river", strategy="beam")[0].startswith("你好 river")


def test_what_must_appear_does_at_every_width(local, writer):
    for beams in (1, 2, 5):
        text, pieces = writer(strategy="constrained", must=("sea", "世界", "river flows"), beams=beams, best=beams)
        for one in pieces[-1].ranking or [text]:
            one = getattr(one, "text", one)
            assert "sea" in one and "世界" in one and "river flows" in one


def test_a_ranking_is_told_best_first_and_its_first_is_the_answer(writer):
    text, pieces = writer(strategy="beam", beams=4, best=3)
    ranking = pieces[-1].ranking
    assert len(ranking) == 3 and ranking[0].text == text
    assert [one.score for one in ranking] == sorted((one.score for one in ranking), reverse=True)
    for one in ranking:
        assert one.score == pytest.approx(sum(one.logprobs) / len(one.tokens), abs=1e-4)


@pytest.mark.parametrize("strategy", ["sample", "greedy", "beam", "diverse", "contrastive", "speculative"])
def test_the_likeliest_tokens_are_told_beside_each(local, writer, strategy):
    _, pieces = writer(strategy=strategy, top_logprobs=3, max_new=8)
    ids = [id for piece in pieces for id in piece.tokens]
    values = [value for piece in pieces for value in piece.logprobs]
    tops = [top for piece in pieces for top in piece.tops]
    with torch.inference_mode():
        logp = local.engine.model(torch.tensor([[*local.read("The"), *ids]]))[0].log_softmax(-1)
    for at, (id, value, top) in enumerate(zip(ids, values, tops, strict=True), len(local.read("The")) - 1):
        best = logp[at].topk(3)
        assert [one for one, _ in top] == best.indices.tolist()
        assert [number for _, number in top] == pytest.approx(best.values.tolist(), abs=1e-3)
        assert value == pytest.approx(float(logp[at, id]), abs=1e-3)
    assert not any(piece.tops for piece in writer(strategy=strategy, max_new=3)[1])


def test_a_text_whose_time_is_up_ends_with_a_word_that_says_so(local, writer):
    _, pieces = writer(seconds=1e-9, max_new=50, temperature=2.0)
    assert pieces[-1].finish == "time" and pieces[-1].usage.new == 1
    assert writer(seconds=1e6, max_new=5)[1][-1].finish in ("length", "stop")
    assert writer(seconds=1e-9, strategy="beam")[1][-1].finish in ("time", "stop")


def test_a_draft_of_another_vocabulary_is_refused(checkpoint, tokenizer):
    from tests.generation.tiny import tiny_model
    from upwell.errors import CheckpointError
    from upwell.model.hub import Checkpoint

    other = tiny_model(tokenizer.vocab_size + 1)
    with pytest.raises(CheckpointError, match="draft: .*another tokenizer or vocabulary"):
        Local(checkpoint, draft=Checkpoint(other, tokenizer, other.config, None))


def test_a_prompt_that_does_not_fit_names_both_numbers_for_every_strategy(local):
    for strategy in ("greedy", "beam", "contrastive", "speculative"):
        with pytest.raises(SettingsError, match="100 tokens and max_new asks for 40, together 140, .* at most 128"):
            local.generate([1] * 100, Settings(max_new=40, strategy=strategy))
