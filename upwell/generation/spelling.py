"""What settings say in text (strings that may not appear, what must, a grammar), as ids and filters of a tokenizer.

Knows tokens and bytes, no model. The tables over the vocabulary are made once for each tokenizer, when first asked for.
"""

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..errors import UpwellError
from .filters import NEVER, Filter, Spelled
from .settings import Settings

UNKNOWN = 1000          # bytes of a word that no tokenizer knows
BREAKERS = ("\n", ":", '"', "*")         # where a repetition ends if nothing else is said


class Spelling:
    """A tokenizer's tokens as bytes, and what is asked of them.

    tokenizer   .encode, .bytes_of, .vocab_size, .special
    vocab       ids that the model has
    """

    def __init__(self, tokenizer, vocab: int):
        self.tokenizer, self.vocab = tokenizer, vocab

    def spelled(self, s: Settings, ends: Iterable[int], sequences: Iterable[tuple[int, ...]] = ()) -> Spelled:
        """What these settings say in text. sequences: of ids, that the model's own folder bans."""
        never = [self.never(s.never)] if s.never else []
        never += [self.grammar(s, ends)] if s.shaped else []
        begins = tuple(self.tokenizer.encode(s.begin)) if s.begin else ()
        breaking = BREAKERS if s.dry_breakers is None else s.dry_breakers
        breakers = self.holding(text.encode() for text in breaking) if s.dry else ()
        return Spelled(tuple(never), tuple(sequences), begins, tuple(breakers))

    def phrases(self, texts: Iterable[str]) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Each text in its spellings: as it stands, and as a word in the middle of a text, behind a space."""
        return tuple(tuple(dict.fromkeys(tuple(self.tokenizer.encode(each)) for each in (" " + text, text)))
                     for text in texts)  # fmt: skip

    def never(self, strings: Iterable[str]) -> Filter:
        """None of these strings in what was written, however it is cut into tokens."""
        wanted = [string.encode() for string in strings]
        reach = max(map(len, wanted)) - 1
        inside = torch.tensor(self.holding(wanted), dtype=torch.int64)
        begun: dict[bytes, Tensor] = {}     # what is left of a string -> the tokens that would end it

        def ban(tokens: Tensor, logits: Tensor) -> Tensor:
            logits = logits.index_fill(1, inside.to(logits.device), NEVER)
            for row, ids in enumerate(tokens.tolist()):
                tail = self._tail(ids, reach)
                for string in wanted:
                    for known in range(1, min(len(string) - 1, len(tail)) + 1):
                        if tail.endswith(string[:known]):
                            left = string[known:]
                            if left not in begun:
                                begun[left] = torch.tensor(self.beginning(left), dtype=torch.int64)
                            logits[row, begun[left].to(logits.device)] = NEVER
            return logits

        return ban

    def grammar(self, settings: Settings, ends: Iterable[int]) -> Filter:
        """Only what the grammar of the settings allows."""
        from . import grammar

        return grammar.Grammar(self._for_grammars(tuple(sorted(ends))), settings, self.vocab)

    def beginning(self, start: bytes) -> list[int]:
        """Ids of the tokens that begin with these bytes."""
        texts, ids = self._sorted
        first = bisect_left(texts, start)
        last = first
        while last < len(texts) and texts[last].startswith(start):
            last += 1
        return ids[first:last]

    def holding(self, parts: Iterable[bytes]) -> list[int]:
        """Ids of the tokens in which one of these strings of bytes stands."""
        whole, starts = self._joined
        found = set()
        for part in parts:
            at = whole.find(part)
            while at >= 0:
                id = int(np.searchsorted(starts, at, side="right")) - 1
                if at + len(part) <= starts[id + 1]:
                    found.add(id)
                at = whole.find(part, at + 1)
        return sorted(found)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token; where words may be unknown, which are one token each, more than any word has."""
        model, longest = self.tokenizer.inner.model, max(map(len, self._texts))
        unknown = type(model).__name__ in ("WordPiece", "WordLevel", "Unigram") or getattr(model, "unk_token", None)
        return max(longest, UNKNOWN) if unknown else longest

    def _tail(self, ids: list[int], least: int) -> bytes:
        """The last bytes of a text, `least` or more where it has so many."""
        tail = b""
        for id in reversed(ids):
            if len(tail) >= least:
                break
            tail = self.tokenizer.bytes_of(id) + tail
        return tail

    @cached_property
    def _texts(self) -> list[bytes]:
        return [self.tokenizer.bytes_of(id) for id in range(min(self.vocab, self.tokenizer.vocab_size))]

    @cached_property
    def _sorted(self) -> tuple[list[bytes], list[int]]:
        pairs = sorted((text, id) for id, text in enumerate(self._texts) if text)
        return [text for text, _ in pairs], [id for _, id in pairs]

    @cached_property
    def _joined(self) -> tuple[bytes, np.ndarray]:
        """All tokens one behind the other, and where each begins (one more than there are tokens)."""
        return b"".join(self._texts), np.cumsum([0, *map(len, self._texts)])

    def _for_grammars(self, ends: tuple[int, ...]):
        """llguidance's own view of this vocabulary; made anew only for other ends."""
        from . import grammar

        known = self.__dict__.setdefault("_views", {})
        if ends not in known:
            inside = [end for end in ends if end < len(self._texts)]
            if not inside:
                raise UpwellError("the model has no token that ends a text, so that no grammar can be kept to")
            known[ends] = grammar.view(self._texts, self.tokenizer.special, inside, self.tokenizer.encode)
        return known[ends]
