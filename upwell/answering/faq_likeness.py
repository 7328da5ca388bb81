"""How alike a question is to each entry of an FAQ: by words and by vectors, both put on one scale.

    likeness = Likeness(entries, encoder)       # encoder: a Backend that embeds, or None
    likeness.evidence(question) -> (entries,)   # log-odds that an entry so much alike is among the answers
    likeness.apart                              # by how much a difference of these says which of two it is

By words: what the question shares with the entry's question or one of its alternatives, rare words counting more, and a
little with its answer. Shared are words, parts of words (so that a slip of the keyboard does not lose the word), single
Chinese signs, and the topics of faq_topics. By vectors: the cosine with those phrases and with question and answer
together; a question of several sentences is also taken sentence by sentence, since the question proper is often the
last one.

The scale comes from the FAQ itself. Each of its questions is held against all OTHER entries: the best likeness that it
finds there is how alike things are here that are not the same. The median of these is zero, their spread is one, so a
shop whose questions are all about bicycles asks for more than one whose questions are about everything. Where there are
few entries, the usual values weigh as much as FEW of them. How much a spread is worth in log-odds (WORTH) was fitted
once by logistic regression (bench/faq.py --fit; docs/faq.md says on what).

Knows nothing of thresholds and of conversations.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ..generation.backend import Backend
from .encoder import embedded
from .faq_entries import Entry
from .faq_topics import topics
from .words import words

HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
LATIN = re.compile("[a-z]{4,}")
SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？\n]*")
LONGEST = 300  # characters that the encoder reads at once
TOGETHER = 0.4  # the weight of question and answer together, beside the question's vector
ANSWER, COVER = 0.3, 0.4  # weights: of words in the answer; of how much of the entry's question is said
GRAM, SIGN, STOP = 0.4, 0.5, 0.3  # weights beside a whole word's: its parts, a Chinese sign, words of every question
TOPIC = 1.3  # the weight of what a question is about, whatever its words
SAMPLE = 400  # entries that are held against the others
FEW = 60
STOPS = """a an the is are am be do does did can could may will would should i you we my your our me us it this that
there what which who when where why how to of in on at for from by with and or if so please hello hi thanks want need
like get have has had any some just
的 了 吗 呢 啊 吧 我 你 您 们 我们 你们 请问 怎么 怎样 如何 什么 怎么样 是 有 能 可以 会 要 想 在 和 哪 哪里 一下 一个
这 那 这个 那个 就 都 还 也"""


class Scale(NamedTuple):
    """Where likeness means nothing, and how far apart things are."""

    centre: float
    spread: float


class Worth(NamedTuple):
    """Weights of the spreads of words and of vectors; what one of their sum is in log-odds, and where these begin."""

    words: float
    vectors: float
    level: float
    base: float
    apart: float
    """By how much the difference of two log-odds must be taken to tell which of two entries is meant."""


USUAL_WORDS, USUAL_VECTORS = Scale(0.16, 0.11), Scale(0.39, 0.115)
WORTH = {"words": Worth(1.0, 0.0, 1.16, 0.72, 0.16), "vectors": Worth(0.0, 1.0, 2.1, 2.18, 0.34),
         "both": Worth(0.1, 1.0, 2.04, 2.27, 0.33)}  # fmt: skip


class Likeness:
    """Entries that questions are held against; see the module. Thread-safe where the encoder is."""

    def __init__(self, entries: Sequence[Entry], encoder: Backend | None = None):
        self.words = Words(entries)
        self.vectors = None if encoder is None else Vectors(entries, encoder)
        sample = np.unique(np.linspace(0, len(entries) - 1, min(SAMPLE, len(entries))).astype(int))
        self.word_scale = fitted(self.words.others(sample), USUAL_WORDS)
        self.vector_scale = USUAL_VECTORS if encoder is None else fitted(self.vectors.others(sample), USUAL_VECTORS)
        self.kind = "words" if encoder is None else "both"
        self.apart = WORTH[self.kind].apart

    def evidence(self, question: str, by_vectors_alone: bool = False) -> np.ndarray:
        """(entries,) log-odds. by_vectors_alone: the question is in another language, so words say nothing."""
        worth = WORTH["vectors" if by_vectors_alone else self.kind]
        return worth.level * self.spreads(question, worth) + worth.base

    def spreads(self, question: str, worth: Worth) -> np.ndarray:
        """(entries,) how many spreads they are more alike than what is not the same."""
        found = np.zeros(self.words.count)
        if worth.words:
            found += worth.words * scaled(self.words.alike(question), self.word_scale)
        if worth.vectors:
            found += worth.vectors * scaled(self.vectors.alike(question), self.vector_scale)
        return found


def scaled(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Likenesses in spreads from where they mean nothing."""
    return (values - scale.centre) / scale.spread


def fitted(others: np.ndarray, usual: Scale) -> Scale:
    """The scale of the best likenesses among entries that are not the same; few of them: nearer to the usual one."""
    if not len(others):
        return usual
    low, middle, high = np.quantile(others, [0.1, 0.5, 0.9])
    share = len(others) / (len(others) + FEW)
    found = Scale(float(middle), max(float(high - low) / 2.56, usual.spread / 3))  # 2.56: of a normal distribution
    return Scale(*(share * own + (1 - share) * other for own, other in zip(found, usual, strict=True)))


# ---- words ----


def features(text: str) -> dict[str, float]:
    """What a text is compared by: words, parts of long ones, Chinese signs; each with its weight."""
    found: dict[str, float] = {}
    for word in words(text):
        found[word] = STOP if word in _stops() else 1.0
        if LATIN.fullmatch(word) and found[word] == 1.0:
            framed = f"^{word}$"
            parts = [framed[at : at + 3] for at in range(len(framed) - 2)]
            found.update((f"_{part}", GRAM / math.sqrt(len(parts)) * 2) for part in parts)
    found.update((f"={topic}", TOPIC) for topic in topics(text))
    found.update((f"·{sign}", SIGN * (STOP if f"·{sign}" in _stops() else 1.0)) for sign in HAN.findall(text))
    return found


@cache
def _stops() -> frozenset[str]:
    """The words of STOPS as `words` gives them, and the signs that are words alone."""
    each = STOPS.split()
    return frozenset(word for one in each for word in words(one)) | {f"·{one}" for one in each if HAN.fullmatch(one)}


class Words:
    """The words of all entries, turned around: word -> where it stands."""

    def __init__(self, entries: Sequence[Entry]):
        self.entries, self.count = entries, len(entries)
        phrases = [(number, features(one)) for number, entry in enumerate(entries) for one in entry.phrases]
        answers = [features(entry.answer) for entry in entries]
        self.rarity = self._rarities(phrases)
        self.owner = np.array([number for number, _ in phrases])
        self.asked, self.norms = self._turned([found for _, found in phrases])
        self.told, _ = self._turned([dict.fromkeys(found, 1.0) for found in answers])

    def alike(self, question: str) -> np.ndarray:
        """(entries,) from 0 to about 1."""
        weights = self._weighted(features(question))
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        shared = _sums(self.asked, weights, len(self.owner))
        alike = (1 - COVER) * shared / (norm * self.norms) + COVER * np.minimum(shared / self.norms**2, 1)
        best = np.zeros(self.count)
        np.maximum.at(best, self.owner, alike)
        said = {feature: weight * weight / self.rarity.get(feature, self.rarest) for feature, weight in weights.items()}
        return best + ANSWER * _sums(self.told, said, self.count) / norm**2

    def others(self, sample: np.ndarray) -> np.ndarray:
        """For each of these entries the best likeness of its question to another one."""
        if self.count < 2:
            return np.zeros(0)
        found = []
        for number in sample:
            alike = self.alike(self.entries[number].question)
            alike[number] = -1
            found.append(alike.max())
        return np.array(found)

    def _rarities(self, phrases) -> dict[str, float]:
        """How much a word says: the fewer entries ask with it, the more."""
        having: dict[str, set[int]] = defaultdict(set)
        for number, found in phrases:
            for feature in found:
                having[feature].add(number)
        self.rarest = math.log(1 + self.count)
        return {feature: math.log(1 + self.count / len(numbers)) for feature, numbers in having.items()}

    def _weighted(self, found: dict[str, float]) -> dict[str, float]:
        return {feature: weight * self.rarity.get(feature, self.rarest) for feature, weight in found.items()}

    def _turned(self, texts: list[dict[str, float]]):
        """{word: (rows, weights)} and the norm of each row."""
        places: dict[str, tuple[list, list]] = defaultdict(lambda: ([], []))
        norms = np.ones(len(texts))
        for row, found in enumerate(texts):
            weights = self._weighted(found)
            norms[row] = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
            for feature, weight in weights.items():
                places[feature][0].append(row)
                places[feature][1].append(weight)
        return {feature: (np.array(rows), np.array(weights)) for feature, (rows, weights) in places.items()}, norms


def _sums(places: dict, weights: dict[str, float], count: int) -> np.ndarray:
    """(count,) for each row the sum over shared words of the product of both weights."""
    found = np.zeros(count)
    for feature, weight in weights.items():
        if feature in places:
            rows, others = places[feature]
            found[rows] += weight * others
    return found


# ---- vectors ----


class Vectors:
    """The vectors of all entries."""

    def __init__(self, entries: Sequence[Entry], encoder: Backend):
        self.encoder, self.count = encoder, len(entries)
        phrases = [(number, one) for number, entry in enumerate(entries) for one in entry.phrases]
        self.owner = np.array([number for number, _ in phrases])
        self.asked = embedded(encoder, [one[:LONGEST] for _, one in phrases])
        self.together = embedded(encoder, [f"{entry.question} {entry.answer}"[:LONGEST] for entry in entries])
        self.first = np.searchsorted(self.owner, np.arange(self.count))  # the row of each entry's own question

    def alike(self, question: str) -> np.ndarray:
        """(entries,) from -1 to 1."""
        return self._alike(embedded(self.encoder, parts(question))).max(0)

    def others(self, sample: np.ndarray) -> np.ndarray:
        """As Words.others."""
        if self.count < 2:
            return np.zeros(0)
        alike = self._alike(self.asked[self.first[sample]])
        alike[np.arange(len(sample)), sample] = -1
        return alike.max(1)

    def _alike(self, asked: np.ndarray) -> np.ndarray:
        """(questions, entries)."""
        best = np.full((len(asked), self.count), -1.0)
        np.maximum.at(best.T, self.owner, (asked @ self.asked.T).T)
        return (1 - TOGETHER) * best + TOGETHER * asked @ self.together.T


def parts(question: str) -> list[str]:
    """A question as a whole, and where it has several sentences each of these; what is too long in pieces."""
    sentences = [one.strip() for one in SENTENCE.findall(question) if one.strip()] or [question]
    wholes = [question] if len(question) <= LONGEST else []
    sentences = [one[at : at + LONGEST] for one in sentences for at in range(0, len(one), LONGEST)]
    return list(dict.fromkeys([*wholes, *sentences]))
