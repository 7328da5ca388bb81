"""Where sentences end, in texts and in stores."""

import numpy as np
import pytest

from tests.objectives import corpora
from upwell.errors import DataError
from upwell.objectives import _sentences
from upwell.objectives._spelling import Spelling

CASES = [
    ["He left."," Then it rained!", " Why?", " Nobody knew."],
    ["Dr. Smith met J. R. Miller at 3.14 p.m. on Monday.", " They spoke."],
    ["It cost 3.50 in all.", " \"Really?\"", " she said."],
    ["The U.S. is large.", " So is Asia."],
    ["今天天气很好。", "我们去图书馆！", "你呢？", "“好的。”", "他说……", "然后走了。"],
    ["A title\n", "A line of it.\n\n", "And more."],
    ["See Fig. 3 and e.g. the next one.", " Done."],
]  # fmt: skip


@pytest.mark.parametrize("sentences", CASES, ids=lambda s: s[0][:12])
def test_sentences_end_where_a_reader_ends_them(sentences):
    text = "".join(sentences)
    found = [0, *_sentences.borders(text.encode()), len(text.encode())]
    cut = [text.encode()[a:b].decode() for a, b in zip(found, found[1:], strict=False)]
    assert [one.strip() for one in cut] == [one.strip() for one in sentences]


def test_long_white_space_takes_no_long_time():
    assert _sentences.borders(b"a" + b" \n" * 200_000 + b"b" + b" " * 300_000 + b"c. D" + b"." * 200_000)


@pytest.mark.parametrize("make", [corpora.wordpiece, corpora.unigram, corpora.bpe])
def test_a_store_has_the_sentences_of_its_texts(make, tmp_path, monkeypatch):
    monkeypatch.setattr(_sentences, "AT_ONCE", 500)
    tokenizer, texts = make(), [text for text in corpora.texts(80) if "?" not in text and "!" not in text]
    store = corpora.part(tmp_path / "s", tokenizer, texts, 64).store
    found = _sentences.index(store, Spelling(tokenizer), 1000, tmp_path / "cache")
    ends = np.append(found[1:], len(store))
    cut = [tokenizer.decode([id for id in store.read(a, b).tolist() if id != store.end]) for a, b in
           zip(found.tolist(), ends.tolist(), strict=True)]  # fmt: skip
    wanted = [sentence for text in texts for sentence in text.replace("。", "。|").replace(". ", ".|").split("|")]
    assert [one.replace(" ", "") for one in cut] == [one.replace(" ", "") for one in wanted if one]
    again = _sentences.index(store, Spelling(tokenizer), 1000, tmp_path / "cache")
    assert isinstance(again, np.memmap) and (again == found).all() and len(list((tmp_path / "cache").iterdir())) == 1


def test_a_long_sentence_is_divided(tmp_path):
    tokenizer = corpora.bpe()
    store = corpora.part(tmp_path / "s", tokenizer, ["river " * 100, "sea."], 64).store
    found = _sentences.index(store, Spelling(tokenizer), 16, None)
    lengths = np.diff(np.append(found, len(store)))
    assert lengths.max() <= 17 and len(found) >= 100 // 16


def test_a_store_of_empty_texts_has_no_sentence(tmp_path):
    tokenizer = corpora.bpe()
    with pytest.raises(DataError, match="holds no sentence"):
        _sentences.index(corpora.part(tmp_path / "s", tokenizer, ["", ""], 64).store, Spelling(tokenizer), 16, None)
