"""Documents that are asked: an index in memory, and one who answers with the sentence that shares most words."""

import re
from dataclasses import dataclass

from upwell.answering import Answer, Citation, Hit, Passage
from upwell.errors import DataError
from upwell.serving.library import Library

NOTHING = "Not in the documents."


@dataclass(frozen=True)
class Record:
    """What an index says of a document."""

    id: int
    source: str
    title: str
    collection: str
    characters: int
    passages: int


class Index:
    """texts: {(collection, source): text}; the documents' numbers begin with 1. A first line with # is the title."""

    def __init__(self, texts):
        self.texts = dict(enumerate(texts.items(), start=1))

    def collections(self):
        return sorted({collection for (collection, _), _ in self.texts.values()})

    def documents(self):
        return [Record(number, source, title(text), collection, len(text), len(self.passages(number)))
                for number, ((collection, source), text) in self.texts.items()]  # fmt: skip

    def text(self, document, collections=None):
        (collection, _), text = self.texts.get(document, ((None, None), ""))
        if collection is None or collections is not None and collection not in collections:
            raise DataError(f"there is no document {document} here")
        return text

    def passages(self, document):
        """A paragraph each."""
        (_, source), text = self.texts[document]
        return [Passage(100 * document + number, document, source, found.group(), found.start(), found.end(),
                        title(text), "Rules > Returns", 3)
                for number, found in enumerate(re.finditer(r"[^\n]+", text))]  # fmt: skip


def title(text):
    return text.split("\n")[0].removeprefix("# ") if text.startswith("# ") else ""


def words(text):
    """Words of four letters and more, and single Chinese characters."""
    return set(re.findall(r"[a-z]{4,}|[\u4e00-\u9fff]", text.lower()))


class Asker:
    """The paragraph that shares most words answers, piece by piece; fewer than two are a refusal.

    asked: all that it was asked, with the history and the collections.
    """

    def __init__(self, index, fault=None):
        self.index, self.fault, self.asked = index, fault, []

    def events(self, question, history=(), collections=None):
        self.asked.append((question, list(history), collections))
        if self.fault:
            raise self.fault
        return self._events(question, collections)

    def _events(self, question, collections):
        there = [one.id for one in self.index.documents() if collections is None or one.collection in collections]
        passages = [passage for number in there for passage in self.index.passages(number)]
        shared = {passage.id: len(words(passage.text) & words(question)) for passage in passages}
        best = sorted(passages, key=lambda passage: -shared[passage.id])[:5]
        hits = tuple(Hit(one, shared[one.id] / 10, 0.5, float(shared[one.id])) for one in best)
        yield hits
        if not hits or shared[best[0].id] < 2:
            yield NOTHING
            yield Answer(NOTHING, (), 0.1, "refused", question, hits)
            return
        text, one = best[0].text, best[0]
        yield text[:5]
        yield text[5:]
        cited = (Citation(one.document, one.source, text, one.start, one.end, one.title, one.heading, one.page, 0,
                          len(text)),)  # fmt: skip
        yield Answer(text, cited, 0.9, "sentence", question, hits)


def library(texts, name="handbook", how="extractive", fault=None):
    """A library of these texts."""
    index = Index(texts)
    return Library(name, index, Asker(index, fault), how)


HANDBOOK = {
    ("sales", "returns.md"): "# Returns 🚲\n\nA bicycle can be returned within thirty days of delivery.\n\n"
                             "退货期限是收到货后三十天之内。",
    ("sales", "prices.md"): "A helmet costs forty euros, a saddle costs ninety.",
    ("staff", "salaries.md"): "# Salaries\n\nThe secret salary of a mechanic is four thousand euros.",
}  # fmt: skip
