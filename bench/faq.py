"""How well questions in other words find their FAQ entry: on a hand-made set that nothing was tuned on.

    python bench/faq.py                                     # words alone, and words and minilm-l6; both languages
    python bench/faq.py --encoder runs/embed-en-zh/model    # another encoder, both languages
    python bench/faq.py --fit                               # the constants of faq_likeness.WORTH, anew

The set (tests/answering/faq_en.json, faq_zh.json): 100 entries of an invented shop, three paraphrases of each, 30
questions near its business that no entry answers, 30 of other subjects. The constants were fitted on other questions
(bench/faq_development.json).
"""

import argparse
import json
import platform
import time
from datetime import date
from pathlib import Path

import numpy as np

from upwell.answering.faq import Matcher
from upwell.answering.faq_entries import Entry
from upwell.answering.faq_likeness import WORTH, Likeness

ROOT = Path(__file__).parents[1]
COLUMNS = ("right first", "answered", "wrongly", "asked back", "right one offered", "handed over", "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="")
    parser.add_argument("--fit", action="store_true")
    asked = parser.parse_args()
    if asked.fit:
        fit(asked.encoder or "minilm-l6")
        return
    print(f"{platform.machine()}, Python {platform.python_version()}, {date.today()}")
    for language in ("en", "zh"):
        measured(language, "")
    for language in ("en", "zh"):
        measured(language, asked.encoder or "minilm-l6")


def opened(name: str):
    """The encoder of that name; None for none."""
    if not name:
        return None
    from upwell.verbs._models import How, model_folder, open_folder

    return open_folder(model_folder(Path(name)), How()).backend


def measured(language: str, name: str) -> None:
    """One language with one encoder, as a table."""
    found = json.loads((ROOT / f"tests/answering/faq_{language}.json").read_text(encoding="utf-8"))
    entries = [Entry(str(number), one["question"], one["answer"]) for number, one in enumerate(found["entries"])]
    encoder = opened(name)
    matcher = Matcher(entries, encoder)
    asked = [(text, number) for number, one in enumerate(found["entries"]) for text in one["paraphrases"]]
    print(f"\n{language}, {name or 'words alone'}: {len(entries)} entries")
    print("  ".join(["", *COLUMNS]))
    told("paraphrases", matcher, asked)
    told("near misses", matcher, [(text, None) for text in found["unrelated"][:30]])
    told("other subjects", matcher, [(text, None) for text in found["unrelated"][30:]])
    taught(found["entries"], encoder)
    if encoder is not None:
        encoder.close()


def taught(found: list[dict], encoder) -> None:
    """One paraphrase of each entry, where the other two are its alternatives; each of the three in turn."""
    decisions = []
    for left in range(3):
        entries = [Entry(str(number), one["question"], one["answer"],
                         tuple(text for place, text in enumerate(one["paraphrases"]) if place != left))
                   for number, one in enumerate(found)]  # fmt: skip
        matcher = Matcher(entries, encoder)
        decisions += [(matcher.match(one["paraphrases"][left]), number) for number, one in enumerate(found)]
    row("with 2 alternatives", decisions, float("nan"))


def told(what: str, matcher: Matcher, asked: list[tuple[str, int | None]]) -> None:
    """One row, with the time that a question took."""
    begun, decisions = time.perf_counter(), [(matcher.match(text), right) for text, right in asked]
    row(what, decisions, 1000 * (time.perf_counter() - begun) / len(asked))


def row(what: str, decisions: list, took: float) -> None:
    """Shares of the questions, and Wilson's interval of the wrong answers."""
    total = len(decisions)
    first = sum(one.others[0].entry.id == str(right) for one, right in decisions if one.others)
    wrong = sum(one.kind == "answer" and one.entry.id != str(right) for one, right in decisions)
    backs = [({near.entry.id for near in one.others}, right) for one, right in decisions if one.kind == "ask"]
    counts = [first, sum(one.kind == "answer" for one, _ in decisions), wrong, len(backs),
              sum(str(right) in offered for offered, right in backs),
              sum(one.kind == "hand_over" for one, _ in decisions)]  # fmt: skip
    low, high = wilson(wrong, total)
    print("  ".join([f"{what} ({total})", *(f"{count / total:.3f}" for count in counts), f"{took:.1f}",
                     f"wrong answers {low:.3f} .. {high:.3f}"]))  # fmt: skip


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share."""
    share, size = count / total, z * z / total
    middle = (share + size / 2) / (1 + size)
    half = z * np.sqrt(share * (1 - share) / total + size / (4 * total)) / (1 + size)
    return max(0.0, middle - half), min(1.0, middle + half)


# ---- the constants ----


def fit(name: str) -> None:
    """Level and base: is it a question to this FAQ, or of another subject? Apart: is the nearest entry the right one?

    Of the FAQ as a whole, and of its entries with paraphrases alone, so that a small and a larger one are learnt from.
    """
    found = json.loads((ROOT / "bench/faq_development.json").read_text(encoding="utf-8"))
    encoder = opened(name)
    parts = {"words": [(found[one], None) for one in ("en", "zh")]}
    parts |= dict.fromkeys(("vectors", "both"), [(found["en"], encoder)])
    for kind, given in parts.items():
        rows = np.concatenate([rows_of(one, model, kind, small) for one, model in given for small in (False, True)])
        best, gap, first, ours = rows.T
        level, base = regressed(np.stack([best, np.ones(len(best))], 1), ours)
        (steep,) = regressed(gap[ours > 0][:, None], first[ours > 0])
        print(f"{kind}: level {level:.2f}, base {base:.2f}, apart {steep / level:.2f} ({len(best)} questions)")
    encoder.close()


def rows_of(found: dict, encoder, kind: str, small: bool) -> np.ndarray:
    """(questions, 4): spreads of the best entry, how far the second is behind, whether the best one is right, and
    whether the question is one to this FAQ."""
    entries = [Entry(str(number), one["question"], one["answer"]) for number, one in enumerate(found["entries"])
               if one["paraphrases"] or not small]  # fmt: skip
    likeness = Likeness(entries, encoder)
    asked = [(text, number) for number, one in enumerate(found["entries"]) for text in one["paraphrases"]]
    rows = []
    for text, number in [*asked, *((text, None) for text in found["other"])]:
        spreads = likeness.spreads(text, WORTH[kind])
        first, second = np.argsort(-spreads)[:2]
        rows.append((spreads[first], spreads[first] - spreads[second], first == number, number is not None))
    return np.array(rows, dtype=float)


def regressed(table: np.ndarray, right: np.ndarray, keep: float = 0.1) -> np.ndarray:
    """(3,) weights, by Newton's method, drawn a little towards nought."""
    weights = np.zeros(table.shape[1])
    for _ in range(100):
        sure = 1 / (1 + np.exp(-table @ weights))
        slope = table.T @ (right - sure) / len(right) - keep * weights / 10
        curve = (table * (sure * (1 - sure))[:, None]).T @ table / len(right) + keep / 10 * np.eye(len(weights))
        weights = weights + np.linalg.solve(curve, slope)
    return weights


if __name__ == "__main__":
    main()
