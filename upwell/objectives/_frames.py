"""What stands before, between and behind the texts that a model reads: [CLS] x [SEP] y [SEP], or an end token.

An encoder's frame is the one that masked words are learnt in; a decoder's text begins as its documents do. It knows no
objective.
"""

from typing import TYPE_CHECKING

from ._spelling import frame, named

if TYPE_CHECKING:
    from upwell.model.config import Config
    from upwell.tokens.tokenizer import Tokenizer


class Frame:
    """The frame of a tokenizer, and of a model where one is given.

    .before, .behind: ids around one text · .between: ids between two · .around: places that one text's frame takes
    .pad: what fills up a row
    """

    def __init__(self, tokenizer: "Tokenizer", config: "Config | None" = None):
        found = named(tokenizer, "pad")
        self.pad = tokenizer.end if found is None else found
        self.before, self.behind = frame(tokenizer)
        if config is not None and config.shape == "decoder":
            self.before, self.behind = (tokenizer.end if config.bos is None else config.bos,), ()
        pair = _pair(tokenizer)
        self.between = pair if pair is not None else self.behind or (tokenizer.end,)
        self.around = len(self.before) + len(self.behind)

    def one(self, ids: list[int]) -> list[int]:
        """A text in its frame."""
        return [*self.before, *ids, *self.behind]

    def two(self, first: list[int], second: list[int]) -> tuple[list[int], int]:
        """Two texts in their frame, and where the second begins."""
        head = [*self.before, *first, *self.between]
        return [*head, *second, *self.behind], len(head)


def _pair(tokenizer: "Tokenizer") -> tuple[int, ...] | None:
    """What the tokenizer itself puts between two texts; None where that is nothing."""
    found = tokenizer.inner.encode("a", "a", add_special_tokens=True)
    sides = found.sequence_ids
    if 0 not in sides or 1 not in sides:
        return None
    last = len(sides) - 1 - sides[::-1].index(0)
    return tuple(found.ids[last + 1 : sides.index(1)]) or None
