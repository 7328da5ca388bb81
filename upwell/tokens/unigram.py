"""The pieces of a Unigram tokenizer and their scores, learnt from counted words.

A text's probability is that of its pieces, multiplied; the likeliest way to cut it is what the tokenizer gives. Begin
with many pieces (those that byte-pair merging finds), estimate their probabilities over all ways to cut every word
(EM), drop those without which the words lose least, and repeat (Kudo 2018, arXiv 1804.10959; seeds by merging: Land and
Pinter 2025). The `tokenizers` library has a trainer too, but its result changes from run to run with the order of its
hash table; here the same words give the same pieces. Numbers in numpy: all words take one step side by side.
"""

from collections.abc import Iterator, Sequence

import numpy as np

KEPT = 0.75     # share of the pieces that a round keeps
TWICE = 2       # estimates between two rounds
LONGEST_WORD = 64
MOST_LETTERS = 4_000_000
DIGITS = 6
NEVER = -np.inf


class Lattice:
    """Every way to cut every word into pieces: edges from node to node, sorted by how far into its word one begins.

    Edges of one step begin at the same place of their words, so no two of them end at the same node, and a step is one
    assignment of numpy's.
    """

    def __init__(self, words: Sequence[str], pieces: dict[str, int], own: bool = True):
        """own: whether a word that is itself a piece may stay whole."""
        lengths = np.array([len(word) for word in words], dtype=np.int64)
        self.begin = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
        self.end, self.nodes = self.begin + lengths, int((lengths + 1).sum())
        found = np.array(list(_edges(words, pieces, own)), dtype=np.int32).reshape(-1, 4)
        word, place, length, piece = found[np.argsort(found[:, 1], kind="stable")].T
        self.start = self.begin[word] + place
        self.stop, self.piece, self.word = self.start + length, piece, word
        borders = np.searchsorted(place, np.arange(int(place.max(initial=-1)) + 2))
        self.steps = [slice(a, b) for a, b in zip(borders[:-1], borders[1:], strict=True)]

    def best(self, scores: np.ndarray) -> np.ndarray:
        """The score of the likeliest way to cut each word; -inf where there is none."""
        value = np.full(self.nodes, NEVER)
        value[self.begin] = 0.0
        for step in self.steps:
            stop = self.stop[step]
            value[stop] = np.maximum(value[stop], value[self.start[step]] + scores[self.piece[step]])
        return value[self.end]

    def expected(self, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """How often each piece is used, over all ways to cut the words, each word as often as `counts` says."""
        ahead, behind = np.full(self.nodes, NEVER), np.full(self.nodes, NEVER)
        ahead[self.begin], behind[self.end] = 0.0, 0.0
        weight = scores[self.piece]
        for step in self.steps:
            stop = self.stop[step]
            ahead[stop] = np.logaddexp(ahead[stop], ahead[self.start[step]] + weight[step])
        for step in reversed(self.steps):  # several edges leave one node: sum them in the order of the words
            start, value = self.start[step], behind[self.stop[step]] + weight[step]
            order = np.argsort(start, kind="stable")
            nodes, first = np.unique(start[order], return_index=True)
            if len(nodes):
                behind[nodes] = np.logaddexp.reduceat(value[order], first)
        total = ahead[self.end]
        with np.errstate(invalid="ignore"):
            share = np.exp(ahead[self.start] + weight + behind[self.stop] - total[self.word])
        share = np.where(np.isfinite(total[self.word]), share, 0.0)
        return np.bincount(self.piece, weights=share * counts[self.word], minlength=len(scores))


def learn(words: Sequence[tuple[str, int]], seeds: Sequence[str], size: int) -> list[tuple[str, float]]:
    """(piece, natural logarithm of its probability) of `size` pieces, the likeliest first.

    words: (word, how often). seeds: pieces to choose from; those of one character are kept whatever happens, and words
    are cut at characters that are none of them.
    """
    pieces = {piece: number for number, piece in enumerate(dict.fromkeys(seeds))}
    names = list(pieces)
    single = np.array([len(piece) == 1 for piece in names])
    size = max(min(size, len(names)), int(single.sum()))
    parts, counts = _parts(words, pieces)
    lattice, alone = Lattice(parts, pieces), Lattice(names, pieces, own=False)
    scores = np.log(1.0 / np.array([len(names)] * len(names)))
    used = lattice.expected(scores, counts)
    left = len(names)
    while True:
        for _ in range(TWICE):
            scores = _estimated(used, single, scores)
            used = lattice.expected(scores, counts)
        left = int(np.isfinite(scores).sum())
        if left <= size:
            break
        with np.errstate(invalid="ignore"):
            loss = used * (scores - alone.best(scores))
        loss = np.where(single, np.inf, np.where(np.isfinite(scores), np.nan_to_num(loss, posinf=1e300), NEVER))
        scores[np.argsort(-loss, kind="stable")[max(size, int(left * KEPT)) :]] = NEVER
        used = lattice.expected(scores, counts)
    found = [(names[i], round(float(scores[i]), DIGITS)) for i in np.flatnonzero(np.isfinite(scores))]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _estimated(used: np.ndarray, single: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Scores from expected counts; a piece used less than half a time is dropped, a character never."""
    kept = (used >= 0.5) | single
    kept &= np.isfinite(scores)
    counts = np.where(kept, np.maximum(used, 0.5 * single), 1.0)
    return np.where(kept, digamma(counts) - digamma(np.array([counts[kept].sum()])), NEVER)


def digamma(x: np.ndarray) -> np.ndarray:
    """The derivative of the logarithm of the gamma function for x > 0: it makes rare pieces rarer (variational EM)."""
    x, result = x.astype(float), np.zeros(len(x))
    for _ in range(7):
        small = x < 7
        result -= np.where(small, 1 / x, 0.0)
        x = x + small
    y = 1 / (x * x)
    return result + np.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y / 252))


def _parts(words: Sequence[tuple[str, int]], pieces: dict[str, int]) -> tuple[list[str], np.ndarray]:
    """Words cut at unknown characters and at LONGEST_WORD, the most frequent ones up to MOST_LETTERS, and counts."""
    parts: dict[str, int] = {}
    letters = 0
    for word, count in words:
        known = "".join(letter if letter in pieces else "\0" for letter in word)
        for run in known.split("\0"):
            for first in range(0, len(run), LONGEST_WORD):
                part = run[first : first + LONGEST_WORD]
                letters += 0 if part in parts else len(part)
                parts[part] = parts.get(part, 0) + count
        if letters > MOST_LETTERS:
            break
    return list(parts), np.array(list(parts.values()), dtype=float)


def _edges(words: Sequence[str], pieces: dict[str, int], own: bool) -> Iterator[tuple[int, int, int, int]]:
    """(word, place, length, piece) of every piece within every word."""
    begins = {piece[:length] for piece in pieces for length in range(1, len(piece) + 1)}
    for number, word in enumerate(words):
        for place in range(len(word)):
            for stop in range(place + 1, len(word) + 1):
                part = word[place:stop]
                if part not in begins:
                    break
                if part in pieces and (own or stop - place < len(word)):
                    yield number, place, stop - place, pieces[part]
