"""What an index asks of an encoder (a generation.backend.Backend with `embed`): vectors of length 1, and what fits.

    vectors(encoder, texts)     (N, width) float32; Chinese is read as glosses where it knows no Chinese (glosses.py)
    embedded(encoder, texts)    the same, of a text that it does not read at once the mean of its pieces'
    probe(encoder)              the vector of one sentence, always the same, by which an encoder is known again
    fitting(encoder)            whether it reads a text whole, as a function

Knows no index.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import DataError
from ..generation.backend import Backend
from .glosses import shown

SENTENCE = "Which encoder is this? 这是哪一个编码器？"
AT_ONCE = 64  # texts of about one length


def vectors(encoder: Backend, texts: Sequence[str]) -> np.ndarray:
    """A vector of length 1 for each text, (N, width) float32."""
    texts = [shown(encoder, text) for text in texts]
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    found: list = [None] * len(texts)
    for start in range(0, len(order), AT_ONCE):
        some = order[start : start + AT_ONCE]
        for number, vector in zip(some, encoder.embed([texts[one] for one in some]), strict=True):
            found[number] = vector
    return _of_length_one(encoder, found)


def _of_length_one(encoder: Backend, found: list) -> np.ndarray:
    try:
        rows = np.array(found, np.float32).reshape(len(found), -1)
    except ValueError:
        raise DataError(f"{encoder.name} gave vectors of several lengths, expected one length for all texts") from None
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise DataError(f"{encoder.name} gave a vector of length 0 or one that is no number, expected numbers; take "
                        "another encoder")  # fmt: skip
    return (rows / lengths).astype(np.float32)


def embedded(encoder: Backend, texts: Sequence[str]) -> np.ndarray:
    """(texts, width) vectors of length one; of a text that the encoder cannot read at once the mean of its pieces'."""
    fits, _ = fitting(encoder)
    pieces = [(row, piece) for row, text in enumerate(texts) for piece in pieces_of(text, fits)]
    found = vectors(encoder, [piece for _, piece in pieces])
    sums = np.zeros((len(texts), found.shape[1]), dtype=np.float32)
    np.add.at(sums, [row for row, _ in pieces], found)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def pieces_of(text: str, fits: Callable[[str], bool] | None) -> list[str]:
    """A text in halves, and these again, until each is read whole; divided at a space where one is near the middle."""
    if fits is None or fits(text) or len(text) < 2:
        return [text]
    middle = len(text) // 2
    space = text.rfind(" ", middle // 2, middle)
    at = space if space > 0 else middle
    return [*pieces_of(text[:at].strip() or text[:1], fits), *pieces_of(text[at:].strip() or text[-1:], fits)]


def probe(encoder: Backend) -> np.ndarray:
    """The vector of the sentence by which it is known again, (width,); of its signs themselves, so that no dictionary
    is read for it."""
    return _of_length_one(encoder, list(encoder.embed([SENTENCE])))[0]


def fitting(encoder: Backend | None) -> tuple[Callable[[str], bool] | None, int | None]:
    """Whether it reads a text whole, as a function, and how many tokens it reads; None of one that does not say."""
    most = room(encoder)
    if most is None:
        return None, None
    return (lambda text: reads(encoder, text, most)), most


def reads(encoder: Backend, text: str, most: int) -> bool:
    """Whether a text has at most so many tokens of this encoder."""
    text = shown(encoder, text)
    return len(text.encode("utf-8")) < most or len(encoder.tokenizer.encode(text)) <= most


def room(encoder: Backend | None) -> int | None:
    """How many tokens of a text it reads; None of one that does not say, as a server."""
    if encoder is None or getattr(encoder, "tokenizer", None) is None or getattr(encoder, "config", None) is None:
        return None
    from ..objectives._frames import Frame

    return encoder.config.context - Frame(encoder.tokenizer, encoder.config).around


def tokens(encoder: Backend, text: str) -> int:
    """How many tokens of this encoder a text has, as it is shown to it."""
    return len(encoder.tokenizer.encode(shown(encoder, text)))
