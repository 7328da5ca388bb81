"""How often each word of a text comes, a word being what a tokenizer's rules cut before it looks for pieces."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tokenizers
from tokenizers import models, trainers

AT_ONCE = 1 << 20  # characters


def counted(texts: Sequence[str], normalizer, pre_tokenizer) -> list[tuple[str, int]]:
    """(word, how often), the most frequent first and equally frequent ones in the order of their characters.

    The texts are read twice: once to know the words, once to count them, both in the library's threads.
    """
    inner = tokenizers.Tokenizer(models.WordLevel({}, unk_token=""))
    if normalizer is not None:
        inner.normalizer = normalizer
    if pre_tokenizer is not None:
        inner.pre_tokenizer = pre_tokenizer
    inner.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=(1 << 31) - 1, show_progress=False))
    known = inner.get_vocab()
    counts = np.zeros(len(known), dtype=np.int64)
    for some in at_once(texts):
        ids = [one.ids for one in inner.encode_batch_fast(some, add_special_tokens=False)]
        counts += np.bincount(np.array([id for row in ids for id in row], dtype=np.int64), minlength=len(known))
    found = [(word, int(counts[id])) for word, id in known.items() if counts[id]]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def at_once(texts: Iterable[str], characters: int = AT_ONCE) -> Iterator[list[str]]:
    """Texts in lists of about so many characters."""
    some, length = [], 0
    for text in texts:
        some.append(text)
        length += len(text)
        if length >= characters:
            yield some
            some, length = [], 0
    if some:
        yield some


def letters(words: Iterable[tuple[str, int]], share: float = 1.0, most: int | None = None) -> list[str]:
    """The most frequent characters, until they are `share` of all and at most `most`."""
    counts: Counter[str] = Counter()
    for word, count in words:
        for letter in word:
            counts[letter] += count
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    sums = np.cumsum([count for _, count in ordered])
    enough = int(np.searchsorted(sums, share * sums[-1])) + 1 if ordered else 0
    return [letter for letter, _ in ordered[: min(enough, len(ordered) if most is None else most)]]
