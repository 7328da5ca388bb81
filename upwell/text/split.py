"""Which documents are held out for measuring: decided by a document's own text and a seed, by nothing else.

So the split is the same whatever the order, the file names or the other documents, and two documents with the
same text are always on the same side.
"""

import hashlib

from upwell.text import Document


def held_out(document: Document, share: float, seed: int) -> bool:
    """True for about `share` (0 .. 1) of all documents; a pure function of (text, seed), rising with share."""
    return lot(document, seed) < share


def lot(document: Document, seed: int) -> float:
    """The document's number in 0 .. 1, spread evenly; those with the lowest ones are held out."""
    content = f"{seed}\n{document.text}".encode("utf-8", errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64
