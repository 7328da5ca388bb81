"""What needs no model that reads: the scores that a trained one has to beat, on a prepared folder's held-out part.

    python bench/baselines.py runs/topics/data-4            texts with a label
    python bench/baselines.py runs/embed-en-zh/titles       pairs
    python bench/baselines.py runs/span/prepared            questions about a text
    python bench/baselines.py runs/embed-en-zh/titles --model minilm-l6     pairs, and a model as it is

Labels: the commonest one of the learnt part, and a linear model over words (TF-IDF, logistic regression by full-batch
Adam; Chinese characters singly and in twos). Pairs: the nearest text by TF-IDF. Answers: never one; and the sentence
that shares most words with the question. Standard errors are binomial, or of the mean.
"""

import argparse
import math
import re
from collections import Counter
from pathlib import Path

import torch

from upwell import prepared, terminal, weights
from upwell.evaluation import within
from upwell.evaluation.recall import DEPTHS, ranked
from upwell.model import hub
from upwell.objectives import contrast, label, span
from upwell.run.measured import measured

WORD = re.compile(r"[\u4e00-\u9fff]|[^\W_]+")
MOST, FEWEST = 60_000, 2  # words of a model at most; texts that a word must stand in
ROUNDS, RATE, DECAY = 150, 0.1, 1e-5


def words(text: str) -> list[str]:
    """Words in small letters; Chinese characters singly and in twos."""
    found = WORD.findall(text.lower())
    twos = [one + other for one, other in zip(found, found[1:], strict=False) if "\u4e00" <= min(one, other)]
    return found + twos


class Words:
    """TF-IDF over the words of some texts: rows of length 1."""

    def __init__(self, texts: list[list[str]]):
        seen = Counter(word for text in texts for word in set(text))
        kept = [word for word, count in seen.most_common(MOST) if count >= min(FEWEST, len(texts))]
        self.number = {word: number for number, word in enumerate(kept)}
        self.weight = torch.tensor([math.log((1 + len(texts)) / (1 + seen[word])) + 1 for word in kept])

    def rows(self, texts: list[list[str]]) -> torch.Tensor:
        """(texts, words), sparse."""
        at, values = [[], []], []
        for row, text in enumerate(texts):
            counts = Counter(self.number[word] for word in text if word in self.number)
            scores = {n: (1 + math.log(count)) * float(self.weight[n]) for n, count in counts.items()}
            length = math.sqrt(sum(score * score for score in scores.values())) or 1.0
            at[0] += [row] * len(scores)
            at[1] += scores.keys()
            values += [score / length for score in scores.values()]
        shape = len(texts), len(self.number)
        return torch.sparse_coo_tensor(torch.tensor(at), torch.tensor(values), shape).coalesce()


def share(name: str, right: torch.Tensor) -> tuple[str, str]:
    """A share of items with its standard error."""
    p, n = float(right.float().mean()), len(right)
    return name, f"{p:.4f} ± {math.sqrt(p * (1 - p) / n):.4f}"


def labels(learnt: list, held: list) -> list[tuple[str, str]]:
    """Accuracy of the commonest label, and of a linear model over words."""
    names = sorted({one.fields["label"] for one in learnt})
    targets, wanted = (torch.tensor([names.index(one.fields["label"]) for one in some]) for some in (learnt, held))
    commonest = targets.bincount().argmax()
    texts, others = ([words(one.fields["text"]) for one in some] for some in (learnt, held))
    known = Words(texts)
    rows, asked = known.rows(texts), known.rows(others)
    weight = torch.zeros(rows.shape[1], len(names), requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], RATE)
    for _ in range(ROUNDS):
        loss = torch.nn.functional.cross_entropy(torch.sparse.mm(rows, weight) + bias, targets)
        loss = loss + DECAY * weight.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    said = (torch.sparse.mm(asked, weight) + bias).argmax(1)
    return [share(f"accuracy of the commonest label ({names[commonest]})", wanted == commonest),
            share(f"accuracy of a linear model over {len(known.number):,} words", said == wanted)]  # fmt: skip


def pairs(learnt: list, held: list) -> list[tuple[str, str]]:
    """Recall of the nearest text by TF-IDF, both ways."""
    sides = [[words(one.fields[side]) for one in held] for side in ("source", "target")]
    known = Words([words(one.fields[side]) for one in learnt for side in ("source", "target")])
    left, right = (known.rows(side).to_dense() for side in sides)
    keys = [torch.tensor([hash(one.fields[side]) for one in held]) for side in ("source", "target")]
    ways = {"": (left, right, *keys), "back ": (right, left, *keys[::-1])}
    return [share(f"{way}recall@{depth} of the nearest by TF-IDF", ranked(*given) <= depth)
            for way, given in ways.items() for depth in DEPTHS]  # fmt: skip


def answers(learnt: list, held: list) -> list[tuple[str, str]]:
    """Exact match and F1 of never an answer, and of the sentence that shares most words with the question."""
    found = []
    for name, say in (("no answer at all", lambda one: ""), ("the sentence most like the question", nearest)):
        ratios = within.extracted((say(one.fields), one.fields["answers"]) for one in held)
        found += [(f"{measure}, {name}", str(ratios[measure].number())) for measure in ("exact match", "f1")]
    return found


def nearest(fields: dict) -> str:
    """The sentence of a text that shares most words with its question."""
    asked = set(words(fields["question"]))
    sentences = re.split(r"(?<=[.!?])\s+", fields["context"])
    return max(sentences, key=lambda sentence: len(asked & set(words(sentence))))


OPTIONS = {"pair": contrast.Settings(cut=True), "label": label.Settings(cut=True), "answer": span.Settings()}
TASKS = {"label": labels, "pair": pairs, "answer": answers}


def main() -> None:
    """The table for one folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a prepared folder of labelled texts, pairs or questions")
    parser.add_argument("--model", type=Path, help="a model's folder or name, measured as it is, beside them")
    given = parser.parse_args()
    folder = given.folder
    learnt, held = (list(prepared.documents_of(folder / f"{part}.jsonl")) for part in ("train", "heldout"))
    task = held[0].fields["task"]
    rows = [("examples learnt from, measured on", f"{len(learnt):,}, {len(held):,}"), *TASKS[task](learnt, held)]
    if given.model:
        numbers = measured(hub.load(weights.find(given.model)), folder, options=OPTIONS[task]).numbers
        rows += [(f"{name}, {given.model} as it is", str(number)) for name, number in numbers.items()]
    terminal.table(f"Without training: {folder}", ("what", "result"), rows)


if __name__ == "__main__":
    main()
