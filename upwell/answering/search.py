"""A question -> the passages that may answer it: found by their words and by their meaning, both fused.

    searcher = Searcher(index, encoder)
    for hit in searcher.find("When are you open?", k=5, collections=["support"]): ...

What stands in either list is scored by both: BM25 and cosine, each as a share of the best passage's, in a weighted mean
(a convex combination; Bruch and others 2023). On three sets of questions it finds more than fused ranks do, which
forget how much better the first one is (docs/answers.md). A cross-encoder, where there is one, reads the question
together with each of the best ones; its log-odds and their score order them anew. Several threads may ask at once. It
writes no answer.
"""

import contextlib
import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from ..errors import DataError, SettingsError, TooLong
from ..generation.backend import Backend
from . import Hit
from . import encoder as encoders
from .glosses import shown
from .index import Index

LONGEST = 10_000  # characters of a question
MOST = 1_000  # passages that are given
RERANK = "rerank"
CERTAIN = 1e-6  # the least probability that a model is believed
YES = ("1", "yes", "true", "relevant", "entailment", "LABEL_1")


@dataclass(frozen=True)
class Settings:
    """How passages are found."""

    k: int = 10
    """Passages that are given."""
    lexical: bool = True
    """Search by words."""
    dense: bool = True
    """Search by meaning, where there is an encoder."""
    depth: int = 50
    """Passages of each list that are fused."""
    again: int = 10
    """Passages that a cross-encoder reads at least; as many as are wanted, where these are more."""
    found: float = 6.0
    """Log-odds of the cross-encoder that the score of words and meaning, 0 to 1, is worth beside it."""
    balance: float = 0.45
    """What the words count for where meaning counts too, 0 to 1."""

    def __post_init__(self):
        for name, low, high in (("k", 1, MOST), ("depth", 1, MOST), ("again", 1, MOST), ("balance", 0, 1),
                                ("found", 0, 1000)):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise SettingsError(f"{name}: found {getattr(self, name)}, expected {low} to {high:,}")
        if not self.lexical and not self.dense:
            raise SettingsError("found neither lexical nor dense search, expected at least one of them")


class Searcher:
    """An index and the models that search it. cross: a Backend whose `classify` scores (question, passage)."""

    def __init__(self, index: Index, encoder: Backend | None = None, cross: Backend | None = None,
                 settings: Settings | None = None):  # fmt: skip
        self.index, self.encoder, self.cross, self.settings = index, encoder, cross, settings or Settings()
        if encoder is None and not self.settings.lexical:
            raise SettingsError("found dense search alone without an encoder; name the one of the index")
        if encoder is not None and self.settings.dense:
            index.check(encoder)

    def find(self, question: str, k: int | None = None, collections: Collection[str] | None = None) -> list[Hit]:
        """The k best passages of these collections (None: of all), the best one first.

        Raises DataError for an empty question, TooLong for one of more than LONGEST characters.
        """
        self.check(question)
        wanted, s = self.settings.k if k is None else k, self.settings
        if not 1 <= wanted <= MOST:
            raise SettingsError(f"k: found {wanted}, expected 1 to {MOST:,}")
        depth = max(wanted, s.depth)
        vector = encoders.embedded(self.encoder, [question])[0] if s.dense and self.encoder is not None else None
        words = self.index.lexical(question, depth, collections) if s.lexical else []
        meaning = [] if vector is None else self.index.nearest(vector, depth, collections)
        hits = self._hits(question, vector, dict(words), dict(meaning), depth)
        return (hits if self.cross is None else self._again(question, hits[: max(wanted, s.again)]))[:wanted]

    @property
    def cross_name(self) -> str:
        """What the cross-encoder is called; by its labels rerank, whatever its folder, where that recipe made it."""
        labels = getattr(getattr(getattr(self.cross, "config", None), "head", None), "labels", ())
        return "" if self.cross is None else RERANK if tuple(labels) == ("other", "relevant") else self.cross.name

    def check(self, question: str) -> None:
        """Raises what `find` raises for a question that cannot be searched for."""
        if not question.strip():
            raise DataError("found an empty question, expected some words")
        if len(question) > LONGEST:
            raise TooLong(f"the question has {len(question):,} characters, expected at most {LONGEST:,}; ask in fewer")
        if "\0" in question or not _is_writable(question):
            raise DataError("the question holds a sign that no text can hold, expected Unicode; take it out")

    def _hits(self, question: str, vector, words: dict[int, float], meaning: dict[int, float],
              depth: int) -> list[Hit]:  # fmt: skip
        """The best of what either list found, with both scores."""
        ids = list(dict.fromkeys([*words, *meaning]))
        words = words | self.index.scores(question, [number for number in ids if number not in words])
        if vector is not None:
            meaning = meaning | self.index.cosines(vector, [number for number in ids if number not in meaning])
        fused = self._fused(ids, words, meaning)
        best = sorted(ids, key=lambda number: (-fused[number], number))[:depth]
        return [Hit(one, fused[one.id], meaning.get(one.id, 0.0), words.get(one.id, 0.0))
                for one in self.index.passages(best)]  # fmt: skip

    def _fused(self, ids: list[int], words: dict[int, float], meaning: dict[int, float]) -> dict[int, float]:
        """Both scores of each as one, 0 .. 1."""
        s = self.settings
        share = s.balance if s.lexical and s.dense and self.encoder is not None else float(s.lexical)
        found = dict.fromkeys(ids, 0.0)
        for weight, scores in ((share, words), (1 - share, meaning)):
            best = max(scores.values(), default=0.0)
            for number in ids if best > 0 and weight else ():
                found[number] += weight * max(scores.get(number, 0.0), 0.0) / best
        return found

    # ---- read again ----

    def _again(self, question: str, hits: list[Hit]) -> list[Hit]:
        """They in the order that the cross-encoder and their score give together, which is their new score, 0 .. 1."""
        if not hits:
            return []
        most = encoders.room(self.cross)
        asked = self._begun(question, None if most is None else most // 2)
        left = None if most is None else most - encoders.tokens(self.cross, asked) - 2  # what stands between the two
        said = self.cross.classify([(shown(self.cross, asked), shown(self.cross, self._begun(hit.passage.text, left)))
                                    for hit in hits])  # fmt: skip
        odds = [_odds(one) for one in said]
        scored = [replace(hit, score=_probability(one + self.settings.found * hit.score), cross=_probability(one))
                  for hit, one in zip(hits, odds, strict=True)]  # fmt: skip
        return sorted(scored, key=lambda hit: -hit.score)

    def _begun(self, text: str, most: int | None) -> str:
        """As much of a text as has so many tokens of the cross-encoder; it is shown whole all the same."""
        while most is not None and text and encoders.tokens(self.cross, text) > max(most, 1):
            text = text[: int(len(text) * 0.8)]
        return text


def _odds(said: dict[str, float]) -> float:
    """How well a passage answers, from what a model says of it, as log-odds: its number, or how sure it is of yes."""
    if "value" in said or len(said) == 1:
        return float(said["value"] if "value" in said else next(iter(said.values())))
    with contextlib.suppress(StopIteration):
        sure = min(max(float(next(said[name] for name in YES if name in said)), CERTAIN), 1 - CERTAIN)
        return math.log(sure / (1 - sure))
    raise SettingsError(f"the cross-encoder knows the labels {', '.join(said)}; expected one number, or a label of "
                        f"{', '.join(YES)}")  # fmt: skip


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, odds))))


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
