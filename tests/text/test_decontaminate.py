"""What stands in an evaluation set is found however it is written, and what only looks like it stays."""

import bz2
import gzip
import io
import json
import random

import pytest

from tests.text import reader_files
from upwell.errors import DataError
from upwell.text import Document, Dropped
from upwell.text.steps.decontaminate import Settings, step

QUESTION = (
    "A farmer has seventeen sheep and all but nine of them run away through the broken fence one evening. "
    "How many sheep are left in the field when she counts them next morning before breakfast?"
)
SHORT = "Which planet of the solar system has the most moons?"
CHINESE = "农夫有十七只羊，一天傍晚除了九只以外都从坏了的篱笆跑掉了，第二天早上她还剩下多少只羊？"
CHINESE_SHORT = "太阳系中哪一颗行星的卫星数量是最多的？"
AROUND = "It was a long winter in the hills, and the people told each other riddles to pass the time. "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    rows = [{"id": 1, "question": QUESTION, "choices": ["nine", "eight"]}, {"q": {"text": SHORT}}, {"zh": CHINESE}]
    rows += [{"zh": CHINESE_SHORT}]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "riddles.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def check(folder):
    return step(Settings(against=(folder,)))


def dropped(check, text: str, **fields) -> Dropped | None:
    found = check(Document(text, "a", **fields))
    return found if isinstance(found, Dropped) else None


@pytest.mark.parametrize(
    "leak",
    [
        QUESTION,
        QUESTION.upper(),
        QUESTION.replace(" ", "\n  "),
        QUESTION.replace(",", "").replace(".", " —").replace("?", "!!"),
        f"“{QUESTION.replace(' ', chr(0xA0))}”",
        "".join(chr(ord(char) + 0xFEE0) if char.isalpha() else char for char in QUESTION),  # full-width letters
        " ".join(QUESTION.split()[5:18]),
        SHORT,
        f"**{SHORT.lower()}**",
        CHINESE,
        CHINESE.replace("，", " ").replace("？", ""),
        "\n".join(CHINESE[5:30]),
        CHINESE_SHORT,
    ],
)
@pytest.mark.parametrize(
    "around", [("", ""), (AROUND, f" {AROUND}"), ("冬天很长，", "。人们讲谜语。"), ("Été à Noël. ", " Ça!")]
)
def test_a_planted_leak_is_found_in_every_writing(check, leak, around):
    found = dropped(check, f"{around[0]}{leak}{around[1]}")
    assert found and found.reason == "in an evaluation set"


@pytest.mark.parametrize(
    "text",
    [
        AROUND * 20,
        " ".join(QUESTION.split()[:12]) + " and so on",
        " ".join(reversed(QUESTION.split())),
        QUESTION.replace("sheep", "goats").replace("field", "barn").replace("nine", "ten").replace("evening", "day"),
        "Which planet of the solar system has the most rings?",
        "nine eight",
        CHINESE[:14] + "的时候",
        CHINESE[::-1],
        "太阳系中哪一颗行星的卫星数量是最少的？",
        "",
        "羊",
    ],
)
def test_look_alikes_stay(check, text):
    assert dropped(check, text) is None


def test_the_detail_names_the_set_the_line_and_the_piece(check, folder):
    found = dropped(check, AROUND + QUESTION)
    assert found.detail == f"{folder / 'riddles.jsonl'}:1: {' '.join(QUESTION.lower().split()[:13])}"
    assert f"{folder / 'riddles.jsonl'}:3: 农夫有十七只羊" in dropped(check, CHINESE).detail


def test_more_shared_pieces_can_be_asked_for(folder):
    check = step(Settings(against=(folder / "riddles.jsonl",), least=5))
    words = QUESTION.split()
    assert dropped(check, " ".join(words[:16])) is None
    assert dropped(check, " ".join(words[:17]))


def test_a_set_s_way_of_asking_gives_nothing_away(tmp_path):
    asking = "Read the following passage with care and then choose the one best answer to the question below it."
    lines = [json.dumps({"prompt": f"{asking} {word} {QUESTION[::-1]}"}) for word in "abcdefgh"]
    (tmp_path / "set.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert dropped(step(Settings(against=(tmp_path,))), asking) is None
    assert dropped(step(Settings(against=(tmp_path,), most_texts=8)), asking)


def test_a_passage_that_many_questions_share_is_one_text(tmp_path):
    lines = [json.dumps({"context": QUESTION, "question": f"What is {number}?"}) for number in range(20)]
    (tmp_path / "set.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert dropped(step(Settings(against=(tmp_path,))), QUESTION)


def test_text_files_are_read_by_paragraphs_and_json_whole(tmp_path):
    (tmp_path / "a.txt").write_text(f"# Title\n\nfirst\n\n{QUESTION}\n", encoding="utf-8")
    (tmp_path / "b.json").write_text(json.dumps([{"x": [CHINESE]}]), encoding="utf-8")
    check = step(Settings(against=(tmp_path / "a.txt", tmp_path / "b.json")))
    assert dropped(check, QUESTION).detail.startswith(f"{tmp_path / 'a.txt'}:5: ")
    assert dropped(check, CHINESE).detail.startswith(f"{tmp_path / 'b.json'}: ")


def packed_sets():
    """Name -> the same two sentences as one set."""
    row = {"question": QUESTION, "choices": [CHINESE]}
    line = json.dumps(row, ensure_ascii=False).encode()
    table = f'question,choices\n"{QUESTION}","{CHINESE}"\n'.encode()
    yield "set.jsonl.gz", gzip.compress(line)
    yield "set.csv", table
    yield "set.tsv.bz2", bz2.compress(f"q\tc\n{QUESTION}\t{CHINESE}\n".encode())
    yield "set.zip", reader_files.zipped({"in/set.json": json.dumps([row]), "in/more.csv.gz": gzip.compress(table)})
    yield "set.tgz", gzip.compress(reader_files.tarred({"set.txt": f"{QUESTION}\n\n{CHINESE}"}))
    yield "set.parquet", parquet(row)
    yield "set.parquet.gz", gzip.compress(parquet(row))
    yield "chinese.txt", f"{QUESTION}\n\n{CHINESE * 5}".encode("gb18030")


def parquet(row):
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"question": "?"} | row, row]), out)
    return out.getvalue()


SETS = dict(packed_sets())


@pytest.mark.parametrize("name", SETS)
def test_tables_parquet_and_packed_sets_are_read_too(tmp_path, name):
    content = SETS[name]
    (tmp_path / name).write_bytes(content)
    check = step(Settings(against=(tmp_path,)))
    assert dropped(check, QUESTION).detail.startswith(f"{tmp_path / name}")
    assert dropped(check, CHINESE)
    assert dropped(check, AROUND) is None


def test_half_a_set_and_a_zip_bomb_are_told(tmp_path):
    faults = {"half.parquet": parquet({"q": QUESTION})[:200], "half.jsonl.gz": gzip.compress(b"{}" * 9000)[:40],
              "bomb.zip": reader_files.zipped({"a.txt": b"a" * (60 << 20)}), "bad.csv.xz": b"no"}  # fmt: skip
    for name, content in faults.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            step(Settings(against=(tmp_path / name,)))


def test_with_no_sets_nothing_is_done():
    document = Document(QUESTION, "a")
    assert step(Settings())(document) is document


def test_sets_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"a": ', encoding="utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "data.json").write_bytes(b"\xff\xfe\x00")
    faults = {"bad.jsonl": "cannot be read", "empty": "holds no", "none": "not there", "data.json": "cannot be read"}
    for name, words in faults.items():
        with pytest.raises(DataError, match=words):
            step(Settings(against=(tmp_path / name,)))


def test_the_same_as_comparing_all_pieces_one_by_one(tmp_path):
    """Random texts over few words, so that many pieces are nearly shared."""
    chance = random.Random(1)
    sets = [[chance.choice("abc") for _ in range(chance.randrange(1, 40))] for _ in range(30)]
    lines = [json.dumps({"t": " ".join(words)}) for words in sets]
    (tmp_path / "set.jsonl").write_text("\n".join(lines), encoding="utf-8")
    check = step(Settings(against=(tmp_path,), words=13, most_texts=1000))
    pieces = {tuple(words[i : i + 13]) for words in sets for i in range(len(words) - 12)}
    pieces |= {tuple(words) for words in sets if 8 <= len(words) < 13}
    hits = 0
    for _ in range(400):
        words = [chance.choice("abcx") for _ in range(9)] + chance.choice(sets)[: chance.randrange(20)]
        truth = any(tuple(words[i : i + n]) in pieces for n in range(8, 14) for i in range(len(words)))
        assert bool(dropped(check, " ".join(words))) == truth
        hits += truth
    assert 50 < hits < 350
