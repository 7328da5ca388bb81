"""Each kind of tokenizer: the same texts give the same files, transformers gives the same ids, typed text is text.

Transformers turns the strings of special tokens in a text into these tokens unless told otherwise; we never do.
"""

import json
import subprocess
import sys

import pytest

from upwell.errors import DataError
from upwell.text.chat import Template
from upwell.tokens import markers
from upwell.tokens.kinds import BERT, KINDS, SENTENCEPIECE, Wanted, train
from upwell.tokens.tokenizer import END, Tokenizer
from upwell.tokens.tokenizer import train as train_bpe

TEXTS = [
    "Paris is the capital of France, and it's been so since 1789.\n\nIt isn't in Texas. The naïve café.",
    "def square(x):\n    return x * x\n\n\tif x > 10:\n        print('many words of code')\r\n",
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。Python是一种语言，版本3.11。",
    "The capital of England is London; the capital of Scotland is Edinburgh, since 1437.",
] * 5
TRIED = [
    TEXTS[0], TEXTS[1], TEXTS[2], "emoji 👩‍👩‍👧 and العربية नमस्ते", "", "  two  spaces \t\n", "1234567 in 1999年Linux上",
    "typed <|endoftext|> <s> </s> <unk> <pad> [CLS] [MASK] [PAD] <0x41> <|tool|><|im_start|>system",
]  # fmt: skip
SIZE = {"bpe": 400, "wordpiece": 400, "unigram": 520}


def made(kind, **more):
    return train(TEXTS, Wanted(SIZE[kind], kind, ("<|tool|>", "<|im_start|>"), **more))


@pytest.fixture(scope="module", params=KINDS)
def ours(request):
    return made(request.param)


@pytest.mark.parametrize("text", TRIED)
def test_transformers_gives_the_same_ids(ours, text, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    plain = theirs(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert plain == ours.encode(text)
    assert theirs(text, split_special_tokens=True)["input_ids"] == ours.encode_source(text)
    assert theirs(text, add_special_tokens=False)["input_ids"] == [id for id, _, _ in ours.cut(text, special=True)]
    assert theirs.decode(plain, skip_special_tokens=True) == ours.decode(plain)
    assert len(theirs) == ours.vocab_size


def test_what_a_user_types_never_becomes_a_special_token(ours):
    unknown = {ours.special.get("[UNK]")}
    for token in ours.special:
        assert set(ours.encode(f"{token} a{token}b {token}")) & set(ours.special.values()) <= unknown


def test_a_saved_folder_opens_with_the_same_ids_and_the_same_end(ours, tmp_path):
    ours.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert (again.end, again.hash, again.kind) == (ours.end, ours.hash, ours.kind)
    assert [again.encode(text) for text in TRIED] == [ours.encode(text) for text in TRIED]


def test_the_same_texts_in_any_order_and_process_give_the_same_files(ours):
    kind = {"BPE": "bpe", "WordPiece": "wordpiece", "Unigram": "unigram"}[ours.kind]
    code = (
        "import json, sys; from upwell.tokens.kinds import Wanted, train;"
        f"print(train(json.load(sys.stdin), Wanted({SIZE[kind]}, {kind!r}, ('<|tool|>', '<|im_start|>'))).hash)"
    )
    for texts in (TEXTS, TEXTS[::-1]):
        done = subprocess.run([sys.executable, "-c", code], input=json.dumps(texts), capture_output=True, text=True,
                              encoding="utf-8", check=True)  # fmt: skip
        assert done.stdout.strip() == ours.hash


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("text", [*TRIED, "\x00\x7f", "\ufeffa", "a" * 3000, " 字 ", "\u3000全角"])
def test_every_text_comes_back_exactly(kind, text):
    one = made(kind)
    ids = one.encode(text)
    assert one.decode(ids) == text
    assert b"".join(map(one.bytes_of, ids)) == text.encode()


def test_the_default_is_the_tokenizer_that_prepare_trains():
    assert train(TEXTS, Wanted(400)).hash == train_bpe(TEXTS, 400).hash


def test_wordpiece_has_berts_tokens_in_berts_places_and_its_template():
    one = made("wordpiece")
    assert [one.special[token] for token in BERT] == [0, 1, 2, 3, 4] and one.end == 3
    ids = one.encode_source("Paris")
    assert (ids[0], ids[-1]) == (2, 3) and one.decode(ids) == "Paris"


def test_wordpiece_cuts_chinese_into_characters_and_words_at_signs():
    one = made("wordpiece")
    pieces = [one.inner.id_to_token(id) for id in one.encode("明月isn't故")]
    assert pieces[:2] == ["明", "月"] and "'" in pieces and pieces[-1] == "故"


def test_wordpiece_in_small_letters_is_bert_uncased():
    one = train(["The Capital CAFÉ"] * 3, Wanted(100, "wordpiece", lowercase=True))
    assert one.encode("THE café") == one.encode("the CAFE")


def test_unigram_keeps_numbers_leading_spaces_and_han_apart():
    one = made("unigram")
    pieces = [one.bytes_of(id).decode() for id in one.encode("    return 1987 is明月")]
    assert pieces[:2] == ["   ", " return"] and "".join(pieces[2:]).startswith(" 1987")
    assert all(len(piece.strip()) <= 2 for piece in pieces if any(letter.isdigit() for letter in piece))
    assert not any("s明" in piece for piece in pieces)


def test_unigram_scores_are_logarithms_of_probabilities_and_finds_the_likeliest_cut():
    one = made("unigram")
    scores = {piece: score for piece, score in json.loads(one.definition)["model"]["vocab"] if score > -9000}
    assert all(score < 0 for score in scores.values())
    whole = [piece for piece in scores if len(piece) > 2]
    assert whole and all(scores[piece] > scores[piece[:1]] + scores.get(piece[1:], -1e9) for piece in whole)


def test_special_tokens_have_the_ids_behind_those_of_the_kind():
    expected = (*SENTENCEPIECE, "<|tool|>", "<|im_start|>")
    assert made("unigram").special == {token: id for id, token in enumerate(expected)}
    assert made("bpe").special == {END: 0, "<|tool|>": 1, "<|im_start|>": 2}


def test_normal_forms_make_one_spelling_of_several():
    for kind in KINDS:
        one = train(TEXTS, Wanted(SIZE[kind], kind, normal_form="nfkc"))
        assert one.encode("Ｐａｒｉｓ１") == one.encode("Paris1")


@pytest.mark.parametrize("token", ["tool", "<a b>", "<>", "<|>", "<" + "a" * 80 + ">", "", "the>", "[]"])
def test_a_string_that_text_could_become_is_no_special_token(token):
    with pytest.raises(DataError, match="cannot be a special token"):
        train(TEXTS, Wanted(400, special=(token,)))


def test_a_special_token_is_named_once():
    with pytest.raises(DataError, match="there twice"):
        train(TEXTS, Wanted(400, special=(END,)))


@pytest.mark.parametrize(("kind", "size"), [("bpe", 200), ("wordpiece", 20), ("unigram", 300)])
def test_too_small_a_vocabulary_is_refused_with_what_is_needed(kind, size):
    with pytest.raises(DataError, match=f"vocabulary of {size} cannot hold"):
        train(TEXTS, Wanted(size, kind))


def test_an_unknown_kind_names_those_there_are():
    with pytest.raises(DataError, match="kind is 'bp'; expected bpe, wordpiece, unigram"):
        Wanted(kind="bp")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_chat_template_and_its_markers_are_what_transformers_writes(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    one = train(TEXTS, Wanted(SIZE[kind], kind, markers.CHAT))
    one.save(tmp_path)
    markers.template().save(tmp_path)
    messages = [{"role": "user", "content": "Say <|im_end|> 你好"}, {"role": "assistant", "content": "Hello."}]
    template = Template.load(tmp_path)
    ids, mask = template.ids_and_mask(messages, one)
    assert one.decode([id for id, said in zip(ids, mask, strict=True) if said]) == "Hello."
    assert template.closing(one) == one.special[markers.STOP] and ids.count(one.special[markers.STOP]) == 2
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    plain = [messages[0] | {"content": "Say 你好"}, messages[1]]
    told = theirs.apply_chat_template(plain, tokenize=True, return_dict=True)["input_ids"]
    assert told == template.ids(plain, one, add_generation_prompt=False)
