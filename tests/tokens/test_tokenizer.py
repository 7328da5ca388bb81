"""The tokenizer: nothing is lost on the way there and back, and text never becomes a special token."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers

from upwell.errors import CheckpointError, DataError
from upwell.text.runner import Local
from upwell.tokens import words
from upwell.tokens.tokenizer import END, Tokenizer, train

TEXTS = [
    "Paris is the capital of France, and it's been so since 1789.\n\nIt isn't in Texas.",
    "def square(x):\n    return x * x\n\n\tif x > 10:\n        print('don''t')\r\n",
    "床前明月光，疑是地上霜。Python是一种语言，版本3.11。",
    "مرحبا بالعالم نمی‌خواهم 👩‍👩‍👧 नमस्ते café naïve",
] * 3


@pytest.fixture(scope="module")
def ours():
    return train(TEXTS, 400)


@pytest.mark.parametrize("text", [*TEXTS[:4], "", " ", "\n", "\x00\x7f", "\ufeffa", "a" * 5000, f"x{END}y"])
def test_text_comes_back_exactly(ours, text):
    ids = ours.encode(text)
    assert ours.decode(ids) == text
    assert b"".join(ours.bytes_of(id) for id in ids) == text.encode()


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_exactly(ours, text):
    assert ours.decode(ours.encode(text)) == text


def test_a_special_token_typed_by_a_user_stays_plain_text(ours):
    ids = ours.encode(f"before{END}after{END}")
    assert ours.end not in ids
    assert ours.end not in [id for row in ours.encode_batch([END, f" {END}"]) for id in row]


def test_the_end_token_is_id_zero_and_leaves_no_text(ours):
    assert ours.end == 0
    assert ours.bytes_of(0) == b"" and ours.decode([0, *ours.encode("a"), 0]) == "a"
    assert ours.bytes_of(10**6) == b""


def test_a_batch_gives_the_ids_of_single_texts(ours):
    assert ours.encode_batch(TEXTS) == [ours.encode(text) for text in TEXTS]


def test_a_stream_gives_the_ids_of_single_texts_and_reads_only_a_little_ahead(ours, monkeypatch):
    monkeypatch.setattr(words.at_once, "__defaults__", (100,))
    read = []
    stream = ours.encode_stream(read.append(text) or text for text in TEXTS * 20)
    first = [next(stream).tolist() for _ in range(5)]
    assert first == [ours.encode(text) for text in TEXTS[:5]] and len(read) < 20
    assert [ids.tolist() for ids in stream] == [ours.encode(text) for text in (TEXTS * 20)[5:]]
    assert list(ours.encode_stream([])) == []


def test_a_stream_through_two_processes_gives_the_ids_of_single_texts_in_their_order(ours, monkeypatch):
    monkeypatch.setattr(words.at_once, "__defaults__", (100,))
    texts = [*TEXTS * 5, "", *TEXTS]
    with Local(2) as engine:
        stream = list(ours.encode_stream(texts, engine))
        assert list(ours.encode_stream([], engine)) == []
    assert [ids.tolist() for ids in stream] == [ours.encode(text) for text in texts]
    assert {ids.dtype for ids in stream} == {np.dtype("uint32")}


def test_every_single_byte_has_a_token(ours):
    single = {ours.bytes_of(id) for id in range(ours.vocab_size)}
    assert {bytes([byte]) for byte in range(256)} <= single


def test_numbers_are_cut_in_pairs_and_han_apart_from_other_letters():
    ours = train(["年1987年", "在Linux上"] * 50, 400)
    assert [ours.bytes_of(id).decode() for id in ours.encode("年1987年在Linux上")] == [
        "年",
        "19",
        "87",
        "年",
        "在",
        "Linux",
        "上",
    ]


def test_merges_never_join_two_words(ours):
    for id in range(ours.vocab_size):
        assert b" " not in ours.bytes_of(id)[1:].rstrip(b" ")


def test_the_same_texts_give_the_same_tokenizer_in_another_process(ours):
    code = (
        "import sys; from upwell.tokens.tokenizer import train; import json;"
        "print(train(json.loads(sys.stdin.read()), 400).hash)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == ours.hash


def test_training_reads_a_generator_once():
    assert train((text for text in TEXTS), 400).hash == train(TEXTS, 400).hash


def test_a_small_corpus_gives_fewer_tokens_and_says_so_by_its_size():
    assert 257 <= train(["hello hello"], 5000).vocab_size < 300


def test_a_vocabulary_below_the_bytes_is_refused():
    with pytest.raises(DataError, match="256 .*at least 257"):
        train(TEXTS, 100)


def test_a_saved_folder_opens_with_the_same_hash_and_ids(ours, tmp_path):
    ours.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.hash == ours.hash and again.end == 0 and again.vocab_size == ours.vocab_size
    assert again.encode(TEXTS[0]) == ours.encode(TEXTS[0])
    again.save(tmp_path / "two")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_chat_template_beside_the_tokenizer_is_kept(ours, tmp_path):
    ours.save(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    Tokenizer.load(tmp_path).save(tmp_path / "two")
    assert (tmp_path / "two" / "chat_template.jinja").read_text(encoding="utf-8") == "{{ messages }}"


def test_a_missing_tokenizer_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="has no tokenizer.json; name a checkpoint folder"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"model": {"type": "Strange"}}'])
def test_a_damaged_tokenizer_is_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="tokenizer.json"):
        Tokenizer.load(tmp_path)


def test_a_damaged_config_beside_it_is_named(ours, tmp_path):
    ours.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="tokenizer_config.json"):
        Tokenizer.load(tmp_path)


def test_an_end_token_that_is_not_in_the_vocabulary_is_refused(ours, tmp_path):
    ours.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|gone|>"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"<\|gone\|> is not in the vocabulary"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "end"),
    [
        ("tokenizer_config.json", {"eos_token": {"content": "a"}}, "a"),
        ("generation_config.json", {"eos_token_id": [7, 8]}, 7),
        ("config.json", {"eos_token_id": 9}, 9),
    ],
)
def test_the_end_token_is_found_where_others_write_it(ours, tmp_path, name, content, end):
    ours.save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    found = Tokenizer.load(tmp_path).end
    assert found == (ours.encode("a")[0] if end == "a" else end)


def test_a_cut_that_a_file_asks_for_is_not_made(ours, tmp_path):
    ours.save(tmp_path)
    inner = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    inner.enable_truncation(3)
    inner.enable_padding(length=5)
    inner.save(str(tmp_path / "tokenizer.json"))
    again = Tokenizer.load(tmp_path)
    assert again.encode(TEXTS[0]) == ours.encode(TEXTS[0]) and len(again.encode("")) == 0


@pytest.fixture
def sentencepiece_style():
    """A LLaMA-like tokenizer: spaces as U+2581, unknown characters as bytes, a begin token by template."""
    alphabet = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "\u2581",
        "h",
        "i",
        "\u2581h",
    ]
    vocabulary = {piece: id for id, piece in enumerate([*alphabet, "\u2581hi"])}
    merges = [("\u2581", "h"), ("\u2581h", "i")]
    inner = tokenizers.Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    inner.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return inner


def test_a_sentencepiece_style_tokenizer_gives_its_bytes_and_adds_no_begin_token(
    sentencepiece_style, tmp_path
):
    sentencepiece_style.save(str(tmp_path / "tokenizer.json"))
    theirs = Tokenizer.load(tmp_path)
    ids = theirs.encode("hi 字 hi")
    assert theirs.end == 2 and 1 not in ids and 2 not in theirs.encode("</s>")
    assert b"".join(map(theirs.bytes_of, ids)) == " hi 字 hi".encode()
    assert theirs.decode(ids) == "hi 字 hi"
