"""What a model answers: its pieces as one text, without what it puts around it, and whether it has lost its way.

Knows no languages.
"""

from collections.abc import Iterable

from ..generation.settings import Piece

PERIOD = 40  # signs of what is repeated, at most
SAME = 12  # so many signs stand as they stood one period before


def read(pieces: Iterable[Piece]) -> tuple[str, list[float], tuple[str, ...]]:
    """Text, log-probabilities and other texts of an answer."""
    text, logprobs, best = "", [], ()
    for piece in pieces:
        text += piece.text
        logprobs.extend(piece.logprobs)
        best = tuple(one.text for one in piece.ranking) or best
    return text, logprobs, best or (text,)


def edged(piece: str) -> tuple[str, str, str]:
    """A piece's space and stops in front, its words, and those behind: what touches a protected part stays so."""
    inner = piece.strip("".join({sign for sign in piece if not sign.isalnum()}))
    at = piece.index(inner)
    return piece[:at], inner, piece[at + len(inner) :]


def looping(text: str) -> bool:
    """Whether a translation says the same at least four times in a row, as a model does that has lost its way."""
    signs = "".join(text.split())
    for size in range(1, PERIOD + 1):
        same, most = 0, max(SAME, 3 * size)
        for at in range(size, len(signs)):
            same = same + 1 if signs[at] == signs[at - size] else 0
            if same >= most:
                return True
    return False


def tidy(text: str, source: str) -> str:
    """A model's answer without space around it, and without quotation marks that its source has not."""
    text = text.strip()
    for mark in ('"', "'", "“”", "「」"):
        if len(text) > 1 and text[0] == mark[0] and text[-1] == mark[-1] and source[:1] != mark[0]:
            return text[1:-1].strip()
    return text
