"""A2: minilm-l6 over the passages of DisflQA; which questions are refused by the threshold that comes with it.

The threshold comes from questions of the part to learn from (see calibration.BUILT_IN); here are those of the part to
measure on: no passage is asked about in both. Questions of other subjects are those of NarrativeQA, about stories, and
of Natural Questions and BoolQ, which people typed into a search engine: a few of these are about what the passages are
about, too.
"""

import json
import random
from pathlib import Path

import pytest

from upwell import catalog, weights
from upwell.answering.asking import Asker, Settings
from upwell.answering.calibration import measured
from upwell.answering.index import Index
from upwell.answering.search import Searcher
from upwell.text import Document
from upwell.verbs._models import How, open_folder

pytestmark = pytest.mark.slow
MOST = 140  # questions with an answer, and without one
OTHERS = ("nq-open", "narrativeqa", "boolq")


def silent(text):
    pass


def some(questions, most=MOST):
    return random.Random(1).sample(questions, min(most, len(questions)))


@pytest.fixture(scope="module")
def asker(tmp_path_factory):
    encoder = open_folder(weights.fetch("minilm-l6", silent), How()).backend
    folder = tmp_path_factory.mktemp("refusals") / "index"
    texts = dict.fromkeys(one["context"] for one in records("disflqa"))
    with Index.open(folder, encoder=encoder, create=True) as index:
        index.add(Document(text, f"{number}.txt") for number, text in enumerate(texts))
        yield Asker(Searcher(index, encoder), settings=Settings())
    encoder.close()


def records(part):
    path = catalog.fetch("questions", part)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_A2_questions_on_other_subjects_are_refused_and_others_are_not(asker):
    known = some([one["question"] for one in records("disflqa") if one["answers"] and one["split"] == "test"])
    others = []
    for part in OTHERS:
        asked = [one.get("question") or one["prompt"] for one in records(part) if one["split"] == "test"]
        others += some(asked, MOST // len(OTHERS))
    confident = asker.calibration.confidence
    scores = [[confident(asker.shown(question)) for question in questions] for questions in (known, others)]
    found = measured(asker.threshold, *scores)
    print(f"refused {found.refused}, false refusals {found.false_refusals}, threshold {found.value:.3f}")
    assert found.refused.high >= 0.95, found.refused
    assert found.false_refusals.low <= 0.05, found.false_refusals


def test_A1_every_citation_is_an_exact_span_of_the_document_that_it_names(asker):
    known = some([one for one in records("disflqa") if one["answers"] and one["split"] == "test"])
    own, answered = 0, 0
    for one in known:
        answer = asker.ask(one["question"])
        answered += not answer.refused
        for citation in answer.citations:
            stored = asker.searcher.index.text(citation.document)
            assert stored[citation.start : citation.end] == citation.text
            own += stored == one["context"]
    print(f"{own} of {answered} answers cite the passage that their question was written about")
    assert answered > len(known) / 2 and own > answered / 2


def test_A2_chinese_questions_are_told_apart_though_the_encoder_knows_english_alone(tmp_path):
    shop = json.loads((Path(__file__).parent / "faq_zh.json").read_text(encoding="utf-8"))
    encoder = open_folder(weights.fetch("minilm-l6", silent), How()).backend
    with Index.open(tmp_path / "index", encoder=encoder, create=True) as index:
        index.add(Document(one["answer"], str(number)) for number, one in enumerate(shop["entries"]))
        asker = Asker(Searcher(index, encoder))
        own = [asker.ask(one["question"]) for one in shop["entries"]]
        others = [asker.ask(one) for one in shop["unrelated"][30:]]
    encoder.close()
    first = sum(one.hits[0].passage.source == str(number) for number, one in enumerate(own) if one.hits)
    refused, falsely = sum(one.refused for one in others), sum(one.refused for one in own)
    print(f"{refused} of {len(others)} refused, falsely {falsely} of {len(own)}; right text first {first}")
    assert refused >= 0.9 * len(others) and falsely <= 0.5 * len(own) and first >= 0.4 * len(own)
