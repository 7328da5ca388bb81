"""QUESTIONS: passages, an index over them, and answers with exact spans of a stored source.

The room sees a model only as a generation.backend.Backend. A citation is an exact span of a stored source; "I don't
know" is an answer.

    passages    a text -> its passages, each with the place where it stands
    words       a text -> the words that lexical search knows, Chinese too
    index       Index: documents, passages and vectors in one folder; written atomically, updated by what changed
    tables, vectors     its SQLite file; its vector file, and exact search in it
    updating, writing   what is new, changed and gone; how that goes into the files
    encoder     what is asked of the model that gives vectors
    glosses     Chinese for an encoder that knows English: each word as what it means
    search      Searcher: lexical and dense ranks, fused; optionally read again by a cross-encoder -> Hits
    spans       where in a passage the answer stands: by a model that was trained for it, else the best sentence
    written     an answer in a chat model's words; what it says is held against the passages, outside of the model
    asking      Asker: a question (and what was said before) -> Answer, or a refusal
    calibration the score below which nothing is answered, from questions with known answers, with its interval
    faq         entries of a customer service, matched on score and margin; misses, hand-over
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A part of a stored text: `text` is exactly the characters start .. end of the document's text."""

    id: int
    document: int
    source: str
    """What the document is called: the name of its file, as the readers give it."""
    text: str
    start: int
    end: int
    title: str = ""
    heading: str = ""
    """The headings above it, outermost first, joined by " > "; "" where there are none."""
    page: int = 0
    """From 1; 0 where the source has no pages."""


@dataclass(frozen=True)
class Hit:
    """A passage that was found. score: the higher the better, comparable within one search alone."""

    passage: Passage
    score: float
    cosine: float = 0.0
    """Likeness of the question's and the passage's vectors; 0 where there are none."""
    lexical: float = 0.0
    """BM25, higher is better; 0 where no word of the question stands in it."""
    cross: float | None = None
    """How sure the model that reads question and passage together is that it answers, 0 .. 1; None without one."""


@dataclass(frozen=True)
class Citation:
    """An exact span of a stored source: `text` is the characters start .. end of the document's text.

    first, last: the characters of the answer that it is cited for.
    """

    document: int
    source: str
    text: str
    start: int
    end: int
    title: str = ""
    heading: str = ""
    page: int = 0
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Answer:
    """What was found to a question."""

    text: str
    """The answer; where it is refused a sentence that says so."""
    citations: tuple[Citation, ...] = ()
    confidence: float = 0.0
    """What the threshold is held against."""
    how: str = "refused"
    """span (of a passage, by a model), sentence (the best one), written (by a chat model), refused."""
    question: str = ""
    """The question as it was searched for: what a follow-up leaves out is filled in."""
    hits: tuple[Hit, ...] = ()
    """What was found, best first."""

    @property
    def refused(self) -> bool:
        """Whether the documents do not say it."""
        return self.how == "refused"
