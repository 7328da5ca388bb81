"""Where in a passage the answer to a question stands: by a model that was trained for it, else the best sentence.

    found = by_model(reader, question, hits)            # Found or None; reader: a Backend with a span head
    found = by_likeness(encoder, question, hits)        # the sentence that is most like the question

Places are characters of the passage's text. What a passage says is compared by its words that mean something (content)
and, where there is an encoder, by vectors. English and Chinese; it knows no index and no command line.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import DataError
from ..generation.backend import Backend
from . import Hit
from . import encoder as encoders
from .glosses import shown
from .words import words

READ = 5  # hits in which an answer is looked for
MOST = 320  # characters of a sentence; a longer one is taken in pieces
HALF = 0.5  # share of the vectors in a sentence's likeness, the rest is shared words
LOWER = 0.08  # by which a sentence's likeness is worth less in each hit than in the one before
PASSED = 0.9  # of its likeness a question or heading passes to the sentence behind it

STOP = (
    "a an the this that these those some any all each every no not only very just also too so such than then there "
    "here i me my we us our you your he him his she her it its they them their one ones of in on at by for from to "
    "into onto with without about as is are was were be been being am do does did done have has had having can could "
    "will would shall should may might must and or but if while because what which who whom whose when where why how "
    "many much please tell know say says said yes"
).split()
ASKED = (
    "什么时候|为什么|什么样|什么|怎么样|怎么办|怎么|怎样|如何|多少|多久|多长|多大|多远|哪里|哪儿|哪个|哪些|哪一|哪|谁|几个|几|是否|是不是|能不能|"
    "可不可以|有没有|请问|吗|呢|吧|啊|的|了|是|在|我们|你们|我|你|您|它们|他们|她们|它|这个|那个|这|那"
)
PASSED_OVER = re.compile(rf"\b(?:{'|'.join(STOP)})(?:['’](?:s|re|ve|ll|d|t|m))?\b|{ASKED}", re.IGNORECASE)
HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
END = re.compile(r"(?<![.!?])[.!?]+[\"'”’)\]]*(?=\s)|[。！？]+[”’」』）]*")
BREAK = re.compile(r"\n[ \t\r]*(?=\n)|\n(?=[ \t]*(?:[-*•|>#]|\d{1,3}[.)][ \t]))|(?:(?<=\n)|^)#[^\n]*\n")
SHORT = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Fig|vs|etc|e\.g|i\.e|cf|approx|Inc|Ltd|Co|Jr|Sr|[A-Z])\.$")
MARK = re.compile(r"\s*(?:(?:[-*•>|]+|\d{1,3}[.)])[ \t]+)*")
HEADING = re.compile(r"#{1,6}[ \t]|\.\.[ \t]+[\w:-]+::|:[\w-]+:[ \t]")  # also a line that marks what follows, in reST


class Found(NamedTuple):
    """A part of a hit's passage. score: a probability, or how like it is, 0 .. 1."""

    hit: Hit
    start: int
    end: int
    score: float
    nearest: float = 0.0
    """The cosine of whichever sentence is nearest to the question; the share of its words where there is no encoder."""

    @property
    def text(self) -> str:
        """Exactly what stands there."""
        return self.hit.passage.text[self.start : self.end]


def chinese(text: str) -> bool:
    """Whether a text is written in Chinese: a third of its letters are."""
    letters = sum(map(str.isalpha, text))
    return bool(letters) and len(HAN.findall(text)) / letters > 0.33


@lru_cache(maxsize=4096)
def content(text: str) -> frozenset[str]:
    """The words of a text that mean something, as search knows them: without question words and the like."""
    return frozenset(words(PASSED_OVER.sub(" ", text)))


def coverage(wanted: Collection[str], text: str) -> float:
    """The share of the wanted words that stand in the text; 0 where none is wanted."""
    return len(content(text).intersection(wanted)) / len(wanted) if wanted else 0.0


def covered(encoder: Backend | None, question: str, texts: Sequence[str]) -> list[float]:
    """The coverage of a question by each text: of its words, or of their English meanings where the encoder is shown
    these and they are shared more."""
    wanted = content(question)
    found = [coverage(wanted, text) for text in texts]
    meant = question if encoder is None else shown(encoder, question)
    others = texts if encoder is None else [shown(encoder, text) for text in texts]
    if meant == question and list(others) == list(texts):
        return found
    wanted = content(meant)
    return [max(own, coverage(wanted, text)) for own, text in zip(found, others, strict=True)]


# ---- sentences ----


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text begin and end, without the spaces and list marks around them."""
    found, begin = [], 0
    for end in [*_ends(text), len(text)]:
        first = MARK.match(text, begin, end).end()
        last = first + len(text[first:end].rstrip())
        if any(map(str.isalnum, text[first:last])):
            found.extend(_pieces(text, first, last))
        begin = end
    return found


def _ends(text: str) -> list[int]:
    ends = {one.end() for one in BREAK.finditer(text)}
    for one in END.finditer(text):
        behind = text[one.end() : one.end() + 40].lstrip()
        goes_on = one.group().startswith(".") and (behind[:1].islower() or abbreviated(text, one.end()))
        if not goes_on:
            ends.add(one.end())
    return sorted(ends)


def abbreviated(text: str, end: int) -> bool:
    """Whether the full stop before `end` belongs to an abbreviation."""
    return bool(SHORT.search(text, max(0, end - 12), end))


def _pieces(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence, or of a very long one pieces that end at a comma or a space."""
    while end - begin > MOST:
        part = text[begin : begin + MOST]
        cut = max(part.rfind(sign) for sign in ",;，；、 \n")
        cut = begin + (cut + 1 if cut > MOST // 2 else MOST)
        yield begin, begin + len(text[begin:cut].rstrip())
        begin = cut + len(text[cut:end]) - len(text[cut:end].lstrip())
    if begin < end:
        yield begin, end


# ---- the answer ----


def by_model(reader: Backend, question: str, hits: Sequence[Hit]) -> Found | None:
    """What a span model finds in the best passages; None where it finds nothing, or cannot read the question.

    Its probability counts in full for the best hit and less for those that the search thinks less of.
    """
    some = [hit for hit in hits[:READ] if hit.passage.text.strip()]
    if not some:
        return None
    try:
        said = reader.spans([(question, hit.passage.text) for hit in some])
    except DataError:  # longer than it reads
        return None
    top = max(hit.score for hit in some)
    weights = [max(hit.score / top, 0.0) ** 0.5 if top > 0 else 1.0 for hit in some]
    found = [Found(hit, one["start"], one["end"], one["score"] * weight)
             for hit, one, weight in zip(some, said, weights, strict=True) if one["answer"].strip()]  # fmt: skip
    return max(found, key=lambda one: one.score, default=None)


def by_likeness(encoder: Backend | None, question: str, hits: Sequence[Hit]) -> Found | None:
    """The sentence of the best passages that is most like the question; None without any.

    A sentence that asks, and a heading, answer nothing: they pass their likeness on to the sentence behind them.
    """
    places = [(hit, start, end) for hit in hits[:READ] for start, end in sentences(hit.passage.text)]
    if not places:
        return None
    texts = [hit.passage.text[start:end] for hit, start, end in places]
    worth = {id(hit): 1 - LOWER * rank for rank, hit in enumerate(hits[:READ])}
    shared = covered(encoder, question, texts)
    near = cosines(encoder, question, texts)
    scores = shared if near is None else [HALF * a + (1 - HALF) * b for a, b in zip(near, shared, strict=True)]
    best: list[Found] = []
    passed = 0.0
    for (hit, start, end), text, score, after in zip(places, texts, scores, [*places[1:], None], strict=True):
        if _asks(text, hit) and after is not None and after[0] is hit:
            passed = max(passed, PASSED * score)
            continue
        best.append(Found(hit, start, end, worth[id(hit)] * min(max(score, passed, 0.0), 1.0)))
        passed = 0.0
    found = max(best, key=lambda one: one.score, default=None)
    return None if found is None else found._replace(nearest=max(shared if near is None else near))


def _asks(text: str, hit: Hit) -> bool:
    """Whether a sentence is a question or a heading."""
    return bool(text.endswith(("?", "？")) or HEADING.match(text) or hit.passage.heading.endswith(text))


def cosines(encoder: Backend | None, question: str, texts: Sequence[str]) -> list[float] | None:
    """How like the question's vector those of some texts are; None without an encoder that reads them."""
    if encoder is None:
        return None
    try:
        found = encoders.embedded(encoder, [question, *texts])
    except DataError:  # longer than it reads
        return None
    return (found[1:] @ found[0]).tolist()
