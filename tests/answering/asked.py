"""An index in a dictionary, a search by shared words, and models that say what a test tells them."""

from upwell.answering import Hit, Passage
from upwell.answering.spans import chinese, content
from upwell.errors import DataError
from upwell.generation.settings import Piece


class Shelf:
    """An index: text by the number of its document, and the collection that it belongs to."""

    folder, encoder_name = None, ""

    def __init__(self, texts: dict[int, str], collections: dict[int, str] | None = None):
        self.texts, self.collection = dict(texts), collections or {}

    def text(self, document, collections=None):
        if document not in self.texts or collections is not None and self.collection.get(document) not in collections:
            raise DataError(f"there is no document {document}")
        return self.texts[document]


class Words:
    """A searcher: the passages with the most words of the question; each paragraph is one."""

    def __init__(self, index: Shelf, encoder=None):
        self.index, self.encoder, self.cross, self.asked = index, encoder, None, []

    def find(self, question, k=None, collections=None):
        self.asked.append(question)
        wanted, hits = content(question), []
        for document, text in self.index.texts.items():
            if collections is not None and self.index.collection.get(document) not in collections:
                continue
            at = 0
            for number, part in enumerate(text.split("\n\n")):
                place = text.index(part, at)
                at = place + len(part)
                shared = len(wanted & content(part)) / max(len(wanted), 1)
                if shared:
                    one = Passage(1000 * document + number, document, f"{document}.md", part, place, at)
                    hits.append(Hit(one, shared, lexical=10 * shared))
        return sorted(hits, key=lambda hit: -hit.score)[: k or 10]


class Says:
    """A chat model that writes this, in pieces of a few letters; it keeps what it was asked."""

    name = "says"

    def __init__(self, text, size=7):
        self.text, self.size, self.prompts = text, size, []

    def generate(self, prompt, settings=None):
        self.prompts.append(prompt)
        text = self.text(prompt) if callable(self.text) else self.text
        return iter([Piece(text[at : at + self.size]) for at in range(0, len(text), self.size)] + [Piece("")])


class Marks:
    """A span model that finds these words wherever they stand."""

    name = "marks"

    def __init__(self, *words, score=0.9):
        self.words, self.score = words, score

    def spans(self, pairs):
        found = []
        for _, text in pairs:
            word = next((word for word in self.words if word in text), "")
            start = text.index(word) if word else 0
            found.append({"answer": word, "score": self.score, "start": start, "end": start + len(word)})
        return found


class Letters:
    """An encoder whose vectors count words of a short list; it cannot read more than `most` characters."""

    name = "letters"

    def __init__(self, *words, most=10_000):
        self.words, self.most = words, most

    def embed(self, texts):
        if any(len(text) > self.most for text in texts):
            raise DataError("longer than it reads")
        return [[1e-3 + text.lower().count(word) for word in self.words] for text in texts]


def hit(text, document=1, start=0, score=1.0, **place):
    """A hit of a passage with this text."""
    passage = Passage(document, document, f"{document}.md", text, start, start + len(text), **place)
    return Hit(passage, score, lexical=9.0)


MILL = ("# The old mill\n\nThe mill was built in 1789 by Anna Gray. It stands on the west bank.\n\nVisitors may enter "
        "from 9 to 17. Dogs are not allowed in the mill.")  # fmt: skip
HERONS = "Grey herons wait near quiet mills. They eat fish and frogs.\n\nA heron weighs 2 kilograms."
GUARANTEE = "保修期为两年，从购买之日起计算。\n\n电池不在保修范围内。请保留收据。"
TEXTS = {1: MILL, 2: HERONS, 3: GUARANTEE}
assert not chinese(MILL) and chinese(GUARANTEE)
