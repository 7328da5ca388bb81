"""A tokenizer that grows: old ids keep their meaning, old text is cut as before, new text is shorter."""

import pytest

from upwell.errors import DataError
from upwell.tokens.extend import extend
from upwell.tokens.kinds import KINDS, Wanted, train
from upwell.tokens.tokenizer import Tokenizer

ENGLISH = [
    "Paris is the capital of France, and it's been so since 1789. The quick brown fox.",
    "def f(x):\n    return x",
] * 9
CHINESE = [
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
] * 9


@pytest.fixture(scope="module", params=KINDS)
def grown(request):
    old = train(ENGLISH, Wanted(500, request.param, ("<|tool|>",)))
    return extend(old, CHINESE, 80, ("<|zh|>",))


def test_old_ids_keep_their_pieces_and_new_ones_come_behind(grown):
    old, new = grown.old.inner.get_vocab(), grown.tokenizer.inner.get_vocab()
    assert {piece: new.get(piece) for piece in old} == old
    assert sorted(set(new.values()) - set(old.values())) == sorted(grown.parts)
    assert 40 < len(grown.parts) <= 81 and min(grown.parts) == grown.old.vocab_size


def test_old_text_is_cut_as_before_and_new_text_is_shorter(grown):
    assert grown.changed(ENGLISH)["cut_otherwise"] == 0
    told = grown.changed(CHINESE)
    if grown.old.kind != "WordPiece":  # there each Chinese character is a word, known or not
        assert told["tokens_now"] < 0.6 * told["tokens_before"]
    assert told["cut_otherwise"] == len(CHINESE)


def test_text_comes_back_as_well_as_before(grown):
    for text in ENGLISH[:2] + CHINESE[:2]:
        back = grown.tokenizer.decode(grown.tokenizer.encode(text))
        assert back == text or grown.old.kind == "WordPiece"


def test_the_parts_of_a_new_token_are_what_the_old_one_made_of_its_text(grown):
    tried = 0
    for id, parts in grown.parts.items():
        content = grown.tokenizer.bytes_of(id)
        if parts and grown.old.kind == "BPE":
            assert b"".join(map(grown.old.bytes_of, parts)) == content
        elif parts and grown.old.kind == "Unigram":
            assert list(parts) == grown.old.encode(content.decode())
        tried += bool(parts)
    assert tried > 40 or grown.old.kind == "WordPiece"


def test_special_tokens_old_and_new_stay_apart_from_typed_text(grown):
    assert {"<|tool|>", "<|zh|>"} <= set(grown.tokenizer.special)
    for token in ("<|tool|>", "<|zh|>"):
        assert grown.tokenizer.special[token] not in grown.tokenizer.encode(f"a {token}")
        assert grown.parts.get(grown.tokenizer.special[token], ()) == ()


def test_the_same_texts_give_the_same_tokens_and_the_folder_opens(grown, tmp_path):
    again = extend(grown.old, CHINESE[::-1], 80, ("<|zh|>",))
    assert again.tokenizer.hash == grown.tokenizer.hash and again.parts == grown.parts
    grown.tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).encode(CHINESE[0]) == grown.tokenizer.encode(CHINESE[0])


def test_transformers_gives_the_same_ids(grown, tmp_path):
    transformers = pytest.importorskip("transformers")
    grown.tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    for text in (*ENGLISH[:2], *CHINESE[:2], "emoji 👩 <|zh|>"):
        told = theirs(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert told == grown.tokenizer.encode(text)
    assert theirs.convert_tokens_to_ids("<|zh|>") == grown.tokenizer.special["<|zh|>"]


def test_text_that_teaches_nothing_and_no_tokens_are_refused(grown):
    with pytest.raises(DataError, match="no new token"):
        extend(grown.old, ["a"], 10)
    with pytest.raises(DataError, match="found 0 new tokens"):
        extend(grown.old, CHINESE, 0)
    with pytest.raises(DataError, match="there twice"):
        extend(grown.old, CHINESE, 5, ("<|tool|>",))


def test_ids_of_special_tokens_outside_of_the_vocabulary_do_not_move(grown):
    """Many published tokenizers keep them outside of the model's vocabulary, numbered behind it."""
    inner = grown.old.inner.from_str(grown.old.definition)
    inner.add_special_tokens(["<|later|>"])
    old = Tokenizer(inner.to_str(), grown.old.beside, grown.old.end)
    new = extend(old, CHINESE, 40).tokenizer
    assert new.special["<|later|>"] == old.special["<|later|>"] == grown.old.vocab_size
    assert grown.old.vocab_size not in new.encode(CHINESE[0] + "<|later|>")
