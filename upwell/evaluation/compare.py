"""What needs no training, on the same held-out text in bits per byte: a compressor and counted n-grams.

A model that does not beat these has learnt little. `xz` is the strongest compressor that comes with Python (LZMA). The
n-grams are over the tokens of the same tokenizer, not over bytes: five tokens reach about as far as three words, five
bytes not even one, so tokens are the stronger and fairer rival of a model that reads tokens. They are smoothed by
interpolated modified Kneser-Ney (Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling",
1998), the best known for counted n-grams; down to a uniform distribution over the vocabulary, so that the
probabilities of all tokens after any history sum to 1.

Knows no model. Letters: N events, n order of the n-grams, V vocabulary.
"""

import lzma
import math

import numpy as np

from upwell.tokens.store import Store

LARGEST_DICTIONARY = 1 << 26  # 64 MiB of text; xz needs about eleven times as much memory
MOST_TOKENS = 5_000_000  # about 0.7 GB of memory


def xz(train: bytes, heldout: bytes) -> float:
    """Bits per byte that xz needs for `heldout` after it has seen `train`: size of both less size of `train`.

    Of a train text above 64 MiB the last part counts.
    """
    train = train[-LARGEST_DICTIONARY:]
    return 8 * (_xz_size(train + heldout) - _xz_size(train)) / max(len(heldout), 1)


def ngrams(train: Store, heldout: Store, order: int = 5) -> float:
    """Bits per byte of n-grams counted on `train` (its first 5 million tokens) for every token of `heldout`.

    The same tokens are asked for as of a model: all but the first of the store, each after what stands before it in
    its own document; the end-of-text token closes each document but the last.
    """
    known = events(train, order, min(len(train), MOST_TOKENS))
    asked = events(heldout, order, len(heldout))
    bits = -np.log2(probabilities(known, asked, max(train.vocab_size, heldout.vocab_size))).sum()
    return float(bits) / max(heldout.text_bytes, 1)


def events(store: Store, order: int, stop: int) -> np.ndarray:
    """(N, order) int64: each token of the store after its first as last column, what stands before it to the left.

    A history that reaches over the beginning of its document is filled with the end-of-text token.
    """
    tokens = store.read(0, stop).astype(np.int64)
    places = np.arange(1, len(tokens))
    begins = store.starts[np.searchsorted(store.starts, places - 1, side="right") - 1]
    columns = [tokens[places]]
    for back in range(1, order):
        inside = places - back >= begins
        columns.append(np.where(inside, tokens[np.maximum(places - back, 0)], store.end))
    return np.stack(columns[::-1], axis=1)


def probabilities(known: np.ndarray, asked: np.ndarray, vocab_size: int) -> np.ndarray:
    """(M,) probability of the last column of `asked` (M, n) after the others, counted on `known` (N, n)."""
    both = np.concatenate([known, asked])
    grams, histories = _numbered(both)
    result = np.full(len(asked), 1 / vocab_size)
    for order, counts in enumerate(_counts(grams, len(known)), start=1):
        result = _interpolated(result, counts, grams[order - 1], histories[order - 1], len(known))
    return result


def _xz_size(text: bytes) -> int:
    size = max(1 << 20, 1 << math.ceil(math.log2(len(text) + 1)))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": size}]
    return len(lzma.compress(text, format=lzma.FORMAT_XZ, filters=filters))


def _numbered(both: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each order 1 .. n: a number of each event's gram (its last `order` tokens) and of the history in it.

    Equal grams have equal numbers below the number of events; so 64 bits are enough at every order.
    """
    columns, size = both.T[::-1], int(both.max()) + 1
    gram = np.unique(columns[0], return_inverse=True)[1]
    history = np.zeros(len(both), dtype=np.int64)
    grams, histories = [gram], [history]
    for column in columns[1:]:
        gram = np.unique(gram * size + column, return_inverse=True)[1]
        history = np.unique(history * size + column, return_inverse=True)[1]
        grams.append(gram)
        histories.append(history)
    return grams, histories


def _counts(grams: list[np.ndarray], known: int) -> list[np.ndarray]:
    """For each order: the count of each gram number. At the highest order how often it was seen, below it after how
    many different tokens (Kneser and Ney 1995)."""
    counts = [np.bincount(grams[-1][:known], minlength=grams[-1].max() + 1)]
    for shorter, longer in zip(grams[-2::-1], grams[:0:-1], strict=True):
        kinds = np.unique(longer[:known], return_index=True)[1]
        counts.append(np.bincount(shorter[kinds], minlength=shorter.max() + 1))
    return counts[::-1]


def _interpolated(
    lower: np.ndarray, counts: np.ndarray, gram: np.ndarray, history: np.ndarray, known: int
) -> np.ndarray:
    """One order up: discounted counts after the history, and what the discounts left over given to `lower`."""
    kinds = np.unique(gram[:known], return_index=True)[1]
    taken = _discounts(counts)[np.minimum(counts, 3)]
    seen, many = history[kinds], history.max() + 1
    total = np.bincount(seen, weights=counts[gram[kinds]], minlength=many)
    left = np.bincount(seen, weights=taken[gram[kinds]], minlength=many)
    asked, before = gram[known:], history[known:]
    known_history = total[before] > 0
    whole = np.where(known_history, total[before], 1)
    mixed = (counts[asked] - taken[asked] + left[before] * lower) / whole
    return np.where(known_history, mixed, lower)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from a count of 0, 1, 2, 3 and more; estimated from how many grams have counts 1 to 4."""
    one, two, three, four = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if not (one and two and three and four):
        return np.array([0, 0.5, 0.5, 0.5])  # too little text for the estimates
    y = one / (one + 2 * two)
    found = [1 - 2 * y * two / one, 2 - 3 * y * three / two, 3 - 4 * y * four / three]
    return np.array([0, *(min(max(taken, 0.1), count - 0.1) for count, taken in enumerate(found, start=1))])
