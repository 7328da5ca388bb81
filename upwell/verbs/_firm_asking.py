"""How well a firm's questions are answered: by the model alone, written from passages, and by the best sentence.

    found = measured(model or None, searcher, asked, store or None)     # plain values, as they are kept in firm.json
    show(before, after or None, picture, title)                         # the table with intervals, samples, a picture

"Word F1" is the overlap with the right answer as SQuAD counts words. A citation is right where it is of the right
document. What a model writes from passages and what is not held by them is left out; where nothing is left the best
sentence stands in, so "in the model's words" says how often it was the model that spoke. Intervals are 95 %: of means
by drawing the questions again and again, of shares Wilson's.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from upwell import terminal

AT_ONCE = 8  # questions that are at work at once
LONGEST = 96  # tokens of an answer
SHOWN = 2  # questions whose answers are shown
WINDOW, ROWS = 512, 8  # of the text whose perplexity is measured
WAYS = {"alone": "alone", "written": "from passages", "sentence": "best sentence"}


@dataclass(frozen=True)
class Asked:
    """What is asked."""

    held: list[dict]
    """Lines of questions.jsonl: question, said (the right answer), source."""
    others: tuple[str, ...]
    """Questions that the documents should not answer."""


def measured(model: Path | None, searcher, asked: Asked, store, sentences: bool = True) -> dict:
    """What each way gives; of a model None only the best sentence, which no model changes."""
    from upwell.answering.asking import Asker
    from upwell.answering.asking import Settings as Asking
    from upwell.verbs._models import open_folder

    found = {"asked": asked.held[:SHOWN]}
    if sentences:
        found["sentence"] = through(Asker(searcher), asked, "sentences")
    if model is None:
        return found
    writer = open_folder(model, held_as(), rows=AT_ONCE).backend
    try:
        found["alone"] = alone(writer, asked.held)
        found["written"] = through(Asker(searcher, None, writer, Asking(longest=LONGEST)), asked, "from passages")
    finally:
        writer.close()
    return found | {"perplexity": perplexity(model, store)}


def held_as():
    """How models are held for writing and for vectors: in bfloat16 where this machine is quicker so."""
    import torch

    from upwell.training import precision
    from upwell.verbs._models import How, usable_device

    quick = precision.resolve("auto", usable_device("auto")) == torch.bfloat16
    return How(weights="bfloat16" if quick else "file")


def alone(writer, held: Sequence[dict]) -> dict:
    """The model's own answers, without any passage."""
    from upwell.evaluation.tasks import parses

    said: list[tuple[str, bool]] = []
    with terminal.Progress("the model alone", total=len(held)) as bar:
        for begin in range(0, len(held), AT_ONCE):
            some = [[{"role": "user", "content": one["question"]}] for one in held[begin : begin + AT_ONCE]]
            said += parses.answers(writer, some, parses.Settings(len(held), LONGEST))
            bar.update(len(said))
    texts = [text for text, _ in said]
    return {"f1": overlaps(texts, held), "ended": [int(ended) for _, ended in said], "said": texts[:SHOWN]}


def through(asker, asked: Asked, name: str) -> dict:
    """Answers with citations to all questions, several at once."""
    index, writes = asker.searcher.index, asker.writes
    questions = [one["question"] for one in asked.held] + list(asked.others)
    answers = []
    with ThreadPoolExecutor(AT_ONCE) as pool, terminal.Progress(name, total=len(questions)) as bar:
        for answer in pool.map(asker.ask, questions):
            answers.append(answer)
            bar.update(len(answers))
    held, others = answers[: len(asked.held)], answers[len(asked.held) :]
    cited = [citation for answer in answers for citation in answer.citations]
    exact = sum(index.text(one.document)[one.start : one.end] == one.text for one in cited)
    own = {"own": [int(one.how == "written") for one in held]} if writes else {}
    return own | {
        "f1": overlaps([one.text for one in held], asked.held),
        "refused": [int(one.refused) for one in held], "others": [int(one.refused) for one in others],
        "right": [int(any(citation.source == line["source"] for citation in one.citations))
                  for one, line in zip(held, asked.held, strict=True)],
        "citations": len(cited), "exact": exact, "said": [told(one) for one in held[:SHOWN]],
        "not refused": [q for q, one in zip(asked.others, others, strict=True) if not one.refused],
    }  # fmt: skip


def told(answer) -> str:
    """An answer with the places that it is cited from."""
    places = dict.fromkeys(f"{one.source}, characters {one.start:,} to {one.end:,}" for one in answer.citations)
    return "\n".join([answer.text, *(f"[{place}]" for place in places)])


def overlaps(texts: Sequence[str], held: Sequence[dict]) -> list[float]:
    """The word F1 of each answer."""
    from upwell.evaluation.within import bare, shared

    return [round(shared(bare(text), bare(one["said"])), 4) for text, one in zip(texts, held, strict=True)]


def perplexity(model: Path, store) -> list[float]:
    """[value, standard error] of held-out text."""
    from upwell.evaluation.tasks import loss
    from upwell.model import hub
    from upwell.training import precision
    from upwell.verbs._models import usable_device

    device = usable_device("auto")
    checkpoint = hub.load(model, device)
    settings = loss.Settings(min(WINDOW, checkpoint.config.context), ROWS)
    found = loss.measure(checkpoint.model, store, settings, precision.resolve("auto", device)).numbers["perplexity"]
    return [found.value, found.error]


# ---- what a person sees ----


def line(found: dict) -> str:
    """One line for the table of stages."""
    return "word F1 " + ", ".join(f"{WAYS[way]} {mean(found[way]['f1']):.3f}" for way in WAYS if way in found)


def show(before: dict, after: dict | None, picture: Path, title: str) -> None:
    """The measures before and after with their intervals; samples; what was not refused; a picture."""
    from upwell.evaluation import curve

    items, others = len(before["sentence"]["f1"]), len(before["sentence"]["others"])
    columns = ("measure", "before", "after", "change") if after else ("measure", "value")
    terminal.table(f"{items:,} questions about held-out documents, {others} of other subjects; 95 % intervals", columns,
                   rows(before, after))  # fmt: skip
    samples(before, after)
    if missed := (after or before).get("written", before["sentence"])["not refused"]:
        terminal.say(f"Of other subjects and not refused: {' · '.join(missed[:5])}")
    if curve.possible():
        curve.intervals(bars(before, after), picture, f"{title}: word F1 of {items:,} held-out questions")
        terminal.say(f"The picture is {picture}")
    else:
        terminal.say(f"The picture: {curve.HOW}")


def rows(before: dict, after: dict | None) -> list[tuple[str, ...]]:
    """One a measure."""
    found = [(f"word F1: {WAYS[way]}", *both(before, after, way, "f1", of_mean)) for way in WAYS if way in before]
    found += [(f"{name}: {WAYS[way]}", *both(before, after, way, key, of_share)) for name, key in SHARES.items()
              for way in ("written", "sentence") if way in before and key in before[way]]  # fmt: skip
    if "perplexity" in before:
        numbers = [f"{one['perplexity'][0]:.2f} ± {1.96 * one['perplexity'][1]:.2f}" for one in (before, after) if one]
        found.append(("perplexity of held-out text", *numbers))
    for way in ("written", "sentence"):
        there = [one[way] for one in (before, after) if one and way in one]
        if there:
            exact = [f"{one['exact']:,} of {one['citations']:,}" for one in there]
            found.append((f"exact spans: {WAYS[way]}", *exact))
    width = 4 if after else 2
    return [(*row, *[""] * (width - len(row))) for row in found]


SHARES = {"right document cited": "right", "in the model's words": "own", "refused, though answered": "refused",
          "other subjects refused": "others"}  # fmt: skip


def both(before: dict, after: dict | None, way: str, key: str, form: Callable[[Sequence[float]], str]) -> list[str]:
    """A measure before and after, and the change of the same questions."""
    found = [form(before[way][key])]
    if after and way in after:
        found += [form(after[way][key]), change(before[way][key], after[way][key])]
    return found


def mean(values: Sequence[float]) -> float:
    """The mean of some values."""
    return sum(values) / len(values)


def of_mean(values: Sequence[float]) -> str:
    """A mean with its interval."""
    from upwell.evaluation import bootstrap

    low, high = bootstrap.interval(values)
    return f"{mean(values):.3f} ({low:.3f} to {high:.3f})"


def of_share(values: Sequence[int]) -> str:
    """A share with its interval."""
    from upwell.answering import calibration

    return str(calibration.share(sum(values), len(values)))


def change(before: Sequence[float], after: Sequence[float]) -> str:
    """The mean change with its interval, question by question."""
    from upwell.evaluation import bootstrap

    apart = [b - a for a, b in zip(before, after, strict=True)]
    low, high = bootstrap.interval(apart)
    return f"{mean(apart):+.3f} ({low:+.3f} to {high:+.3f})"


def samples(before: dict, after: dict | None) -> None:
    """A few questions with all answers."""
    for number, question in enumerate(before["asked"][:SHOWN]):
        parts = [f"{question['question']}\n== {question['said']}"]
        for name, one in (("before", before), ("after", after)):
            parts += [f"-> {WAYS[way]}, {name}: {one[way]['said'][number]}" for way in ("alone", "written")
                      if one and way in one]  # fmt: skip
        parts.append(f"-> {WAYS['sentence']}: {before['sentence']['said'][number]}")
        terminal.sample("\n".join(parts))


def bars(before: dict, after: dict | None) -> dict[str, dict[str, tuple[float, float, float]]]:
    """For the picture: before, after, without a model -> way -> (value, low, high)."""
    from upwell.evaluation import bootstrap

    def of(one: dict, ways: Sequence[str]) -> dict[str, tuple[float, float, float]]:
        return {WAYS[way]: (mean(one[way]["f1"]), *bootstrap.interval(one[way]["f1"])) for way in ways}

    taught = {"before": of(before, ("alone", "written")), "after": of(after, ("alone", "written"))} if after else {}
    return taught | {"without a model": of(before, ("sentence",))}
