"""Our tokenizer folder opened by transformers gives the same ids, and transformers' own opens with us."""

import pytest

from upwell.tokens.tokenizer import END, Tokenizer, train

transformers = pytest.importorskip("transformers")

TEXTS = [
    "Paris is the capital of France, and it's been so since 1789 .\n\n  It isn't in Texas !",
    "def square(x):\n    return x * x\r\n\tpass",
    "床前明月光，疑是地上霜。Python是一种语言，版本3.11。",
    "नमस्ते café 👩‍👩‍👧  two  spaces , punctuation .",
]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    ours = train(TEXTS * 3, 500)
    ours.save(folder)
    return ours, transformers.AutoTokenizer.from_pretrained(str(folder))


@pytest.mark.parametrize("text", TEXTS)
def test_transformers_gives_the_same_ids_and_text(both, text):
    ours, theirs = both
    assert theirs(text)["input_ids"] == ours.encode(text)
    assert theirs.decode(ours.encode(text)) == ours.decode(ours.encode(text)) == text


def test_transformers_knows_the_same_end_token_and_size(both):
    ours, theirs = both
    assert (theirs.eos_token, theirs.eos_token_id) == (END, ours.end)
    assert theirs.bos_token_id == theirs.pad_token_id == ours.end
    assert len(theirs) == ours.vocab_size


def test_a_folder_that_transformers_saved_opens_with_us(both, tmp_path):
    ours, theirs = both
    theirs.save_pretrained(str(tmp_path))
    again = Tokenizer.load(tmp_path)
    assert again.end == ours.end
    assert [again.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]


def test_gpt2s_own_class_opens_with_us_with_the_same_ids_and_bytes(tmp_path):
    """GPT-2's class over a tiny vocabulary; its real one cannot be had here."""
    from tokenizers.pre_tokenizers import ByteLevel

    pieces = [END, *sorted(ByteLevel.alphabet()), "th", "the", "\u0120the"]
    merges = [("t", "h"), ("th", "e"), ("\u0120", "the")]
    theirs = transformers.GPT2TokenizerFast(
        vocab={piece: id for id, piece in enumerate(pieces)}, merges=merges
    )
    theirs.save_pretrained(str(tmp_path))
    ours = Tokenizer.load(tmp_path)
    text = "the other theatre, 那 the é"
    assert ours.encode(text) == theirs(text)["input_ids"]
    assert b"".join(map(ours.bytes_of, ours.encode(text))) == text.encode()
    assert ours.end == theirs.eos_token_id == 0
