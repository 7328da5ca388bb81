"""How good translations and what is known about them are: what bench/translate.py asks beside speed."""

import json
import statistics
from pathlib import Path

from translate import pairs, target, translator

HERE = Path(__file__).parent


def aligned(run: str) -> dict:
    """Parts of sentences whose translations are known (aligned.jsonl, by hand): how well the decoder's attention finds
    them, beside staying at the same share of the text. overlap: F1 of signs; found: overlap above one half."""
    from upwell.translation.aligned import shared

    one, backend = translator(run, 1)
    scores = {"attention": [], "share": []}
    try:
        for line in (HERE / "aligned.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            source, made = row["source"], row["target"]
            for part, known in row["parts"]:
                begin, first = source.index(part), made.index(known)
                prompt = one.asking.prompt(source, "en", target(run))
                (found,) = one.align(source, made, [(begin, begin + len(part))], prompt)
                guesses = {"attention": found, "share": shared(begin, begin + len(part), source, made)}
                for way, guess in guesses.items():
                    both = max(0, min(guess[1], first + len(known)) - max(guess[0], first))
                    scores[way].append(2 * both / (guess[1] - guess[0] + len(known)) if guess[1] > guess[0] else 0.0)
    finally:
        backend.close()
    told = {f"{way} {what}": value for way, values in scores.items() for what, value in (
        ("overlap", statistics.mean(values)), ("found", statistics.mean(value > 0.5 for value in values)))}  # fmt: skip
    return {"parts": len(scores["share"]), **told}


def confidence(run: str, count: int = 200) -> dict:
    """How the confidence of held-out sentences goes with their chrF: Spearman's rank correlation, and the mean chrF of
    those below and above translator.LOW."""
    from sacrebleu.metrics import CHRF

    from upwell.translation.translator import LOW, with_settings

    lines = pairs(run, count)
    one, backend = translator(run, 128)
    try:
        made = one.texts([line["source"] for line in lines], "en", target(run))
        backs = with_settings(one, beams=1).texts([text.text for text in made], target(run), "en")
    finally:
        backend.close()
    metric = CHRF()
    scores = [metric.sentence_score(text.text, [line["target"]]).score for text, line in zip(made, lines, strict=True)]
    sure = [text.confidence for text in made]
    came = [metric.sentence_score(back.text, [line["source"]]).score for line, back in zip(lines, backs, strict=True)]
    both = [(one * other) ** 0.5 for one, other in zip(sure, came, strict=True)]
    found = {"of the model": rank_correlation(sure, scores), "of the way back": rank_correlation(came, scores),
             "of both": rank_correlation(both, scores)}  # fmt: skip
    for name, values in (("", sure), (" of both", both)):
        low = [score for score, value in zip(scores, values, strict=True) if value < LOW]
        high = [score for score, value in zip(scores, values, strict=True) if value >= LOW]
        found |= {f"low{name}": len(low), f"chrF low{name}": statistics.mean(low or [0.0]),
                  f"chrF others{name}": statistics.mean(high or [0.0])}  # fmt: skip
    return found


def rank_correlation(values: list[float], others: list[float]) -> float:
    """Spearman's; equal values share a rank."""

    def ranks(values: list[float]) -> list[float]:
        order = sorted(values)
        return [order.index(value) + (order.count(value) - 1) / 2 for value in values]

    return statistics.correlation(ranks(values), ranks(others))


def rounded(run: str, weights: str, items: int) -> dict:
    """Corpus scores of held-out pairs in both directions, with weights held in this way."""
    from sacrebleu.metrics import BLEU, CHRF

    one, backend = translator(run, 128, weights)
    other, found = target(run), {}
    try:
        for key, (source, goal) in {"there": ("en", other), "back": (other, "en")}.items():
            rows = [(line["source"], line["target"])[:: 1 if key == "there" else -1] for line in pairs(run, items)]
            texts = [made.text for made in one.texts([text for text, _ in rows], source, goal)]
            bleu = BLEU(tokenize="zh" if goal == "zh" else "13a")
            for name, metric in (("BLEU", bleu), ("chrF", CHRF())):
                found[f"{name} {key}"] = metric.corpus_score(texts, [[reference for _, reference in rows]]).score
    finally:
        backend.close()
    return found
