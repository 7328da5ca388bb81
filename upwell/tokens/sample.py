"""A bounded part of a corpus, the same for the same corpus whatever the order in which it is read.

Each text has a place by the hash of its content; kept are the texts with the lowest hashes, as many as fit into the
room, and none behind the first that does not fit. Memory holds no more than the room and one text. Texts longer than
`PIECE` characters count piece by piece, cut at a line's end where there is one.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

PIECE = 1 << 20


@dataclass(frozen=True)
class Sample:
    """What was kept, in the order in which it was read, and what it was kept of."""

    texts: list[str]
    labels: list[Any]
    """What came with each of them."""
    documents: int
    """Texts read."""
    bytes: int
    """Their UTF-8 bytes."""
    kept: int
    """UTF-8 bytes of the sample."""

    @property
    def told(self) -> str:
        """One line for a person."""
        if self.kept == self.bytes:
            return f"all of it: {self.documents:,} documents, {self.bytes / 1e6:.1f} MB"
        return (f"{len(self.texts):,} of {self.documents:,} documents, {self.kept / 1e6:.1f} of "
                f"{self.bytes / 1e6:.1f} MB, those with the lowest hashes")


def sampled(texts: Iterable[tuple[str, Any]], room: int) -> Sample:
    """At most `room` bytes of the texts; each comes with a label of any kind, that the sample keeps beside it."""
    held: list[tuple[int, int, int, str, Any, int]] = []  # a heap: (-hash, document, piece, text, label, bytes)
    bar, total, used, documents = 1 << 64, 0, 0, 0
    for number, (text, label) in enumerate(texts):
        documents = number + 1
        for place, piece in enumerate(_pieces(text)):
            content = piece.encode("utf-8", errors="surrogatepass")
            total += len(content)
            lot = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
            if lot >= bar:
                continue
            heapq.heappush(held, (-lot, number, place, piece, label, len(content)))
            used += len(content)
            while used > room:
                least, *_, size = heapq.heappop(held)
                bar, used = min(bar, -least), used - size
    kept = sorted(one[1:] for one in held if -one[0] < bar)  # of equal texts at the bar all or none
    texts, labels = _joined(kept)
    return Sample(texts, labels, documents, total, sum(one[-1] for one in kept))


def _pieces(text: str) -> Iterator[str]:
    while len(text) > PIECE:
        cut = text.rfind("\n", PIECE // 2, PIECE) + 1 or PIECE
        yield text[:cut]
        text = text[cut:]
    yield text


def _joined(kept: list[tuple[int, int, str, Any, int]]) -> tuple[list[str], list[Any]]:
    """Pieces that followed each other are one text again."""
    texts: list[list[str]] = []
    labels, before = [], (-1, -1)
    for number, place, piece, label, _ in kept:
        if (number, place - 1) == before:
            texts[-1].append(piece)
        else:
            texts.append([piece])
            labels.append(label)
        before = number, place
    return ["".join(pieces) for pieces in texts], labels
