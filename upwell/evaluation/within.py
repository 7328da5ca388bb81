"""What a run measures of its held-out part, for every objective, in constant memory.

    scores = measure(model, objective, part, options, rows, dtype)      # losses, and what the head is good for
    answers = answered(checkpoint, list(questions(...)))                # what the model writes, beside the references

Sums are kept, never items: a mean, an F1 or a loss is a ratio of two sums, and its standard error that of a ratio over
items (batches for losses). The room knows no training loop; it is handed an objective as one is handed a file.
"""

import math
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..model.config import Head
from ..model.transformer import Transformer
from ..objectives import Part, causal
from ..tokens.batches import IGNORE
from . import Confusion, Number, Scores
from .recall import Ranking
from .tasks import loss as loss_task

SIGNS = frozenset(string.punctuation)  # $ and the like are no punctuation to Unicode
NONE = "(no answer)"
SHOWN = 3  # answers that are kept as samples


class Ratio:
    """Sums of pairs (x, y): their ratio, or the mean of several, with its standard error over items."""

    def __init__(self):
        self.sums: Tensor | None = None
        self.items = 0

    def add(self, x: Tensor, y: Tensor) -> None:
        """x and y (items,) or (items, kinds): an item adds so much above and below the line."""
        x, y = x.detach().cpu().double(), y.detach().cpu().double()
        found = torch.stack([x.sum(0), y.sum(0), (x * x).sum(0), (x * y).sum(0), (y * y).sum(0)])
        self.sums = found if self.sums is None else self.sums + found
        self.items += len(x)

    def each(self) -> tuple[Tensor, Tensor]:
        """(values, standard errors) of every kind; NaN where nothing stands below the line."""
        x, y, xx, xy, yy = self.sums
        value = x / y
        spread = (xx - 2 * value * xy + value.square() * yy).clamp(min=0).sqrt() / y
        return value, spread * math.sqrt(self.items / (self.items - 1)) if self.items > 1 else spread

    def number(self) -> Number:
        """The ratio; of several kinds the mean of those that are there."""
        value, error = (t.reshape(-1) for t in self.each())
        there = value.isfinite()
        count = max(1, int(there.sum()))
        return Number(float(value[there].sum() / count), float(error[there].square().sum().sqrt() / count), self.items)


Ratios = dict[str, Ratio]


@torch.no_grad()
def measure(model: Transformer, objective: Any, part: Part, options: Any, rows: int = 16,
            dtype: torch.dtype = torch.float32) -> Scores:  # fmt: skip
    """Every held-out item once: the loss and its terms, and accuracy, F1 and so on where the head has such a thing.

    objective: a module of objectives (or what stands in its place) with its options; smoothing is left out.
    """
    if isinstance(options, causal.Settings):
        return loss_task.measure(model, part.store, loss_task.Settings(part.context, rows), dtype)
    plain, sums, items = unsmoothed(options), Ratio(), 0
    ratios: Ratios = {}
    ranking = Ranking()
    table = Table(model.config.head)
    shown: list[dict[str, str]] = []
    model.eval()
    for batch in objective.samples(part, rows, 0, plain).whole(rows):
        batch = type(batch)(*(None if t is None else t.to(model.device) for t in batch))
        with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
            total = objective.loss(model, batch, plain)
            for name, (x, y) in found(model, objective, batch, part, plain, table).items():
                ratios.setdefault(name, Ratio()).add(x, y)
            if hasattr(objective, "vectors"):
                ranking.add(*objective.vectors(model, batch, plain), *objective.names(batch))
        sums.add(total.float()[None], torch.tensor([objective.counts(batch, plain)]))
        items += len(batch[0])
    if hasattr(objective, "answers"):
        with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
            ratios |= extracted(noted(objective.answers(model, part, rows, plain), part, shown))
    for name, hits in ranking.hits().items():
        ratios[name] = Ratio()
        ratios[name].add(*ones(hits.float()))
    numbers = losses(sums, objective.TERMS) | {name: ratio.number() for name, ratio in ratios.items()}
    return Scores(numbers, items, table.told(), tuple(shown))


class Table:
    """Counts of (right label, said label), where a model gives one of several labels; (L, L) whatever the data."""

    def __init__(self, head: Head):
        one = head.kind == "classify" and head.problem in (None, "single_label_classification") and len(head.labels) > 1
        self.labels = head.labels if one else ()
        self.counts = torch.zeros(len(self.labels), len(self.labels), dtype=torch.int64)

    def add(self, right: Tensor, said: Tensor) -> None:
        """Two labels of each text, (rows,) int64."""
        L = len(self.labels)
        if L:
            self.counts += torch.bincount((right * L + said).cpu(), minlength=L * L).view(L, L)

    def told(self) -> Confusion | None:
        """What was counted; None where nothing was."""
        return Confusion(self.labels, tuple(map(tuple, self.counts.tolist()))) if self.counts.any() else None


def noted(answers: Iterable[tuple[str, list[str]]], part: Part, shown: list) -> Iterator[tuple[str, list[str]]]:
    """The answers as they come; the first few also go into `shown`, with their question and what is right."""
    asked = iter(()) if part.documents is None else iter(part.documents())
    for text, right in answers:
        if len(shown) < SHOWN:
            one = next(asked, None)
            question = (one.fields or {}).get("question", "") if one else ""
            shown.append({"prompt": question, "text": text or NONE, "reference": " | ".join(right) or NONE})
        yield text, right


def losses(sums: Ratio, terms: tuple[str, ...]) -> dict[str, Number]:
    """The loss, and its terms where there are several."""
    values, errors = (t.nan_to_num() for t in sums.each())
    whole = {"loss": Number(float(values.sum()), float(errors.square().sum().sqrt()))}
    if len(terms) == 1:
        return whole
    each = zip(terms, values.tolist(), errors.tolist(), strict=True)
    return whole | {f"{name} loss": Number(value, error) for name, value, error in each}


def unsmoothed(options: Any) -> Any:
    """The settings without label smoothing, which is for learning."""
    has = is_dataclass(options) and any(one.name == "smoothing" for one in fields(options))
    return replace(options, smoothing=0.0) if has else options


def found(model: Transformer, objective: Any, batch: Any, part: Part, options: Any,
          table: Table) -> dict[str, tuple[Tensor, Tensor]]:  # fmt: skip
    """What a batch adds to each measure, (above, below the line), each (rows,); and to the table of labels."""
    if hasattr(objective, "scored"):
        return objective.scored(model, batch, part, options)
    kind, have = model.config.head.kind, batch._asdict()
    ways: dict[str, tuple[str, Callable]] = {
        "classify": ("labels", partial(classified, table=table)), "tag": ("targets", tagged),
    }  # fmt: skip
    need, way = ways.get(kind, ("", None))
    return way(model, batch) if way is not None and need in have else {}


def outputs(model: Transformer, batch: Any) -> Tensor:
    """What the head gives for a batch, in float32."""
    have = batch._asdict()
    return model(batch.ids, **{name: have[name] for name in ("mask", "types", "documents") if name in have}).float()


# ---- labels ----


def classified(model: Transformer, batch: Any,
               table: Table | None = None) -> dict[str, tuple[Tensor, Tensor]]:  # fmt: skip
    """Accuracy and macro F1 of one label, exact match and F1 of several, squared error of a number."""
    scores, labels = outputs(model, batch), batch.labels
    if model.config.head.problem == "regression" or scores.shape[-1] == 1:
        error = (scores.reshape(len(scores), -1) - labels.reshape(len(labels), -1).float()).square().mean(1)
        return {"squared error": ones(error)}
    if labels.is_floating_point():
        said, wanted = scores > 0, labels > 0.5
        return {"exact match": ones((said == wanted).all(1)), "f1": overlap(said.sum(1), wanted.sum(1),
                                                                           (said & wanted).sum(1))}  # fmt: skip
    if table is not None:
        table.add(labels, scores.argmax(-1))
    kinds = torch.arange(scores.shape[-1], device=scores.device)
    said, wanted = scores.argmax(-1)[:, None] == kinds, labels[:, None] == kinds
    return {"accuracy": ones((said & wanted).any(1)),
            "f1": overlap(said.float(), wanted.float(), (said & wanted).float())}  # fmt: skip


def ones(x: Tensor) -> tuple[Tensor, Tensor]:
    """A mean over items."""
    return x, torch.ones_like(x, dtype=torch.float32)


def overlap(said: Tensor, wanted: Tensor, both: Tensor) -> tuple[Tensor, Tensor]:
    """F1 as a ratio: twice what is right over what was said and what was wanted."""
    return 2 * both, said + wanted


# ---- tags ----


def tagged(model: Transformer, batch: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Accuracy of tokens, and F1 of whole names where labels are B-x, I-x and O."""
    said, asked = outputs(model, batch).argmax(-1), batch.targets != IGNORE
    right = ((said == batch.targets) & asked).sum(1)
    result = {"accuracy": (right, asked.sum(1))}
    labels = model.config.head.labels
    if not any(label[:2] in ("B-", "I-") for label in labels):
        return result
    counts = []
    for row, targets, real in zip(said, batch.targets, asked, strict=True):
        one, other = (names(ids[real].tolist(), labels) for ids in (row, targets))
        counts.append((2 * len(one & other), len(one) + len(other)))
    above, below = torch.tensor(counts, dtype=torch.float32).T
    return result | {"f1": (above, below)}


def names(ids: list[int], labels: tuple[str, ...]) -> set[tuple[int, int, str]]:
    """(first, behind the last, kind) of the names in a row of tags; an I- that goes on nothing begins one."""
    found, begin, kind = set(), 0, ""
    for place, id in enumerate([*ids, None]):
        head, _, what = ("O", "", "") if id is None else labels[id].partition("-")
        if kind and (head != "I" or what != kind):
            found.add((begin, place, kind))
            kind = ""
        if head in ("B", "I") and not kind:
            begin, kind = place, what
    return found


# ---- answers in texts, vectors ----


def extracted(found: Iterable[tuple[str, list[str]]]) -> dict[str, Ratio]:
    """Exact match and F1 over words of answers, each against the right one that is nearest; none is "".

    As SQuAD counts them: without capitals, punctuation and articles (Rajpurkar, Jia, Liang 2018, arXiv 1806.03822). A
    Chinese character is a word.
    """
    ratios = {"exact match": Ratio(), "f1": Ratio()}
    for text, right in found:
        said, wanted = bare(text), [bare(one) for one in right] or [[]]
        ratios["exact match"].add(*ones(torch.tensor([any(said == one for one in wanted)])))
        ratios["f1"].add(*ones(torch.tensor([max(shared(said, one) for one in wanted)])))
    return ratios if ratios["f1"].items else {}


def bare(text: str) -> list[str]:
    """Words in small letters without punctuation and English articles."""
    plain = "".join("" if unicodedata.category(one)[0] == "P" or one in SIGNS else one for one in text)
    return [word for word in words(plain) if word not in ("a", "an", "the")]


# ---- what the model writes ----


class Question(NamedTuple):
    """What the model is given, and what it should write: token ids."""

    prompt: list[int]
    reference: list[int]


class Answers(NamedTuple):
    """scores: exact match, F1, BLEU and chrF; samples: {"prompt", "text", "reference"}; note: what BLEU rests on."""

    scores: dict[str, Number]
    samples: list[dict[str, str]]
    note: str


def questions(objective: Any, part: Part, options: Any, rows: int = 16) -> Iterator[Question]:
    """The held-out examples as something to answer, in their order; none for objectives that answer nothing."""
    if isinstance(options, causal.Settings):
        return
    for batch in objective.samples(part, rows, 0, options).whole(rows):
        have = batch._asdict()
        if {"source", "source_documents", "targets"} <= have.keys():
            columns = (have[name] for name in ("source", "source_documents", "targets", "documents"))
            for row in zip(*columns, strict=True):
                yield from restored(*row)
        elif {"source", "source_mask", "targets"} <= have.keys():
            for source, real, targets in zip(batch.source, batch.source_mask, batch.targets, strict=True):
                yield Question(source[real].tolist(), targets[targets != IGNORE].tolist())
        elif {"ids", "targets", "documents"} <= have.keys() and batch.targets.shape == batch.ids.shape:
            documents = torch.zeros_like(batch.ids) if batch.documents is None else batch.documents
            for row in zip(batch.ids.tolist(), batch.targets.tolist(), documents.tolist(), strict=True):
                yield from asked(*row)
        else:
            return


def restored(source: Tensor, source_documents: Tensor, targets: Tensor, documents: Tensor) -> Iterator[Question]:
    """The damaged texts of a row (S,), each with what is to be written of it (T,)."""
    for number in range(int(source_documents.max()) + 1):
        wanted = targets[(documents == number) & (targets != IGNORE)]
        yield Question(source[source_documents == number].tolist(), wanted.tolist())


def asked(ids: list[int], targets: list[int], documents: list[int]) -> Iterator[Question]:
    """What is learnt first of each document of a row, and all that stands before it."""
    begin = 0
    for place in range(len(ids)):
        if place and documents[place] != documents[place - 1]:
            begin = place
        first = targets[place] != IGNORE and all(t == IGNORE for t in targets[begin:place])
        if not first or place == begin:
            continue
        end = place
        while end < len(ids) and targets[end] != IGNORE and documents[end] == documents[place]:
            end += 1
        yield Question(ids[begin : place + 1], targets[place:end])


def answered(checkpoint: Any, given: list[Question], shown: int = 3, longest: int = 256) -> Answers:
    """What the model writes for these questions with our own engine, the likeliest token each time.

    checkpoint: model, tokenizer and template. A text ends where its reference's end token would, or after twice its
    length.
    """
    from ..generation.backend import Local
    from ..generation.settings import Settings

    backend, tokenizer = Local(checkpoint), checkpoint.tokenizer
    closing = checkpoint.template.closing(tokenizer) if checkpoint.template else None
    stops = () if closing is None else (closing,)
    try:
        room = checkpoint.model.config.context - 1
        writers = []
        for one in given:
            most = room if backend.has_source else room - len(one.prompt)
            new = max(1, min(longest, 2 * len(one.reference) + 8, most))
            wanted = Settings(max_new=new, temperature=0.0, stop_ids=stops)
            writers.append(backend.generate(one.prompt, wanted) if most > 0 else ())
        texts = ["".join(piece.text for piece in writer).strip() for writer in writers]
    finally:
        backend.close()
    wanted = [tokenizer.decode(one.reference).strip() for one in given]
    samples = [{"prompt": tokenizer.decode(one.prompt), "text": text, "reference": reference}
               for one, text, reference in zip(given[:shown], texts, wanted, strict=False)]  # fmt: skip
    scores, note = compared(texts, wanted)
    return Answers(scores, samples, note)


def compared(texts: list[str], references: list[str]) -> tuple[dict[str, Number], str]:
    """Exact match, F1 over words, and BLEU and chrF of the whole by sacrebleu; its signatures, or how to have it."""
    if not texts:
        return {}, ""
    exact, shared = Ratio(), Ratio()
    exact.add(*ones(torch.tensor([text == wanted for text, wanted in zip(texts, references, strict=True)])))
    shared.add(*ones(torch.tensor([word_f1(*pair) for pair in zip(texts, references, strict=True)])))
    found = {"exact match": exact.number(), "word f1": shared.number()}
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError:
        return found, "BLEU and chrF need the package sacrebleu: pip install 'upwell[evaluate]'"
    signs = []
    for name, metric in (("bleu", BLEU(tokenize="zh" if any(map(chinese, references)) else "13a")), ("chrf", CHRF())):
        found[name] = Number(metric.corpus_score(texts, [references]).score, jackknife(metric, texts, references))
        signs.append(f"{name} {metric.get_signature()}")
    return found, "; ".join(signs)


def jackknife(metric: Any, texts: list[str], references: list[str], parts: int = 10) -> float:
    """Standard error of a score of the whole: the spread of the scores with a tenth left out each time."""
    parts = min(parts, len(texts))
    if parts < 2:
        return 0.0
    left = [[i for i in range(len(texts)) if i % parts != part] for part in range(parts)]
    values = [metric.corpus_score([texts[i] for i in some], [[references[i] for i in some]]).score for some in left]
    mean = sum(values) / parts
    return math.sqrt((parts - 1) / parts * sum((value - mean) ** 2 for value in values))


def word_f1(text: str, reference: str) -> float:
    """Overlap of two bags of words, as questions with answers are scored (Rajpurkar and others 2016)."""
    return shared(words(text), words(reference))


def shared(said: list[str], wanted: list[str]) -> float:
    """The F1 of two bags of words."""
    one, other = Counter(said), Counter(wanted)
    if not one or not other:
        return float(one == other)
    both = sum((one & other).values())
    return 2 * both / (one.total() + other.total())


def words(text: str) -> list[str]:
    """Words in small letters; each Chinese character is one."""
    spaced = "".join(f" {character} " if chinese(character) else character for character in text.lower())
    return spaced.split()


def chinese(text: str) -> bool:
    """Whether a Chinese character is in it."""
    return any("\u4e00" <= character <= "\u9fff" for character in text)
