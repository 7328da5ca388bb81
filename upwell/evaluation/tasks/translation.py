"""How well a model translates held-out pairs: corpus BLEU and chrF by sacrebleu, by direction and by domain.

Beside each score stands what a copy of the source reaches, so that a number cannot be taken for skill that is only
names and figures left as they are. Signs that a program fills in (%s, {name}, <b>) should survive: their share is
counted, too. A domain is a document's label. Errors are those of a jackknife over tenths of the sentences.
"""

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from ...errors import DataError, ServiceError
from ...objectives import pairs
from ...text import Document
from .. import Number, Scores
from ..within import chinese, jackknife

AT_ONCE = 64  # sentences that wait in the engine
SHOWN = 6
SIGNS = re.compile(r"%\([\w ]+\)[sd]|%[sd]|%\d|\{[\w.]*\}|</?[A-Za-z][^<>]*>")


@dataclass(frozen=True)
class Settings:
    """Which pairs, asked how."""

    items: int = 0
    """Held-out pairs that are translated, spread evenly over all of them; 0: all."""
    beams: int = 4
    """Texts that beam search keeps alive; 1: the likeliest token each time."""
    way: pairs.Settings = field(default_factory=pairs.Settings)
    """How the model learnt to be asked: its prefix, and whether it knows both directions."""

    def __post_init__(self):
        if self.items < 0 or self.beams < 1:
            raise ValueError(f"items is {self.items} and beams is {self.beams}; expected 0 or more, and 1 or more")


class Translated(NamedTuple):
    """One sentence that was translated."""

    direction: str
    """As "en to zh"."""
    domain: str
    source: str
    text: str
    reference: str


class Translations(NamedTuple):
    """What `measure` gives. groups: Scores by (direction, domain), "" for all domains together."""

    groups: dict[tuple[str, str], Scores]
    signature: str
    """sacrebleu's, of each score."""
    seconds: float
    """That the translating took."""
    tokens: int
    """That were written; of beam search those of the best text."""


def measure(backend, documents: Sequence[Document], settings: Settings) -> Translations:
    """Scores "bleu", "chrf", "copy bleu", "copy chrf" (0 .. 100), "exact match" and "signs kept" (shares).

    backend: generation.backend.Local of a model that learnt the objective pairs. documents: held-out ones; what is no
    pair is passed over. DataError where no pair is among them, ServiceError without sacrebleu.
    """
    check()
    chosen = spread([one for one in documents if is_pair(one)], settings.items)
    if not chosen:
        raise DataError("found no held-out pairs to translate; expected data such as `upwell prepare ui-pairs`")
    begin, found, tokens = time.perf_counter(), [], 0
    questions = asked(backend, chosen, settings)
    while some := list(islice(questions, AT_ONCE)):
        writers = [written(backend, ids, settings) for _, ids in some]
        for (one, _), writer in zip(some, writers, strict=True):
            pieces = list(writer)
            tokens += sum(len(piece.tokens) for piece in pieces)
            found.append(one._replace(text="".join(piece.text for piece in pieces).strip()))
    seconds = time.perf_counter() - begin
    groups, signs = {}, {}
    for direction in dict.fromkeys(one.direction for one in found):
        mine = [one for one in found if one.direction == direction]
        domains = sorted({one.domain for one in mine})
        for domain in ["", *domains] if len(domains) > 1 else [""]:
            some = [one for one in mine if domain in ("", one.domain)]
            groups[direction, domain], signs[direction] = scored(some)
    signature = "; ".join(f"{direction}: {signs[direction]}" for direction in signs)
    return Translations(groups, signature, seconds, tokens)


def check() -> None:
    """ServiceError where sacrebleu is not installed."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError:
        raise ServiceError("BLEU and chrF need the package sacrebleu: pip install 'upwell[evaluate]'") from None


def unseen(documents: Iterable[Document], learnt: Iterable[Document]) -> tuple[list[Document], int]:
    """The pairs of which neither side stands in a learnt pair, and how many others there are."""
    known = {(side, one.fields[side]) for one in learnt if is_pair(one) for side in ("source", "target")}
    found = [one for one in documents if is_pair(one)]
    kept = [one for one in found if not any((side, one.fields[side]) in known for side in ("source", "target"))]
    return kept, len(found) - len(kept)


def is_pair(document: Document) -> bool:
    """Whether it is a text and its translation."""
    return (document.fields or {}).get("task") == "pair"


def spread(documents: list[Document], items: int) -> list[Document]:
    """So many of them at even distances; all where items is 0 or as many are not there."""
    count = len(documents)
    return documents if not items or items >= count else [documents[at * count // items] for at in range(items)]


def asked(backend, documents: Iterable[Document], settings: Settings) -> Iterator[tuple[Translated, list[int]]]:
    """Each sentence in each direction, with the ids that the model reads."""
    way = pairs.Way(backend.tokenizer, backend.config, settings.way)
    for document in documents:
        codes = [document.fields["source_language"] or "source", document.fields["target_language"] or "target"]
        for number, (prefix, source, reference) in enumerate(way.directions(document)):
            direction = " to ".join(codes[::-1] if number else codes)
            yield Translated(direction, document.label, source, "", reference), way.source(prefix, source)


def written(backend, ids: list[int], settings: Settings) -> Iterable:
    """The pieces of a translation of at most twice the source's tokens and a few; none where it does not fit."""
    from ...generation.settings import Settings as Writing

    room = backend.config.context - (1 if backend.has_source else len(ids))
    most = min(2 * len(ids) + 16, room)
    if most < 1 or len(ids) > backend.config.context:
        return ()
    ways = {"strategy": "beam", "beams": settings.beams} if settings.beams > 1 else {"temperature": 0.0}
    return backend.generate(ids, Writing(max_new=most, **ways))


def scored(found: Sequence[Translated]) -> tuple[Scores, str]:
    """The scores of these sentences, which have one direction, and their signature."""
    from sacrebleu.metrics import BLEU, CHRF

    references = [one.reference for one in found]
    metrics = {"bleu": BLEU(tokenize="zh" if any(map(chinese, references)) else "13a"), "chrf": CHRF()}
    numbers = {}
    for before, texts in (("", [one.text for one in found]), ("copy ", [one.source for one in found])):
        for name, metric in metrics.items():
            value = metric.corpus_score(texts, [references]).score
            numbers[before + name] = Number(value, jackknife(metric, texts, references))
    numbers["exact match"] = share([one.text == one.reference for one in found])
    asked_for = [one for one in found if SIGNS.search(one.source)]
    if asked_for:
        numbers["signs kept"] = share([kept(one.source, one.text) for one in asked_for])
    samples = tuple({"prompt": one.source, "text": one.text, "reference": one.reference} for one in found[:SHOWN])
    signature = "; ".join(f"{name} {metric.get_signature()}" for name, metric in metrics.items())
    return Scores(numbers, len(found), samples=samples), signature


def kept(source: str, text: str) -> bool:
    """Whether each sign that a program fills in stands as often in both."""
    return Counter(SIGNS.findall(source)) == Counter(SIGNS.findall(text))


def share(found: Sequence[bool]) -> Number:
    """A share with its standard error."""
    value = sum(found) / len(found)
    return Number(value, (value * (1 - value) / len(found)) ** 0.5)
