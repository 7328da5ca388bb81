"""A question, and what was said before it -> an answer with exact citations, or a refusal.

    asker = Asker(searcher, reader, writer)             # a searcher with a cross-encoder knows better what answers
    answer = asker.ask("When was it built?", history)           # Answer
    for event in asker.events("When was it built?"):    # the hits, a tuple; pieces of text; at the end the Answer
        ...

searcher: search.Searcher; reader: a Backend with a span head, writer: one that chats; either may be None. The joined
pieces are the answer's text. Every citation is held against the stored document at the moment when it is made:
a document that has gone is not cited. Below the threshold nothing is answered. It may be used by several threads.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import DataError, TooLong
from ..generation.backend import Backend
from ..generation.settings import unwritable
from . import Answer, Citation, Hit, calibration, followups, spans
from .calibration import Calibration
from .glosses import lacks_chinese
from .spans import Found
from .written import LONGEST, NOTHING, NOTHING_ZH, harmless, written

MOST = 10_000  # characters of a question
TALK = 200  # messages of a history
FUSED = 60  # a score of two searches is 1 / (FUSED + rank)
REST = 3  # hits that are tried where the best one's document has gone

Event = tuple[Hit, ...] | str | Answer


@dataclass(frozen=True)
class Settings:
    """How questions are answered."""

    k: int = 8
    """Passages that are looked for."""
    style: Literal["auto", "extractive", "written"] = "auto"
    """In the documents' own words, or in those of the chat model; auto: written where there is one."""
    threshold: float | None = None
    """The confidence below which nothing is answered; default: that of the calibration."""
    sure: float = 0.5
    """Probability below which the span model's answer gives way to the best sentence."""
    shown: int = 5
    """Passages that the chat model is shown."""
    longest: int = LONGEST
    """Tokens of a written answer at most."""

    def __post_init__(self):
        if not 1 <= self.k <= 100 or not 1 <= self.shown <= 100 or self.longest < 1:
            raise ValueError(f"k is {self.k}, shown {self.shown} and longest {self.longest}; expected k and shown "
                             "from 1 to 100, longest of 1 or more")  # fmt: skip
        if self.threshold is not None and not 0 <= self.threshold <= 1 or not 0 <= self.sure <= 1:
            raise ValueError(f"threshold is {self.threshold} and sure {self.sure}; expected numbers from 0 to 1")


class Asker:
    """What answers questions about an index."""

    def __init__(self, searcher, reader: Backend | None = None, writer: Backend | None = None,
                 settings: Settings | None = None, calibrated: Calibration | None = None):  # fmt: skip
        self.searcher, self.reader, self.writer = searcher, reader, writer
        self.settings = settings or Settings()
        if self.settings.style == "written" and writer is None:
            raise DataError("style: found written without a model that writes; name a chat model's folder or a server")
        index, encoder = searcher.index, searcher.encoder
        name = index.encoder_name if encoder is not None else ""
        reading, cross = "" if reader is None else reader.name, "" if searcher.cross is None else searcher.cross_name
        self.calibration = calibrated or calibration.of(getattr(index, "folder", None), name or "", reading, cross)

    @property
    def threshold(self) -> float:
        """The confidence below which nothing is answered."""
        return self.calibration.threshold if self.settings.threshold is None else self.settings.threshold

    @property
    def writes(self) -> bool:
        """Whether a chat model says it in its own words."""
        return self.writer is not None and self.settings.style != "extractive"

    def ask(self, question: str, history: Sequence[dict] = (), collections: Collection[str] | None = None) -> Answer:
        """The answer. DataError for a question or a history that is none."""
        return next(one for one in self.events(question, history, collections) if isinstance(one, Answer))

    def events(self, question: str, history: Sequence[dict] = (),
               collections: Collection[str] | None = None) -> Iterator[Event]:  # fmt: skip
        """The hits, pieces of text as soon as they are sure, and the answer. Mistakes are raised by the call."""
        check_question(question)
        check_history(history)
        asked = followups.standalone(question, history, self.writer if self.writes else None)
        try:
            own = self.searcher.find(asked, self.settings.k, collections)
        except TooLong:  # with what was said before it is more than is searched for
            asked, own = question, self.searcher.find(question, self.settings.k, collections)
        hits = own if asked == question else self.wider(question, history, own, collections)
        return self._events(asked, tuple(hits), own, collections)

    # ---- searching ----

    def wider(self, question: str, history: Sequence[dict], own: Sequence[Hit],
              collections: Collection[str] | None = None) -> list[Hit]:  # fmt: skip
        """What a follow-up finds with all that was said lately, and then by itself."""
        k = self.settings.k
        try:
            wide = self.searcher.find(followups.together(question, history), k, collections)
        except (DataError, TooLong):  # with what was said before it is more than is searched for
            return list(own)
        return ranked([*wide[: k // 2], *own, *wide])[:k]

    def signals(self, question: str, hits: Sequence[Hit], own: Sequence[Hit], likely: Found | None,
                sure: Found | None) -> dict[str, float]:  # fmt: skip
        """What the search shows of a question (see calibration.SIGNALS). own: what it finds without what was said."""
        wanted = spans.content(question)
        lexical = max((hit.lexical for hit in own), default=0.0) / max(len(wanted), 1)
        texts = [f"{hit.passage.title}\n{hit.passage.heading}\n{hit.passage.text}" for hit in hits]
        return {
            "cosine": max((hit.cosine for hit in own), default=0.0),
            "coverage": max(spans.covered(self.searcher.encoder, question, texts), default=0.0),
            "lexical": lexical / (1 + lexical),
            "sentence": 0.0 if likely is None else likely.nearest,
            "span": 0.0 if sure is None else sure.score,
            "cross": log_odds(max((hit.cross or 0.0 for hit in own), default=0.0)) if self.searcher.cross else 0.0,
        }

    def shown(self, question: str, collections: Collection[str] | None = None) -> dict[str, float]:
        """The signals of a question, for a calibration."""
        check_question(question)
        hits = self.searcher.find(question, self.settings.k, collections)
        return self.signals(question, hits, hits, *self.read(question, hits))

    def read(self, question: str, hits: Sequence[Hit]) -> tuple[Found | None, Found | None]:
        """The best sentence, and the answer of the span model."""
        likely = spans.by_likeness(self.searcher.encoder, question, hits)
        return likely, None if self.reader is None else spans.by_model(self.reader, question, hits)

    # ---- answering ----

    def _events(self, question: str, hits: tuple[Hit, ...], own: Sequence[Hit],
                collections: Collection[str] | None) -> Iterator[Event]:  # fmt: skip
        yield hits
        likely, sure = self.read(question, hits)
        signals = self.signals(question, hits, own, likely, sure)
        confidence = self.calibration.confidence(signals) if hits else 0.0
        known = Answer("", (), confidence, "refused", question, hits)
        answer = None
        if hits and confidence >= self.threshold:
            if self.writes and not (spans.chinese(question) and lacks_chinese(self.writer)):
                answer = yield from self._written(known, collections)
            if answer is None:
                answer = self._quoted(known, likely, sure, collections)
                yield answer.text
        else:
            answer = refusal(known)
            yield answer.text
        yield answer

    def _quoted(self, known: Answer, likely: Found | None, sure: Found | None, collections) -> Answer:
        """The answer in the documents' own words: the span model's where it is sure, else the best sentence."""
        hits = list(known.hits)
        for _ in range(REST):
            spanned = sure is not None and sure.score >= self.settings.sure
            how, best = ("span", sure) if spanned else ("sentence", likely)
            text = "" if best is None else harmless(best.text, quoted=True)
            if not text:
                break
            citation = self.cite(best, collections, 0, len(text))
            if citation is not None:
                return replace(known, text=text, citations=(citation,), how=how)
            gone = best.hit.passage.document
            hits = [hit for hit in hits if hit.passage.document != gone]
            likely, sure = self.read(known.question, hits)
        return refusal(known)

    def _written(self, known: Answer, collections):
        """Sentences of the writer that hold, as events; returns the answer, None where nothing holds."""
        text, citations, declined = "", [], False
        for said in written(self.writer, known.question, known.hits[: self.settings.shown], self.settings.longest):
            if not said.text:
                declined = True
                continue
            space = said.space if text else ""
            first = len(text) + len(space)
            cited = [self.cite(one, collections, first, first + len(said.text)) for one in said.supports]
            if None in cited:
                continue
            text += space + said.text
            citations += cited
            yield space + said.text
        citations = [one for one in citations if self._stands(one, collections)]
        if text and citations:
            return replace(known, text=text, citations=tuple(citations), how="written")
        if text or declined:
            refused = refusal(known)
            yield f"\n{refused.text}" if text else refused.text
            return replace(refused, text=f"{text}\n{refused.text}" if text else refused.text)
        return None

    def cite(self, found: Found, collections: Collection[str] | None, first: int = 0, last: int = 0) -> Citation | None:
        """The place as a citation for the characters first .. last; None where it is not stored any more."""
        p = found.hit.passage
        start, end = p.start + found.start, p.start + found.end
        page = self.searcher.index.page(p.document, start) if p.page else 0
        citation = Citation(p.document, p.source, found.text, start, end, p.title, p.heading, page, first, last)
        return citation if found.text and self._stands(citation, collections) else None

    def _stands(self, citation: Citation, collections: Collection[str] | None) -> bool:
        """Whether the stored document has this text at this place, now."""
        try:
            stored = self.searcher.index.text(citation.document, collections)
        except DataError:
            return False
        return stored[citation.start : citation.end] == citation.text


def log_odds(probability: float) -> float:
    """A tenth of its log-odds: -1 .. 1, so that 0.99 and 0.999 are told apart."""
    probability = min(max(probability, 5e-5), 1 - 5e-5)
    return math.log(probability / (1 - probability)) / 10


def refusal(known: Answer) -> Answer:
    """The answer where the documents do not say it, in the language of the question."""
    text = NOTHING_ZH if spans.chinese(known.question) else NOTHING
    return replace(known, text=text, citations=(), how="refused")


def ranked(hits: Sequence[Hit]) -> list[Hit]:
    """Hits of several searches in this order, each passage once; the score is that of the new rank."""
    known: dict[int, Hit] = {}
    for hit in hits:
        known.setdefault(hit.passage.id, hit)
    return [replace(hit, score=1 / (FUSED + rank)) for rank, hit in enumerate(known.values(), start=1)]


def check_question(question: str) -> None:
    """DataError for a question that is empty, too long or no text."""
    if not isinstance(question, str) or not question.strip():
        raise DataError("the question is empty; expected words")
    if len(question) > MOST:
        raise DataError(f"the question has {len(question):,} characters, expected at most {MOST:,}; ask for less")
    fault = unwritable(question, "question")
    if fault:
        raise DataError(fault)


def check_history(history: Sequence[dict]) -> None:
    """DataError for what was said before, where it is no list of messages."""
    if len(history) > TALK:
        raise DataError(f"history: found {len(history):,} messages, expected at most {TALK}; leave out the oldest ones")
    for number, one in enumerate(history):
        if not isinstance(one, dict) or one.get("role") not in ("user", "assistant") \
                or not isinstance(one.get("content"), str):  # fmt: skip
            raise DataError(f"history: message {number} is none; expected role (user or assistant) and content, a text")
        fault = unwritable(one["content"], f"history, message {number}")
        if fault:
            raise DataError(fault)
