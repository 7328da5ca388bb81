"""Translations are scored as sacrebleu scores them, beside a copy; signs and samples are counted by hand."""

from dataclasses import dataclass, field

import pytest

from upwell.errors import DataError
from upwell.evaluation.tasks import translation
from upwell.generation.settings import Piece
from upwell.model import preset
from upwell.model.sizes import Sizes
from upwell.objectives import pairs
from upwell.text import Document
from upwell.tokens.tokenizer import train

sacrebleu = pytest.importorskip("sacrebleu")
ENGLISH = ["Choose the file to open.", "Save %s in the folder {name}.", "The cell is empty.",
           "Close the <b>window</b>."]  # fmt: skip
GERMAN = ["Wählen Sie die Datei zum Öffnen.", "%s im Ordner {name} speichern.", "Die Zelle ist leer.",
          "Schließen Sie das <b>Fenster</b>."]  # fmt: skip
CHINESE = ["选择要打开的文件。", "将 %s 保存到文件夹 {name}。", "单元格是空的。", "关闭<b>窗口</b>。"]


@dataclass
class Canned:
    """A model that answers what it reads with a text from a list; its tokenizer and config are real ones."""

    texts: dict[str, str]
    tokenizer: object
    config: object
    asked: list = field(default_factory=list)
    has_source: bool = True

    def generate(self, ids, settings):
        read = self.tokenizer.decode(ids).strip()
        self.asked.append((read, settings))
        text = self.texts[read]
        return iter([Piece(text[:2], tokens=(1, 2)), Piece(text[2:], tokens=(3,), finish="stop")])


@pytest.fixture(scope="module")
def backend():
    tokenizer = train(ENGLISH + GERMAN, 300)
    config = preset.config(Sizes("t5", 32, 1, 2), 300, 64, tokenizer.end)
    texts = {f"<2de> {one}": other for one, other in zip(ENGLISH, GERMAN, strict=True)}
    texts |= {f"<2en> {other}": "The cell." for other in GERMAN}
    return Canned(texts, tokenizer, config)


def documents(domains=("a", "b")):
    found = []
    for number, (source, target) in enumerate(zip(ENGLISH, GERMAN, strict=True)):
        fields = {"task": "pair", "source": source, "target": target, "source_language": "en", "target_language": "de"}
        label = domains[number % len(domains)]
        found.append(Document(f"{source}\n{target}", f"x:{number}", label=label, fields=fields))
    return [Document("plain", "x:9"), *found]


def translated(sources, texts, references):
    return [translation.Translated("en to de", "", *three) for three in zip(sources, texts, references, strict=True)]


@pytest.mark.parametrize(("references", "tokenize"), [(GERMAN, "13a"), (CHINESE, "zh")])
def test_scores_and_signature_are_sacrebleus(references, tokenize):
    texts = [references[0], references[1][:-3], references[3], references[2]]
    found, signature = translation.scored(translated(ENGLISH, texts, references))
    for before, said in (("", texts), ("copy ", ENGLISH)):
        bleu = sacrebleu.corpus_bleu(said, [references], tokenize=tokenize).score
        chrf = sacrebleu.corpus_chrf(said, [references]).score
        assert found.numbers[f"{before}bleu"].value == pytest.approx(bleu, abs=1e-9)
        assert found.numbers[f"{before}chrf"].value == pytest.approx(chrf, abs=1e-9)
    assert f"tok:{tokenize}" in signature and "version:" in signature
    assert found.numbers["exact match"].value == 0.25 and found.items == 4


def test_signs_that_a_program_fills_in_are_counted_where_there_are_any():
    texts = ["x", "{name}: %s", "x", "das <b>Fenster"]
    found, _ = translation.scored(translated(ENGLISH, texts, GERMAN))
    assert found.numbers["signs kept"].value == 0.5
    assert translation.kept("%(n)s of %d", "%d von %(n)s") and not translation.kept("%1 %1", "%1")
    assert "signs kept" not in translation.scored(translated(ENGLISH[:1], ["x"], GERMAN[:1]))[0].numbers


def test_both_directions_are_asked_by_their_prefix_and_told_by_domain(backend):
    way = pairs.Settings(prefix="<2{target}> ", both=True)
    found = translation.measure(backend, documents(), translation.Settings(way=way))
    assert list(found.groups) == [("en to de", ""), ("en to de", "a"), ("en to de", "b"),
                                  ("de to en", ""), ("de to en", "a"), ("de to en", "b")]  # fmt: skip
    forth, back = found.groups["en to de", ""], found.groups["de to en", ""]
    assert forth.numbers["bleu"].value == pytest.approx(100) and forth.items == 4
    assert back.numbers["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(["The cell."] * 4, [ENGLISH]).score)
    assert found.groups["en to de", "a"].items == 2 and found.tokens == 8 * 3
    assert forth.samples[0] == {"prompt": ENGLISH[0], "text": GERMAN[0], "reference": GERMAN[0]}
    assert {settings.strategy for _, settings in backend.asked} == {"beam"}


def test_one_domain_is_not_told_twice_and_some_pairs_lie_evenly(backend):
    found = translation.measure(backend, documents("a"), translation.Settings(2, 1, pairs.Settings("<2{target}> ")))
    assert list(found.groups) == [("en to de", "")] and found.groups["en to de", ""].items == 2
    assert [read for read, _ in backend.asked[-2:]] == [f"<2de> {ENGLISH[0]}", f"<2de> {ENGLISH[2]}"]
    assert backend.asked[-1][1].temperature == 0
    assert translation.spread(list(range(10)), 4) == [0, 2, 5, 7] and translation.spread([1, 2], 0) == [1, 2]


def test_pairs_that_share_a_side_with_a_learnt_one_are_left_out():
    held = documents()
    learnt = [Document("x", "y:1", fields={"task": "pair", "source": "Other.", "target": GERMAN[1]}),
              Document("x", "y:2", fields={"task": "pair", "source": ENGLISH[3], "target": "Anderes."})]  # fmt: skip
    assert translation.unseen(held, learnt) == ([held[1], held[3]], 2)
    assert translation.unseen(held, held[:1]) == (held[1:], 0)


def test_pairs_are_wanted(backend):
    with pytest.raises(DataError, match="found no held-out pairs"):
        translation.measure(backend, documents()[:1], translation.Settings())
