"""Questions made from documents by rules, each with the exact place where its answer stands. No model is asked.

    of(documents) -> list[Pair]         those of a folder; what two places would answer differently is left out
    made(document) -> list[Pair]        those of one text, in its order

Four kinds, in English and Chinese: `definition` ("X is a ..."), `heading` (what stands below one), `question` (a line
that asks, and what follows), `number` (a sentence with one number). A rule that is not sure makes nothing. The
questions are near the words of the text, nearer than those of people: what is measured by them flatters a search.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..text import Document
from . import _chinese, _english
from ._blocks import Block, blocks, sentences
from ._chinese import chinese

SHORTEST, LONGEST = 24, 400  # characters of an answer; a Chinese one says as much in a third
SURE = ("question", "number", "definition", "heading")  # which counts where two find the same answer
SENTENCES = 2  # of an answer below a heading or a question
ASKS = re.compile(r"[?？][\s*_:：]*$")
BEFORE_QUESTION = re.compile(r"[\s*_>#-]*(?:\d{1,3}[.)、]\s*)?(?:(?:Q|Question|问|問)\s*\d{0,3}\s*[:：.]\s*)?[\s*_]*")
BEFORE_ANSWER = re.compile(r"\s*(?:[*_]{0,2}(?:A|Answer|答)\s*\d{0,3}\s*[:：.][*_]{0,2}\s*)?")
NUMBERING = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,4}[.)、]?\s+")
MARKUP = (
    (re.compile(r"!?\[([^\[\]]{0,300})\]\([^()\s]{0,300}\)"), r"\1"),  # a link or picture of Markdown: its words
    (re.compile(r":[a-z:+-]{1,30}:`[~!]?([^`<]{1,200}?)(?: ?<[^`>]{0,200}>)?`"), r"\1"),  # a role of reStructuredText
    (re.compile(r"`([^`<]{1,200}) <[^`>]{0,300}>`_{1,2}"), r"\1"),
    (re.compile(r"`{1,2}([^`]{1,200})`{1,2}_?"), r"\1"),
    (re.compile(r"\*\*([^*]{1,300})\*\*|(?<!\w)\*([^*\s][^*]{0,300})\*(?!\w)"), r"\1\2"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Pair:
    """A question with its answer: `answer` is exactly the characters start .. end of the document's text."""

    question: str
    answer: str
    source: str
    """What the document is called."""
    start: int
    end: int
    kind: str
    """definition, heading, question or number."""

    @property
    def said(self) -> str:
        """The answer as one would say it: without markup, in one line."""
        return bare(self.answer)


def of(documents: Iterable[Document]) -> list[Pair]:
    """The pairs of all documents in their order; a question that stands at two places with two answers is left out."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for document in documents:
        for pair in made(document):
            found[_folded(pair.question)].append(pair)
    return [some[0] for some in found.values() if len({_folded(one.said) for one in some}) == 1]


def made(document: Document) -> list[Pair]:
    """The pairs of one document; of source code none."""
    if document.fields is not None:
        return list(_of_example(document))
    if document.kind == "code":
        return []
    found: dict[tuple[int, int], Pair] = {}
    for kind, question, start, end in sorted(_found(document.text), key=lambda one: SURE.index(one[0])):
        answer = document.text[start:end]
        if _fits(answer) and (start, end) not in found:
            found[start, end] = Pair(question, answer, document.source, start, end, kind)
    return sorted(found.values(), key=lambda one: (one.start, one.end))


def bare(text: str) -> str:
    """A text of Markdown or reStructuredText without marks of emphasis, code and links, in one line."""
    for pattern, kept in MARKUP:
        text = pattern.sub(kept, text)
    return text.strip()


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def _fits(answer: str) -> bool:
    """Whether it is long enough to say something, short enough to be an answer, and does not ask itself."""
    said = bare(answer)
    size = len(said) * (3 if chinese(said) else 1)
    return size >= SHORTEST and len(answer) <= LONGEST and "::" not in said and not said.endswith(("?", "？"))


def _of_example(document: Document) -> Iterator[Pair]:
    """A table of questions and answers is read as chats: the first thing that is said, and what is said to it."""
    said = [one["content"] for one in document.fields.get("messages", ()) if one["role"] in ("user", "assistant")]
    if len(said) > 1 and (start := document.text.find(said[1])) >= 0 and said[1].strip():
        yield Pair(bare(said[0]), said[1], document.source, start, start + len(said[1]), "question")


Found = tuple[str, str, int, int]


def _found(text: str) -> Iterator[Found]:
    """(kind, question, start, end) of all rules."""
    cut = blocks(text)
    for at, block in enumerate(cut):
        behind = cut[at + 1] if at + 1 < len(cut) else None
        if block.kind == "heading":
            yield from _below(text, block, behind)
        elif ASKS.search(block.text) and "\n" not in block.text.strip():
            yield from _asked(text, block, behind)
        elif block.kind == "prose":
            yield from _inside(text, block)
            yield from _in_one(text, block)


def _below(text: str, heading: Block, behind: Block | None) -> Iterator[Found]:
    """What a heading asks for, and the first sentences below it."""
    if ASKS.search(heading.text):
        yield from _asked(text, heading, behind)
    elif behind is not None and behind.kind == "prose" and (question := _headed(bare(heading.text), heading.above)):
        yield from _answered("heading", question, text, behind.start, behind.end)


def _headed(heading: str, above: str) -> str:
    heading = NUMBERING.sub("", heading, count=1).strip(" .。:：")
    rules = _chinese if chinese(heading) else _english
    return rules.headed(heading, bare(above)) if 2 <= len(heading) <= 80 else ""


def _asked(text: str, block: Block, behind: Block | None) -> Iterator[Found]:
    """A line that asks, and the first sentences of what follows."""
    question = bare(BEFORE_QUESTION.sub("", block.text, count=1)).rstrip("*_: ：")
    if behind is not None and behind.kind == "prose" and 6 <= len(question) <= 200:
        start = BEFORE_ANSWER.match(text, behind.start, behind.end).end()
        yield from _answered("question", question, text, start, behind.end)


def _in_one(text: str, block: Block) -> Iterator[Found]:
    """A paragraph whose first line asks and whose next lines answer."""
    line, _, rest = block.text.partition("\n")
    if rest and ASKS.search(line):
        answered = Block("prose", block.start + len(line) + 1, block.end, rest, block.above)
        yield from _asked(text, Block("prose", block.start, block.start + len(line), line, block.above), answered)


def _answered(kind: str, question: str, text: str, start: int, end: int) -> Iterator[Found]:
    """The first sentences between two places, as many as fit."""
    first, last = None, None
    for number, (begin, stop) in enumerate(sentences(text, start, end)):
        first = begin if first is None else first
        if number == SENTENCES or stop - first > LONGEST:
            break
        last = stop
    if first is not None and last is not None:
        yield kind, question, first, last


def _inside(text: str, block: Block) -> Iterator[Found]:
    """Sentences that say what something is, or how much."""
    for start, end in sentences(text, block.start, block.end):
        said = bare(text[start:end])
        rules = _chinese if chinese(said) else _english
        if question := rules.numbered(said):
            yield "number", question, start, end
        elif question := rules.defined(said):
            yield "definition", question, start, end
