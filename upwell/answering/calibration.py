"""The score below which nothing is answered: from questions that the documents answer, and questions that they do not.

    calibration = fitted(answerable, others, encoder="minilm-l6")    # signals of each question -> Calibration
    calibration.confidence(signals)                                  # 0 .. 1, what its threshold is held against
    calibration.save(index_folder);  of(index_folder, "minilm-l6")   # the one of an index, else the built-in one

Signals are what a search shows of one question (see SIGNALS). A confidence is a logistic function of them. The figures
of a threshold come from questions that its weights were not fitted to (five folds), with 95 % intervals (Wilson 1927).
It knows no index and no model.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from ..atomic import write_file
from ..errors import DataError

SIGNALS = ("cosine", "coverage", "lexical", "sentence", "span", "cross")
"""cosine of the best hit; share of the question's words in the passage with most of them; BM25 of the best hit a word
of the question, as x / (x + 1); cosine of the nearest sentence (without an encoder the share of the words in it);
probability of the span model's answer; log-odds of the cross-encoder's best passage, a tenth of them."""
FILE = "answers.json"
FEWEST = 20  # questions of each kind
FOLDS = 5
POINTS = 101  # of a curve
STEPS, RIDGE = 50, 0.1

Signals = Mapping[str, float]


class Share(NamedTuple):
    """A share of some questions, and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


class Point(NamedTuple):
    """A point of the curve: what a threshold would refuse."""

    threshold: float
    refused: float
    """Share of the questions without an answer that are refused."""
    false_refusals: float
    """Share of the questions with an answer that are refused."""


@dataclass(frozen=True)
class Threshold:
    """A value of the confidence, and what it refuses."""

    value: float
    refused: Share
    false_refusals: Share
    reached: bool
    """Whether both shares are as they were wanted."""
    curve: tuple[Point, ...] = ()


def share(count: int, total: int) -> Share:
    """A share with Wilson's interval; 0 to 1 where there is nothing."""
    if not total:
        return Share(0.0, 0.0, 1.0)
    z, p = 1.96, count / total
    middle = p + z * z / (2 * total)
    spread = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low = (middle - spread) / scale if count else 0.0
    return Share(p, low, (middle + spread) / scale if count < total else 1.0)


def threshold(answerable: Sequence[float], others: Sequence[float], wanted: float = 0.95) -> Threshold:
    """The confidence that refuses `wanted` of the others and at most 1 - wanted of the answerable.

    Where a whole range does, its most even point; where none does, the lowest that refuses `wanted` of the others.
    """
    if not answerable or not others:
        raise DataError(f"found {len(answerable)} questions with an answer and {len(others)} without one; a threshold "
                        "needs both")  # fmt: skip
    refuses = [one for one in _candidates(answerable, others) if _below(others, one) >= wanted]
    both = [one for one in refuses if _below(answerable, one) <= 1 - wanted]
    value = min(both, key=lambda one: (max(1 - _below(others, one), _below(answerable, one)), one)) if both \
        else refuses[0]  # fmt: skip
    return measured(value, answerable, others, wanted)


def measured(value: float, answerable: Sequence[float], others: Sequence[float], wanted: float = 0.95) -> Threshold:
    """What a threshold refuses of some questions, and the whole curve."""
    refused = share(sum(one < value for one in others), len(others))
    false = share(sum(one < value for one in answerable), len(answerable))
    steps = [step / (POINTS - 1) for step in range(POINTS)]
    curve = tuple(Point(step, _below(others, step), _below(answerable, step)) for step in steps)
    return Threshold(value, refused, false, refused.value >= wanted and false.value <= 1 - wanted, curve)


def _candidates(answerable: Sequence[float], others: Sequence[float]) -> list[float]:
    """Values between neighbouring scores, lowest first; the last is above all."""
    known = sorted({*answerable, *others})
    between = [(a + b) / 2 for a, b in zip(known, known[1:], strict=False)]
    return [*between, math.nextafter(known[-1], math.inf)]


def _below(scores: Sequence[float], value: float) -> float:
    return sum(one < value for one in scores) / len(scores)


@dataclass(frozen=True)
class Calibration:
    """Weights of the signals and the threshold of what they give, with how they were made."""

    weights: dict[str, float]
    bias: float
    threshold: float
    encoder: str = ""
    """The encoder that the signals came from; "" for lexical search alone."""
    reader: str = ""
    """The span model, where there was one."""
    cross: str = ""
    """The cross-encoder, where there was one."""
    made: str = ""
    """From which questions, in words."""
    refused: Share = Share(0.0, 0.0, 1.0)
    false_refusals: Share = Share(0.0, 0.0, 1.0)

    def confidence(self, signals: Signals) -> float:
        """How sure it is that the documents answer a question with these signals."""
        total = self.bias + sum(weight * signals.get(name, 0.0) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, total))))

    def save(self, folder: Path) -> Path:
        """Write it beside an index."""
        path = Path(folder) / FILE
        write_file(path, (json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n").encode("utf-8"))
        return path


def fitted(answerable: Sequence[Signals], others: Sequence[Signals], encoder: str = "", reader: str = "",
           cross: str = "", made: str = "", wanted: float = 0.95) -> tuple[Calibration, Threshold]:  # fmt: skip
    """The calibration of some questions, and the threshold with its curve. DataError where FEWEST of a kind lack."""
    if min(len(answerable), len(others)) < FEWEST:
        raise DataError(f"found {len(answerable)} questions with an answer and {len(others)} without one; expected at "
                        f"least {FEWEST} of each")  # fmt: skip
    names = [name for name in SIGNALS if any(one.get(name) for one in [*answerable, *others])]
    scores: tuple[list[float], list[float]] = ([], [])
    for fold in range(FOLDS):
        learnt = [[one for number, one in enumerate(some) if number % FOLDS != fold] for some in (answerable, others)]
        held = [some[fold::FOLDS] for some in (answerable, others)]
        weights, bias = _logistic(names, *learnt)
        one = Calibration(weights, bias, 0.5)
        for found, some in zip(scores, held, strict=True):
            found.extend(one.confidence(signals) for signals in some)
    limit = threshold(*scores, wanted)
    weights, bias = _logistic(names, answerable, others)
    how = Calibration(weights, bias, limit.value, encoder, reader, cross, made, limit.refused, limit.false_refusals)
    return how, limit


def _logistic(names: list[str], answerable: Sequence[Signals], others: Sequence[Signals]) -> tuple[dict, float]:
    """Weights and bias by Newton's steps with a little ridge; both kinds count the same."""
    import numpy as np

    rows = np.array([[1.0, *(one.get(name, 0.0) for name in names)] for one in [*answerable, *others]])
    labels = np.array([1.0] * len(answerable) + [0.0] * len(others))
    counts = np.array([0.5 / len(answerable)] * len(answerable) + [0.5 / len(others)] * len(others)) * len(labels)
    ridge = np.diag([1e-6, *[RIDGE] * len(names)])
    beta = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        said = 1 / (1 + np.exp(-np.clip(rows @ beta, -60, 60)))
        slope = rows.T @ (counts * (labels - said)) - ridge @ beta
        curvature = (rows * (counts * said * (1 - said))[:, None]).T @ rows + ridge
        beta += (step := np.linalg.solve(curvature, slope))
        if np.abs(step).max() < 1e-9:
            break
    return dict(zip(names, map(float, beta[1:]), strict=True)), float(beta[0])


# ---- the one of an index ----


def of(folder: Path | None, encoder: str, reader: str = "", cross: str = "") -> Calibration:
    """That of the index, if it was made with this encoder, span model and cross-encoder; else the built-in one."""
    own = None if folder is None else load(folder)
    if own is not None and own.encoder == encoder and own.reader in ("", reader) and own.cross in ("", cross):
        return own
    known = BUILT_IN.get(f"{encoder}+{cross}") if cross else None
    return known or BUILT_IN.get(encoder) or (BUILT_IN["*"] if encoder else BUILT_IN[""])


def load(folder: Path) -> Calibration | None:
    """What was saved beside an index; None where nothing was. DataError for a file that is damaged."""
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        weights = {name: float(weight) for name, weight in said["weights"].items()}
        shares = {name: Share(*map(float, said[name])) for name in ("refused", "false_refusals")}
        texts = {name: str(said[name]) for name in ("encoder", "reader", "made")}
        texts["cross"] = str(said.get("cross", ""))  # older files know of none
        found = Calibration(weights, float(said["bias"]), float(said["threshold"]), **texts, **shares)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}: {error}); make it again with `upwell ask "
                        f"--index {folder} --calibrate QUESTIONS.jsonl`, or remove it") from None  # fmt: skip
    unknown = sorted(set(weights) - set(SIGNALS))
    if unknown or not all(map(math.isfinite, [*weights.values(), found.bias, found.threshold])):
        raise DataError(f"{path}: found {', '.join(unknown) or 'a number that is none'}, expected finite weights of "
                        f"{', '.join(SIGNALS)}; make it again with `upwell ask --calibrate`")  # fmt: skip
    return found


# The 713 passages of DisflQA in an index by minilm-l6; 350 questions about them with an answer, and without one 350 of
# Natural Questions, 150 of NarrativeQA and 150 of BoolQ; all of the part to learn from. BM25, whose size hangs on the
# index, is left out. The shares are those of questions that the weights were not fitted to. On the part to measure on
# (140 and 400 questions) minilm-l6 refused 95.5 % (93.0 to 97.1) and falsely 6.4 % (3.4 to 11.8). Shared words alone
# tell much less: 88.5 % (85.0 to 91.3) and 21.4 % (15.4 to 28.9), at the most even point; to refuse 95 % would cost
# every second answer. tests/answering/test_real_refusals.py asks again.
_SETS = "350 questions of DisflQA with and 650 of Natural Questions, NarrativeQA and BoolQ without an answer"
_WORDS = Calibration(
    {"coverage": 9.213}, -4.826, 0.4526, made=f"{_SETS}, by shared words", refused=share(528, 650),
    false_refusals=share(75, 350),
)  # fmt: skip
BUILT_IN = {
    "minilm-l6": Calibration(
        {"cosine": 8.917, "coverage": 5.351, "sentence": 12.374}, -12.708, 0.4806, "minilm-l6", made=_SETS,
        refused=share(619, 650), false_refusals=share(16, 350),
    ),
    # With the recipe rerank among the signals: 200 and 250 questions of the part to learn from; the threshold is where
    # the two errors are fewest together in five folds. On the part to measure on (140 and 250 questions) 97.6 % (94.9
    # to 98.9) were refused and falsely 3.6 % (1.5 to 8.1).
    "minilm-l6+rerank": Calibration(
        {"cosine": 7.289, "coverage": 1.282, "sentence": 9.667, "cross": 10.341}, -7.588, 0.43, "minilm-l6", "",
        "rerank", "200 questions of DisflQA with and 250 of Natural Questions, NarrativeQA and BoolQ without an answer",
        share(241, 250), share(2, 200),
    ),
    "": _WORDS,
    "*": _WORDS,
}  # fmt: skip
"""By the encoder's name, and a plus and the cross-encoder's; "" for shared words alone, "*" for an encoder that nobody
calibrated."""
