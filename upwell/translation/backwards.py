"""How much of a source comes back when its translation is translated back: one more sign of how sure a model may be.

chrF (Popović 2015) as sacrebleu reckons it: sequences of one to six signs, spaces left out. Knows no model.
"""

from collections import Counter

LONGEST = 6
RECALL = 2  # how many times more what is missing counts than what is too much


def returned(source: str, back: str) -> float:
    """0: nothing of it, 1: all of it, as it was."""
    one, other = ("".join(text.split()) for text in (source, back))
    sizes = range(1, min(LONGEST, len(one), len(other)) + 1)
    if not sizes:
        return 0.0
    counts = [(_sequences(one, size), _sequences(other, size)) for size in sizes]
    same = [(ours & theirs).total() for ours, theirs in counts]
    recall = sum(n / ours.total() for n, (ours, _) in zip(same, counts, strict=True)) / len(sizes)
    precision = sum(n / theirs.total() for n, (_, theirs) in zip(same, counts, strict=True)) / len(sizes)
    both = RECALL**2 * precision + recall
    return (1 + RECALL**2) * precision * recall / both if both else 0.0


def _sequences(text: str, size: int) -> Counter[str]:
    return Counter(text[at : at + size] for at in range(len(text) - size + 1))
