"""Small stores whose tokens can be told apart, for the tests of what draws batches from them."""

import numpy as np

from upwell.tokens.store import Store, write

END = 0


def stored(folder, documents=40, longest=30, seed=0, first=1, **more):
    """A store in which no id comes twice but the end token 0."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest, documents)
    ends = first + np.cumsum(lengths)
    documents = [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    write(folder, documents, 60_000, END, **more)
    return Store(folder)


def asked(batch):
    """(input id, target id) of every place at which something is asked."""
    real = batch.targets != -100
    return list(zip(batch.ids[real].tolist(), batch.targets[real].tolist(), strict=True))


def expected(store):
    """(input id, target id) of every place of every document, its end token before and behind it."""
    pairs = []
    for number in range(store.documents):
        ids = [END, *store.document(number).tolist(), END]
        pairs += zip(ids[:-1], ids[1:], strict=True)
    return sorted(pairs)
