"""Files of questions and answers: what is read, and every fault with its place, all at once."""

import json

import pytest

from upwell.answering import faq_entries
from upwell.answering.faq_entries import read
from upwell.errors import DataError

CSV = """question,answer,alternatives,id
Where are you?,In Bonn.,Your address?|How do I find you?,place
Are dogs allowed?,Yes.,,
"""
MARKDOWN = """# Questions

About us.

## Where are you?

In **Bonn**.

```
# no question
```

## Are dogs allowed?
Yes.
"""
HTML = """<html><head><title>Shop</title><style>p {}</style></head><body><nav><h2>Menu</h2></nav>
<h1>Questions</h1>
<details><summary><h3>Where are you?</h3></summary><p>In <b>Bonn</b>,<br>near the river.</p></details>
<dl><dt>Are dogs allowed?</dt><dd>Yes.</dd><dd>On a leash.</dd></dl><script>alert(1)</script><footer>2026</footer>
</body></html>
"""


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8") if isinstance(text, str) else path.write_bytes(text)
    return path


def pairs(path, say=lambda sentence: None):
    return [(one.question, one.answer) for one in read(path, say)]


def fault(path):
    with pytest.raises(DataError) as error:
        read(path)
    return str(error.value)


def test_a_table_gives_entries_with_alternatives_ids_and_lines(tmp_path):
    first, second = read(written(tmp_path, "faq.csv", CSV))
    assert (first.question, first.answer, first.id, first.source) == (
        "Where are you?",
        "In Bonn.",
        "place",
        "faq.csv:2",
    )
    assert first.alternatives == ("Your address?", "How do I find you?") and second.alternatives == ()
    assert second.id and second.id == read(written(tmp_path, "faq.csv", CSV))[1].id


def test_a_table_of_another_program_reads_too(tmp_path):
    text = '问题;答案;分类\r\n你们在哪？;波恩。;地点\r\n可以带狗吗？;"可以，\r\n要牵绳。";动物\r\n'
    text += "营业时间？;九点到六点。;时间\r\n"
    said = []
    found = read(written(tmp_path, "faq.csv", text.encode("gb18030")), said.append)
    assert [one.answer for one in found] == ["波恩。", "可以，\n要牵绳。", "九点到六点。"] and found[
        2
    ].source == "faq.csv:5"
    assert len(said) == 1 and "分类" in said[0]


@pytest.mark.parametrize(
    "text",
    [
        [{"question": "Where are you?", "answer": "In Bonn."}, {"q": "Are dogs allowed?", "a": "Yes."}],
        {
            "entries": [
                {"question": "Where are you?", "answer": "In Bonn."},
                {"问题": "Are dogs allowed?", "答案": "Yes."},
            ]
        },
        {
            "@type": "FAQPage",
            "mainEntity": [
                {
                    "@type": "Question",
                    "name": "Where are you?",
                    "acceptedAnswer": {"@type": "Answer", "text": "In Bonn."},
                },
                {
                    "@type": "Question",
                    "name": "Are dogs allowed?",
                    "acceptedAnswer": {"@type": "Answer", "text": "Yes."},
                },
            ],
        },
    ],
)
def test_json_in_three_layouts(tmp_path, text):
    path = written(tmp_path, "faq.json", json.dumps(text, indent=1, ensure_ascii=False))
    assert pairs(path) == [("Where are you?", "In Bonn."), ("Are dogs allowed?", "Yes.")]


def test_the_lines_of_json_are_told_and_where_they_are_not_sure_the_number(tmp_path):
    text = '{"entries":\n [{"question": "x", "answer": "y"},\n\n  {"question": "", "answer": "y"}]}'
    assert "faq.json:4: " in fault(written(tmp_path, "faq.json", text))
    inner = '{"about": {"entries": [1]}, "entries": [{"question": "x", "answer": "y"}, {"question": ""}]}'
    assert "faq.json, entry 2: " in fault(written(tmp_path, "faq.json", inner))


def test_json_lines_know_their_lines(tmp_path):
    path = written(
        tmp_path, "faq.jsonl", '\n{"question": "Where?", "answer": "Bonn."}\n{"question": "", "answer": "x"}\n[]\n{\n'
    )
    told = fault(path)
    assert "3 entries cannot be used" in told
    assert all(place in told for place in ("faq.jsonl:3: ", "faq.jsonl:4: ", "faq.jsonl:5: "))


def test_markdown_takes_headings_as_questions_and_tells_of_the_title(tmp_path):
    said = []
    found = pairs(written(tmp_path, "faq.md", MARKDOWN), said.append)
    assert found == [("Where are you?", "In **Bonn**.\n\n```\n# no question\n```"), ("Are dogs allowed?", "Yes.")]
    assert len(said) == 1 and "faq.md:1" in said[0] and "passed over" in said[0]


def test_lines_that_begin_with_question_and_answer(tmp_path):
    text = "# Shop\nQ: Where are you?\nA: In Bonn.\nNear the river.\n\n**Q2: Are dogs allowed?**\n**A2:** Yes.\n\n"
    text += "问：几点开门？\n答：九点。\n"
    assert pairs(written(tmp_path, "faq.txt", text)) == [
        ("Where are you?", "In Bonn.\nNear the river."), ("Are dogs allowed?", "Yes."),
        ("几点开门？", "九点。")]  # fmt: skip


def test_html_takes_lists_and_details_and_else_headings(tmp_path):
    assert pairs(written(tmp_path, "faq.html", HTML)) == [
        ("Where are you?", "In Bonn,\nnear the river."), ("Are dogs allowed?", "Yes.\n\nOn a leash.")]  # fmt: skip
    plain = "<h1>Shop</h1><h2><button>Where are you?</button></h2><div><p>In Bonn.</p></div><h2>Dogs?</h2>Yes."
    assert pairs(written(tmp_path, "faq.htm", plain)) == [("Where are you?", "In Bonn."), ("Dogs?", "Yes.")]


def test_all_faults_are_told_at_once_with_their_lines(tmp_path):
    text = "question,answer\nWhere?,Bonn.\n,nothing asked\nWhen?,\nToo,many,fields\n???,Yes.\nWhere?,Paris.\n"
    told = fault(written(tmp_path, "faq.csv", text))
    assert told.startswith("5 entries cannot be used")
    for line, words in (
        (3, "question"),
        (4, "answer"),
        (5, "2 fields, found 3"),
        (6, "words"),
        (7, "same as faq.csv:2"),
    ):
        assert any(f"faq.csv:{line}: " in row and words in row for row in told.splitlines()), (line, told)


def test_what_stands_twice_is_taken_once_and_told(tmp_path):
    said = []
    path = written(tmp_path, "faq.csv", "question,answer\nWhere are you?,In Bonn.\nWhere  are you,in bonn\n")
    assert len(read(path, said.append)) == 1 and "taken as one" in said[0]


def test_entries_that_share_a_phrase_and_an_answer_keep_all_their_phrases(tmp_path):
    said = []
    rows = "question,answer,alternatives\nHow do I pay?,By card.,\nWhich cards?,by card,How do I pay?|Visa?\n"
    (entry,) = read(written(tmp_path, "faq.csv", rows), said.append)
    assert entry.phrases == ("How do I pay?", "Which cards?", "Visa?") and len(said) == 1
    rows += "Visa?,No.,\n"
    with pytest.raises(DataError, match="answers something else"):
        read(written(tmp_path, "other.csv", rows))


def test_answers_of_schema_org_are_texts_without_their_markup(tmp_path):
    answer = '{"text": "<p>Two &amp; a half <b>years</b></p>"}'
    text = f'[{{"@type": "Question", "name": "How long?", "acceptedAnswer": {answer}}}]'
    (entry,) = read(written(tmp_path, "faq.json", text))
    assert entry.answer == "Two & a half years"


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("faq.csv", "", "question"),
        ("faq.csv", "a question,reply\nx,y\n", "question"),
        ("faq.csv", "question,answer\n", "no question"),
        ("faq.csv", 'question,answer\n"x,y\n', "faq.csv:2"),
        ("faq.json", "{", "faq.json:1"),
        ("faq.json", "3", "expected a list"),
        ("faq.json", '[{"question": "x", "question": "y", "answer": "z"}]', "twice"),
        ("faq.json", "[" * 100_000, "JSON"),
        ("faq.json", '[{"question": ["x"], "answer": "z"}, {"question": "y", "answer": 3}]', "2 entries"),
        ("faq.json", '[{"question": "x", "answer": "z", "alternatives": [1]}]', "alternatives"),
        ("faq.md", "no heading", "no question"),
        ("faq.md", "# Alone\n", "answer"),
        ("faq.html", "<p>nothing", "no question"),
        ("faq.csv", b"question,answer\n\xff\xfe\x00,x\n", "faq.csv"),
        ("faq.exe", "x", "expected a file of the kinds"),
    ],
)
def test_B8_a_file_that_holds_no_entries_is_one_sentence(tmp_path, name, text, words):
    assert words in fault(written(tmp_path, name, text))


def test_B8_a_file_that_is_not_there_or_too_large_is_one_sentence(tmp_path, monkeypatch):
    assert "cannot be read" in fault(tmp_path / "none.csv")
    monkeypatch.setattr("upwell.answering.faq_files.LARGEST", 10)
    assert "at most 10" in fault(written(tmp_path, "faq.csv", CSV))
    monkeypatch.setattr("upwell.answering.faq_files.LARGEST", 10_000)
    monkeypatch.setattr(faq_entries, "MOST", 1)
    assert "upwell index" in fault(written(tmp_path, "faq.csv", CSV))


def test_B8_entries_of_any_length_and_depth_do_not_hang(tmp_path):
    deep = "<div>" * 20_000 + "<dt>Where?</dt><dd>Bonn.</dd>"
    assert pairs(written(tmp_path, "faq.html", deep)) == [("Where?", "Bonn.")]
    assert "characters" in fault(written(tmp_path, "faq.csv", f"question,answer\n{'x' * 501},y\nz,{'y' * 20_001}\n"))


def test_a_key_that_is_written_with_escapes_is_the_same_key(tmp_path):
    path = written(tmp_path, "faq.json", '{"\\u0065ntries": [{"question": "Where?", "answer": "Here."}]}')
    assert [(one.question, one.source) for one in read(path)] == [("Where?", "faq.json, entry 1")]


def test_an_answer_that_begins_with_bold_words_keeps_them(tmp_path):
    path = written(tmp_path, "faq.txt", "Q: Where?\r\nA: **Here** and there\r\n**Q: When?**\r\n**A:** Now\r\n")
    assert [one.answer for one in read(path)] == ["**Here** and there", "Now"]
