"""Questions with known answers over texts, for bench/answers.py: what is asked, and how found texts are counted.

    disflqa      713 passages of Wikipedia, questions with slips of the tongue; 245 that their passage does not answer
    boolq        10,148 passages, questions as people typed them; which passage is it
    narrativeqa  101 summaries of stories; which story is it
    story        the same, but the story is known: which of its pieces holds the answer
    quac         1,000 sections of articles, dialogues of three questions

Texts are cut into pieces as `upwell index` cuts them, and peers are given the same pieces, so that ranks are compared
and not how texts are cut.
"""

import json
import math
import random
from typing import NamedTuple

RETRIEVAL = ("disflqa", "boolq", "narrativeqa", "story")
DEPTHS = (1, 5, 10)
SHARES = (0.01, 0.05, 0.1, 0.2)  # of questions with an answer that may be refused


class Asked(NamedTuple):
    """A question. text: the number of the text it is about; answers: none where that text does not answer."""

    question: str
    text: int
    answers: list[str]
    split: str
    dialogue: int = -1
    history: tuple = ()


class Set(NamedTuple):
    """Texts, and what is asked about them."""

    texts: list[str]
    asked: list[Asked]


class Piece(NamedTuple):
    """A piece of a text. text: the number of the text that it belongs to."""

    text: int
    start: int
    words: str


def load(name: str, most: int = 0) -> Set:
    """A set of the catalogue, fetched where it is not there yet; most: of its first texts alone, 0: of all."""
    from upwell import catalog

    path = catalog.fetch("questions", "narrativeqa" if name == "story" else name)
    numbers: dict[str, int] = {}
    asked = []
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        text = numbers.setdefault(one["context"], len(numbers))
        history = tuple(map(tuple, one.get("history", ())))
        asked.append(Asked(one["question"], text, one["answers"], one["split"], one.get("dialogue", -1), history))
    texts = list(numbers)[: most or None]
    return Set(texts, [one for one in asked if one.text < len(texts)])


def some(items: list, count: int) -> list:
    """So many of them, drawn by a fixed seed and in their order; 0: all."""
    if not count or count >= len(items):
        return items
    chosen = sorted(random.Random(1).sample(range(len(items)), count))
    return [items[at] for at in chosen]


def pieces(index) -> list[Piece]:
    """The pieces of an index whose documents are called by the numbers of their texts."""
    found = index.passages(reversed(index.newest(index.count)))
    return [Piece(int(one.source), one.start, one.text) for one in found]


def right(name: str, asked: Asked, cut: list[Piece]) -> set[int]:
    """What counts as found: the numbers of texts; of a story those of the pieces in which an answer stands."""
    if name != "story":
        return {asked.text}
    answers = [one.strip().rstrip(".").lower() for one in asked.answers]
    return {number for number, piece in enumerate(cut) if piece.text == asked.text
            and any(one and one in piece.words.lower() for one in answers)}  # fmt: skip


def measurable(name: str, found: Set, cut: list[Piece], count: int,
               held: bool = False) -> tuple[list[Asked], list[set[int]]]:  # fmt: skip
    """Questions that have an answer in what is searched, and what counts as found for each; held: of the part to
    measure on alone."""
    fit = [(one, right(name, one, cut)) for one in found.asked
           if (one.answers or name == "boolq") and (one.split == "test" or not held)]  # fmt: skip
    fit = some([(one, what) for one, what in fit if what], count)
    return [one for one, _ in fit], [what for _, what in fit]


def keys(name: str, numbers: list[int], cut: list[Piece]) -> list[int]:
    """Found pieces, best first -> texts, each once; of a story the pieces themselves."""
    return list(dict.fromkeys(numbers if name == "story" else (cut[number].text for number in numbers)))


def ranked(found: list[list[int]], wanted: list[set[int]]) -> dict[str, tuple[float, float]]:
    """Recall at some depths (is one of the right ones there) and nDCG@10, each with its standard error."""
    told = {}
    for depth in DEPTHS:
        told[f"recall@{depth}"] = mean([float(bool(what & {*row[:depth]}))
                                         for row, what in zip(found, wanted, strict=True)])  # fmt: skip
    told["nDCG@10"] = mean([gain(row[:10], what) for row, what in zip(found, wanted, strict=True)])
    return told


def gain(row: list[int], wanted: set[int]) -> float:
    """Normalised discounted cumulative gain of one ranking, where what is found is right or not."""
    best = sum(1 / math.log2(place + 2) for place in range(min(len(wanted), 10)))
    return sum(1 / math.log2(place + 2) for place, one in enumerate(row) if one in wanted) / best


def mean(values: list[float]) -> tuple[float, float]:
    """A mean and its standard error."""
    count = len(values)
    middle = math.fsum(values) / count
    spread = math.fsum((value - middle) ** 2 for value in values) / max(count - 1, 1)
    return middle, math.sqrt(spread / count)


# ---- answers ----


def grouped(found: Set, count: int, learnt: bool) -> dict[str, list[Asked]]:
    """Questions to set a threshold by (known, unknown) and others to measure: with an answer, near ones that their own
    passage does not answer, and such of other subjects. No text of the first ones is asked about by the others.

    learnt: a model has seen the part to learn from, so both kinds are taken from the part to measure on.
    """
    from upwell import catalog

    lines = catalog.fetch("questions", "nq-open").read_text(encoding="utf-8").splitlines()
    typed = [Asked(one["prompt"], -1, [], one["split"]) for one in map(json.loads, lines)]
    test = [one for one in found.asked if one.split == "test"]
    first = [one for one in test if one.text % 2] if learnt else [one for one in found.asked if one.split == "train"]
    test = [one for one in test if not one.text % 2] if learnt else test

    def of(rows: list[Asked], answered: bool) -> list[Asked]:
        return some([one for one in rows if bool(one.answers) == answered], count)

    return {"known": of(first, True), "unknown": of([one for one in typed if one.split == "train"], False),
            "answerable": of(test, True), "near": of(test, False),
            "others": of([one for one in typed if one.split == "test"], False)}  # fmt: skip


def judged(one, answer) -> dict:
    """How an answer is: exact match, F1, whether it holds a right one, whether it cites the text asked about."""
    from upwell.evaluation.tasks.answers import within
    from upwell.evaluation.within import bare, shared

    said, wanted = bare(answer.text), [bare(text) for text in one.answers]
    sources = {citation.source for citation in answer.citations}
    return {"confidence": answer.confidence, "exact": float(said in wanted),
            "f1": max((shared(said, text) for text in wanted), default=0.0),
            "holds": float(any(within(text, said) for text in wanted)),
            "source": float(str(one.text) in sources)}  # fmt: skip


def summed(told: dict[str, list[dict]], limits: list[float]) -> dict:
    """Means with their errors, and what each of some thresholds refuses."""
    found = {key: mean([row[key] for row in told["answerable"]]) for key in ("exact", "f1", "holds", "source")}
    curve = [{"threshold": limit} | {group: mean([float(row["confidence"] < limit) for row in rows])
                                     for group, rows in told.items()} for limit in limits]  # fmt: skip
    return found | {"curve": curve, "counts": {group: len(rows) for group, rows in told.items()}}
