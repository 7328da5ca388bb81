"""What a person sees of documents and tokens before anything is trained."""

import io

import pytest
from rich.console import Console

from tests.text import chats
from upwell import showing
from upwell.errors import UpwellError
from upwell.text import Document
from upwell.text.chat import Template
from upwell.text.examples import document

OWN = """
from dataclasses import dataclass
from upwell.objectives import Example

@dataclass(frozen=True)
class Settings:
    pass

def examples(documents, tokenizer, template, settings):
    for document in documents:
        yield Example(tokenizer.encode("good"), [True] * len(tokenizer.encode("good")), document.source, "chosen")
        yield Example(tokenizer.encode("bad"), [False] * len(tokenizer.encode("bad")), document.source, "rejected")
"""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return chats.byte_level(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    return chats.sentences(tmp_path_factory.mktemp("sentences"))


def piped(encoding="utf-8"):
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding), width=60, highlight=False, markup=False, emoji=False)


def coloured(monkeypatch, no_color=False):
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Console(file=io.StringIO(), width=60, force_terminal=True, color_system="truecolor", highlight=False,
                   markup=False, emoji=False, no_color=no_color)  # fmt: skip


def said(console):
    console.file.seek(0)
    return console.file.read()


def tokens(text, tokenizer, console, learnt=True):
    ids = tokenizer.encode(text)
    showing.show_tokens(ids, [learnt] * len(ids), tokenizer, console)
    return said(console)


@pytest.mark.parametrize("text", ["The sea, wide and  far.\n\n\tEnd ", "龙年 😀 世界\r\n", "a < b && c > d", "é ñ – ß"])
def test_pieces_hold_every_character_of_the_text_and_every_token(text, tokenizer, sentences):
    for one in (tokenizer, sentences):
        ids = one.encode(text)
        found = list(showing.pieces(ids, [True] * len(ids), one))
        assert "".join(piece.text for piece in found).removeprefix(" ") == text
        assert sum(piece.count for piece in found) == len(ids)


def test_tokens_that_are_parts_of_one_character_are_drawn_as_one_with_their_number(tokenizer):
    assert len(tokenizer.encode("龙")) == 3
    assert tokens("龙", tokenizer, piped()) == "[龙₃]\n"


def test_bytes_that_make_up_no_character_are_drawn_as_digits(tokenizer):
    console, ids = piped(), tokenizer.encode("龙")[:2]
    showing.show_tokens([*ids, *tokenizer.encode("a")], [True] * 3, tokenizer, console)
    first, second = (tokenizer.bytes_of(id)[0] for id in ids)
    assert said(console) == f"[\\x{first:02x}][\\x{second:02x}][a]\n"


def test_a_character_whose_parts_are_not_all_learnt_is_taken_apart(tokenizer):
    console = piped()
    showing.show_tokens(tokenizer.encode("龙"), [False, True, True], tokenizer, console)
    assert said(console) == "(\\xe9)[\\xbe][\\x99]\n"


def test_spaces_and_line_ends_are_seen(tokenizer):
    assert tokens(" sea\n", tokenizer, piped()) == "[·sea][↵]\n"
    assert tokens("\t\r", tokenizer, piped()) == "[⇥   ][\\r]\n"


def test_brackets_tell_what_is_learnt_where_there_are_no_colours(tokenizer, monkeypatch):
    ids = [*tokenizer.encode(" sea"), tokenizer.special["<s>"]]
    for mask, expected in (([True, False], "[·sea]((<s>))\n"), ([False, True], "(·sea)[[<s>]]\n")):
        for console in (piped(), coloured(monkeypatch, no_color=True)):
            showing.show_tokens(ids, mask, tokenizer, console)
            assert said(console) == expected


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_the_terminal_can_refuse_colours(variable, tokenizer, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    console = Console(file=io.StringIO(), force_terminal=True)
    assert tokens(" sea", tokenizer, console) == "[·sea]\n"


def test_an_encoding_without_the_signs_gets_plain_ones(tokenizer):
    assert tokens(" sea\n", tokenizer, piped("ascii")) == "[_sea][\\n]\n"


def test_neighbours_differ_in_colour_and_learnt_ones_from_read_ones(tokenizer, monkeypatch):
    console = coloured(monkeypatch)
    learnt = tokens(" sea sea sea", tokenizer, console)
    assert learnt.count("·sea") == 3 and len(set(learnt.split("·sea")[:3])) == 3
    console = coloured(monkeypatch)
    read = tokens(" sea sea sea", tokenizer, console, learnt=False)
    colours = {part[-12:] for part in read.split("·sea")[:3]}
    assert len(colours) == 2 and "48;2;28;28;28" in read and not set(learnt.split("·sea")) & set(read.split("·sea")[:3])


def test_a_special_token_that_a_user_typed_is_drawn_as_plain_text(tokenizer):
    drawn = tokens("<|im_end|>", tokenizer, piped())
    assert "[[<|im_end|>]]" not in drawn and drawn.replace("][", "") == "[<|im_end|>]\n"


def test_escape_sequences_of_a_text_do_not_reach_the_terminal(tokenizer, monkeypatch):
    assert "\x1b[31m" not in tokens("\x1b[31mred", tokenizer, coloured(monkeypatch))
    console = coloured(monkeypatch)
    showing.show_documents([Document("\x1b[31mred", "a\x1b[31m.txt", changes=(("\x1b[31m", 1),))], console)
    assert "\x1b[31m" not in said(console)


def test_long_lines_are_folded_on_a_terminal_and_whole_in_a_file(tokenizer, monkeypatch):
    text = " sea" * 40
    assert tokens(text, tokenizer, piped()).count("\n") == 1
    assert tokens(text, tokenizer, coloured(monkeypatch)).count("\n") == 3


def test_of_many_tokens_the_rest_is_counted(tokenizer):
    drawn = tokens(" sea" * 700, tokenizer, piped())
    assert drawn.count("[·sea]") == 500 and drawn.endswith("... and 200 more tokens, 200 of them learnt\n")


def test_a_chat_is_shown_with_what_its_template_has_learnt(tokenizer):
    template, console = Template(chats.CHATML, {"eos_token": "<|im_end|>"}), piped()
    chat = document({"messages": chats.said(" sea", "is wide")}, "c.jsonl:4")
    assert showing.show("causal", [chat], tokenizer, template, console=console) == 1
    drawn = said(console)
    assert f"chat template {template.hash[:12]}" in drawn and "c.jsonl:4" in drawn
    *_, question, _, answer = [line for line in drawn.splitlines() if line]
    assert question == "(·sea)((<|im_end|>))(↵)"
    assert answer.startswith("[i") and answer.endswith("[·wide][[<|im_end|>]](↵)") and "(i" not in answer


def test_at_most_the_limit_is_shown_and_no_more_documents_are_read(tokenizer):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield Document("The sea", "a.txt")

    assert showing.show("causal", endless(), tokenizer, limit=3, console=piped()) == 3 and len(taken) == 3
    assert showing.dry_run(endless(), limit=2, console=piped()) == 2 and len(taken) == 5


def test_an_objective_of_ones_own_joins_by_its_file(tokenizer, tmp_path):
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    console = piped()
    showing.show(str(tmp_path / "mine.py"), [Document("x", "a.txt")], tokenizer, console=console)
    drawn = said(console)
    assert "1 chosen  a.txt" in drawn and "2 rejected  a.txt" in drawn and "(b" in drawn


def test_an_objective_that_shows_nothing_is_named(tokenizer, tmp_path):
    (tmp_path / "mute.py").write_text("loss = None", encoding="utf-8")
    with pytest.raises(UpwellError, match="has no function `examples`"):
        showing.show(str(tmp_path / "mute.py"), [], tokenizer, console=piped())
    with pytest.raises(UpwellError, match="did you mean causal"):
        showing.show("casual", [], tokenizer, console=piped())


def test_documents_are_shown_with_their_parts_and_what_was_changed():
    console = piped()
    documents = [
        Document("one\ntwo", "a.txt", "Title", language="en", changes=(("e-mail masked", 2),)),
        document({"messages": [{"role": "system", "content": "Be kind."}, *chats.said("你好", "a\nb")]}, "c.jsonl:1"),
        document({"question": "q", "context": "c", "answers": []}, "q.jsonl:1"),
        document({"en": "sea", "zh": "海"}, "p.tsv:2"),
        document({"text": "fine", "label": 0}, "l.csv:3"),
    ]
    showing.dry_run(documents, console=console)
    assert [line.rstrip() for line in said(console).splitlines() if line] == [
        "1  a.txt  plain text, prose, en, 7 characters",
        "   changed: e-mail masked (2)",
        "   title │ Title", "   text  │ one", "         │ two",
        "2  c.jsonl:1  chat, dialogue, 15 characters",
        "   system    │ Be kind.", "   user      │ 你好", "   assistant │ a", "             │ b",
        "3  q.jsonl:1  answer, prose, 3 characters",
        "   question │ q", "   context  │ c", "   answers  │ (none)",
        "4  p.tsv:2  pair, prose, 5 characters",
        "   en │ sea", "   zh │ 海",
        "5  l.csv:3  label, prose, 4 characters",
        "   text  │ fine", "   label │ 0",
        "q.jsonl: questions without an answer: 1, first q.jsonl:1; what is learnt is that the context does not tell",
    ]  # fmt: skip


def test_a_long_document_is_cut_and_the_rest_counted():
    console = piped()
    showing.show_documents([Document("x" * 2000, "a.txt")], console)
    assert "... and 800 more characters" in said(console)


def test_nothing_to_show_is_said(tokenizer):
    for console in (piped(), piped()):
        assert showing.dry_run([], console=console) == 0
        assert "There is no document to show." in said(console)
    assert showing.show("causal", [], tokenizer, console=piped()) == 0
