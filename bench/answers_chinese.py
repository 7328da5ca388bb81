"""Chinese by an encoder that knows English, for bench/answers.py: by the signs themselves, and by their meanings."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]


class Bare:
    """An encoder that is shown every text as it is."""

    def __init__(self, backend):
        self.name, self.embed = backend.name, backend.embed


def in_chinese(work: str) -> dict:
    """Recall and refusals by the signs themselves and by glosses."""
    import asked as sets
    from answers import ENCODER, indexed, opened

    from upwell import catalog
    from upwell.answering.asking import Asker
    from upwell.answering.encoder import vectors
    from upwell.answering.index import Index
    from upwell.answering.search import Searcher

    encoder, told = opened(ENCODER), {}
    pairs = {
        "heading, its paragraph": held(catalog.fetch("help-pairs", "zh-headings"), "query", "positive"),
        "English text, its Chinese one": held(catalog.fetch("help-pairs", "zh"), "source", "target"),
    }
    shop = json.loads((HERE.parent / "tests/answering/faq_zh.json").read_text(encoding="utf-8"))
    answers = {number: one["answer"] for number, one in enumerate(shop["entries"])}
    asked = {"own question": [one["question"] for one in shop["entries"]], "other subjects": shop["unrelated"][30:]}
    for way, model in {"signs": Bare(encoder), "glosses": encoder}.items():
        for name, (left, right) in pairs.items():
            order = (-(vectors(model, left) @ vectors(model, right).T)).argsort(1).tolist()
            for depth in (1, 5):
                hits = [float(number in row[:depth]) for number, row in enumerate(order)]
                told[f"{name}, recall@{depth} of {len(left)}", way] = sets.mean(hits)
        with Index.open(indexed(Path(work) / f"shop-{way}", model, answers), encoder=model) as index:
            asker = Asker(Searcher(index, model))
            for name, questions in asked.items():
                found = [asker.ask(one) for one in questions]
                told[f"{name}, refused, of {len(questions)}", way] = sets.mean([float(one.refused) for one in found])
                if name == "own question":
                    first = [float(one.hits[0].passage.source == str(at)) if one.hits else 0.0
                             for at, one in enumerate(found)]  # fmt: skip
                    told[f"{name}, its answer first, words too", way] = sets.mean(first)
    encoder.close()
    rows = dict.fromkeys(name for name, _ in told)
    return {name: {way: told[name, way] for way in ("signs", "glosses")} for name in rows}


def held(path: Path, left: str, right: str, most: int = 500) -> tuple[list[str], list[str]]:
    """The pairs of the part to measure on, or as many of them."""
    import asked as sets

    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = sets.some([one for one in rows if one["split"] == "test"], most)
    return [one[left] for one in rows], [one[right] for one in rows]


def table(work: str) -> list[str]:
    """A Markdown table."""
    from answers import told_of
    from turns import apart

    lines = ["| what | the signs themselves | glosses |", "|---|---|---|"]
    for name, row in apart("answers_chinese", f"in_chinese({work!r})", work).items():
        if name != "memory":
            lines.append(f"| {name} | {told_of(row['signs'])} | {told_of(row['glosses'])} |")
    return [*lines, ""]
