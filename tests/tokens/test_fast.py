"""The fast way gives the library's own ids, for every text and every tokenizer that it takes."""

import json

import numpy as np
import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

from upwell.tokens import fast
from upwell.tokens.kinds import Wanted, train
from upwell.tokens.rules import PIECES
from upwell.tokens.tokenizer import END, Tokenizer

TEXTS = [
    "Paris is the capital of France, and it's been so since 1789.\n\nIt isn't in Texas; they'll say I'M LATE.",
    "def square(x):\n    return x * x\n\n\tif x > 10:\n        print('don''t')  # no\r\n\r\n",
    "床前明月光，疑是地上霜。\n舉頭望明月，低頭思故鄉。Python是一种语言，版本3.11。中国人民，中国的！明月明月",
    "Привет, мир! Ça va là-bas? naïve café 北京大学 東京とカタカナー 서울",
] * 3
ODD = ["\x1c", "\x85", "\xa0", "\u3000", "\u2028", "\u200b", "\u180e", "\ufeff", "\r\n", "\n \n", "  ", "\t", " ", "\n",
       "\u0301", "e\u0301", "\u0130", "\u017f", "\u2581", "\xa8", "\ufdfa", "\ue000", "𠀀", "床", "，", "。", "！！",
       "々", "〇", "⺀", "'s", "'S", "'ll", "'", "12", "٣", "½", "x", "É", "word", "нет", "ー", "가", "😀",
       "👩‍👩‍👧", "नमस्ते", "ไทย", "\x00", "\x7f", END, "[UNK]", "<s>", "明月", "故", "_", "!", ",", "(", "\u0345", "K",
       "i\u0307", "\u1e9e"]  # fmt: skip
ANY = st.characters(exclude_categories=["Cs"])
SOME = st.lists(st.one_of(st.sampled_from(ODD), st.text(ANY, max_size=3)), max_size=12).map("".join)


def byte_level(cut, **model) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE(**model))
    inner.pre_tokenizer, inner.decoder = cut, decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(TEXTS, trainer)
    inner.encode_special_tokens = True
    return inner


def split(rules: str) -> pre_tokenizers.PreTokenizer:
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(rules), behavior="isolated"), bytes_of])


def changed(inner: tokenizers.Tokenizer, **changes) -> tokenizers.Tokenizer:
    """The same tokenizer with other settings of its model."""
    definition = json.loads(inner.to_str())
    definition["model"] |= changes
    made = tokenizers.Tokenizer.from_str(json.dumps(definition))
    made.encode_special_tokens = True
    return made


@pytest.fixture(scope="module")
def taken():
    """Tokenizers that have a fast way, by name."""
    own = {f"rules {number}": byte_level(split(rules)) for number, rules in enumerate(fast.WORDS)}
    own["GPT-2"] = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    own["whole words first"] = changed(own["rules 0"], ignore_merges=True)
    kinds = [Wanted(900, "bpe", normal_form="nfkc"), Wanted(900, "bpe", lowercase=True), Wanted(900, "wordpiece"),
             Wanted(900, "wordpiece", lowercase=True, normal_form="nfkc"), Wanted(900, "unigram"),
             Wanted(900, "unigram", normal_form="nfc")]  # fmt: skip
    return own | {str(wanted): train(TEXTS, wanted).inner for wanted in kinds}


def same(inner: tokenizers.Tokenizer, texts: list[str], quick: fast.Fast | None = None) -> None:
    expected = [one.ids for one in inner.encode_batch_fast(texts, add_special_tokens=False)]
    found = [ids.tolist() for ids in (quick or fast.of(inner)).encode(texts)]
    wrong = [(text, theirs, ours) for text, theirs, ours in zip(texts, expected, found, strict=True) if theirs != ours]
    assert not wrong, wrong[:3]


def characters(step: int) -> list[str]:
    """All of the first planes of writing, and every step-th of the others."""
    codes = (*range(0x3100), *range(0xFB00, 0x10000), *range(0x3100, 0xD800, step), *range(0x10000, 0x110000, step))
    return [chr(code) for code in codes]


SOME_OR_ALL = pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.slow)])


@SOME_OR_ALL
def test_every_character_in_many_surroundings_has_the_librarys_ids(step):
    inner = byte_level(split(PIECES))
    same(inner, [f"a {c}b{c}{c} 1{c}2 明{c}月，{c}  {c}\n{c}\n 'll{c} x" for c in characters(step)])


def test_what_is_called_a_letter_a_digit_or_white_space_is_one_to_the_library():
    known = "".join(c for c in characters(1) if fast.KNOWN.fullmatch(c))
    classes = {r"\p{L}": fast.LETTERS, r"\p{N}": fast.DIGITS, r"\s": fast.BLANKS}
    for theirs, ours in classes.items():
        cut = pre_tokenizers.Split(Regex(theirs), behavior="removed").pre_tokenize_str(known)
        assert "".join(piece for piece, _ in cut) == fast.re.sub(f"[{ours}]", "", known), theirs
    assert len(known) > 10_000 and not fast.re.search("[\u4e00-\u9fa5]", known)


@SOME_OR_ALL
def test_a_text_is_cut_only_before_a_space_that_stays_alone_in_every_normal_form(step):
    behind = fast.re.compile(fast.BEHIND)
    steps = [normalizers.NFC(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase()]
    for character in filter(behind.match, characters(step)):
        for normalized in (step.normalize_str(f"a {character}") for step in steps):
            assert normalized.startswith("a ") and not normalized[2:3].isspace(), (character, normalized)


@settings(max_examples=60, deadline=None)
@given(st.lists(SOME, max_size=6))
@example(["", " ", "  ", "\n", "a", "a  ", "  a", "a \n  b"])
@example([f"before{END}after {END}", "[CLS] a", " \u0301x a \u0301", "a \xa8", "a  \xa8", "x  \x00 y"])
def test_odd_texts_have_the_librarys_ids(taken, texts):
    for inner in taken.values():
        same(inner, texts)


def test_a_cache_that_is_full_a_hundred_times_changes_nothing(taken, monkeypatch):
    monkeypatch.setattr(fast, "LIMIT", 20_000)
    generator = np.random.default_rng(0)
    words = ["".join(chr(97 + letter) for letter in row) for row in generator.integers(0, 26, (2000, 7))]
    for inner in taken.values():
        quick = fast.of(inner)
        for first in range(0, 2000, 50):
            same(inner, [" ".join(words[first : first + 50]), *TEXTS[:4]], quick)
            assert len(quick._ids) < 200


def test_long_words_and_long_white_space_have_the_librarys_ids(taken):
    for inner in taken.values():
        long = [character * 3000 for character in "a床\n !9，"]
        same(inner, [*long, " " * 3000 + "x", "x" + "  \n" * 1000])


def test_the_ids_do_not_depend_on_how_texts_stand_together(taken):
    for inner in taken.values():
        quick = fast.of(inner)
        alone = [quick.encode([text])[0].tolist() for text in TEXTS]
        assert [ids.tolist() for ids in fast.of(inner).encode(TEXTS)] == alone


def test_tokenizers_with_other_rules_go_through_the_library(taken):
    good = taken["rules 0"]
    added, dropped, special = changed(good), changed(good, dropout=0.1), changed(good)
    added.add_tokens([AddedToken("in the", normalized=False)])
    special.encode_special_tokens = False
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    others = [byte_level(cut) for cut in (split(r"\s+|\S+"), pre_tokenizers.ByteLevel(add_prefix_space=True), digits)]
    stripped = changed(good)
    stripped.normalizer = normalizers.Strip()
    assert fast.of(good) is not None
    assert [fast.of(inner) for inner in (added, dropped, special, stripped, *others)] == [None] * 7


def test_a_stream_is_fast_where_it_can_be_and_right_where_it_cannot(taken):
    for inner in (taken["rules 0"], byte_level(split(r"\s+|\S+"))):
        tokenizer = Tokenizer(inner.to_str(), {}, END)
        expected = [tokenizer.encode(text) for text in TEXTS]
        assert [ids.tolist() for ids in tokenizer.encode_stream(TEXTS)] == expected
