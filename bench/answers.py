"""Answers out of documents beside peers: what is found, what is answered, what is refused, and how long it takes.

    python bench/answers.py                                     all works, three rounds
    python bench/answers.py --works retrieval --rounds 1 --peer-python PATH --markdown FILE
    python bench/answers.py --works retrieval --sets boolq --encoder none     by words alone
    python bench/answers.py --works answers --reader runs/span/model --cross runs/rerank/model --questions 100

retrieval   recall@1, 5, 10 and nDCG@10 by words, by vectors (minilm-l6) and by both, and with the ten best ones read
            again by a cross-encoder (--cross, a folder of the recipe rerank; of the questions the part to measure on),
            beside bm25s and sentence-transformers over the same pieces (bench/asked.py says which questions)
answers     exact match and F1 of the likest sentence, the same with --cross, of the model that marks answers (--reader,
            a folder of the recipe span) where it is sure or always (any span), and of smollm2-135m that writes from
            the passages; which questions are refused, and those of other subjects (Natural Questions) and those that
            their own passage does not answer beside them
chinese     recall of the paragraph below a Chinese heading, and of an English text's Chinese one, by minilm-l6: by the
            signs themselves, which it does not know, and by the words' English meanings (answering/glosses.py); and how
            many questions of an FAQ in Chinese and of other subjects are refused where its answers are the documents
followups   the second and third question of QuAC's dialogues, asked alone and with what was said before
indexing    pieces a second into an index, and its bytes, with vectors and without
vectors     milliseconds of a search among random vectors of 384 numbers, and recall@10, beside vector stores

Each side is a process of its own, in turn. Times of questions are those of the processor, which do not depend on what
else the machine does. PATH: a Python with the packages that bench/peers_answers.py names; peers
that it lacks are left out and named. Indexes are kept in --work, so that a second call does not make them anew.
"""

import argparse
import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
WAYS = {"words": (True, False), "vectors": (False, True), "both": (True, True)}
DEEP = 50  # pieces that are looked at for ten different texts
ENCODER, WRITER = "minilm-l6", "smollm2-135m"
NONE = "none"
CURVELESS = ("any span", "written")


# ---- what all works share ----


def opened(name: str, weights: str = "file"):
    """A backend on a model of the catalogue, or of a folder."""
    from upwell import weights as known
    from upwell.verbs._models import How, model_folder, open_folder

    if name in known.names():
        known.fetch(name, print)
    return open_folder(model_folder(Path(name)), How(weights=weights)).backend


def place(work: str, name: str, texts: int = 0) -> Path:
    """Where the index of a set lies; both ways to ask about stories have one."""
    return Path(work) / (("narrativeqa" if name == "story" else name) + (f"-{texts}" if texts else ""))


def indexed(folder: Path, encoder, texts: dict[int, str], apart: bool = False) -> Path:
    """The index of some texts; each is a document that is called by its number, in a collection of its own where
    questions are also asked about it alone (apart)."""
    from upwell.answering.index import Index
    from upwell.text import Document

    done = folder.with_suffix(".done")
    if not done.is_file():
        documents = [Document(text, str(number)) for number, text in texts.items()]
        with Index.open(folder, encoder=encoder, create=True) as index:
            if apart:
                for document in documents:
                    index.add([document], document.source)
            else:
                index.add(documents)
        done.touch()
    return folder


def share(times: list[float], part: float) -> float:
    """A quantile, in milliseconds."""
    return 1000 * sorted(times)[min(int(part * len(times)), len(times) - 1)]


# ---- retrieval ----


def ready(folder: str, name: str, texts: int, encoder: str) -> dict:
    """The index of a set, made where it is not there."""
    import asked as sets

    backend = None if encoder == NONE else opened(encoder)
    indexed(Path(folder), backend, dict(enumerate(sets.load(name, texts).texts)), name in ("narrativeqa", "story"))
    if backend is not None:
        backend.close()
    return {}


def ours_retrieval(folder: str, name: str, texts: int, count: int, encoder: str, cross: str = "") -> dict:
    """Measures of the three ways, one dict each."""
    import asked as sets

    from upwell.answering.index import Index
    from upwell.answering.search import Searcher, Settings

    backend, told = None if encoder == NONE else opened(encoder), {}
    reads = opened(cross) if cross else None
    ways = WAYS | ({"both, read again": (True, True)} if reads else {})
    with Index.open(folder, encoder=backend) as index:
        cut = sets.pieces(index)
        numbers = {(one.text, one.start): number for number, one in enumerate(cut)}
        questions, wanted = sets.measurable(name, sets.load(name, texts), cut, count, bool(cross))
        for way, (lexical, dense) in ways.items():
            if backend is None and dense:
                continue
            deep, again = (10, reads) if way not in WAYS else (DEEP, None)
            searcher = Searcher(index, backend, again, Settings(k=deep, lexical=lexical, dense=dense))
            rows, times = [], []
            for one in questions:
                begin = time.process_time()
                hits = searcher.find(one.question, deep, [str(one.text)] if name == "story" else None)
                times.append(time.process_time() - begin)
                found = [numbers[int(hit.passage.source), hit.passage.start] for hit in hits]
                rows.append(sets.keys(name, found, cut))
            told[way] = sets.ranked(rows, wanted) | {"p50": share(times, 0.5), "p95": share(times, 0.95)}
            told[way] |= {"questions": len(questions), "pieces": len(cut)}
    for one in (backend, reads):
        if one is not None:
            one.close()
    return told


def peer_retrieval(folder: str, name: str, texts: int, count: int, kind: str, python: str, held: bool) -> dict:
    """The same measures of a peer over the same pieces; {"lacks": why} where it cannot take part."""
    import answers_speed as speed
    import asked as sets

    from upwell.answering.index import Index

    with Index.open(folder) as index:
        cut = sets.pieces(index)
    questions, wanted = sets.measurable(name, sets.load(name, texts), cut, count, held)
    given = {"pieces": [one.words for one in cut], "owners": [one.text for one in cut],
             "questions": [one.question for one in questions],
             "only": [one.text if name == "story" else -1 for one in questions]}  # fmt: skip
    file = Path(folder).with_suffix(".json")
    file.write_text(json.dumps(given), encoding="utf-8")
    more = [str(model())] if kind == "vectors" else []
    told = speed.peer(python if kind == "words" else sys.executable, kind, str(file), *more)
    if "found" not in told:
        return told
    rows = [sets.keys(name, row, cut) for row in told["found"]]
    return sets.ranked(rows, wanted) | {"p50": share(told["times"], 0.5), "p95": share(told["times"], 0.95)}


def model() -> Path:
    """The folder of the encoder."""
    from upwell import weights

    return weights.fetch(ENCODER, print)


def retrieval(work: str, names: list[str], texts: int, count: int, given) -> list[str]:
    """Rows of a Markdown table: ranks, which are the same in each round, and times of all rounds."""
    from generate import spread
    from turns import apart, in_turn

    lines = ["| questions | pieces | ranked by | recall@1 | recall@5 | recall@10 | nDCG@10 | processor ms |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name in names:
        words = given.encoder == NONE
        folder = str(place(work + ("/words" if words else ""), name, texts))
        apart("answers", f"ready({folder!r}, {name!r}, {texts}, {given.encoder!r})", work)
        part = f"{folder!r}, {name!r}, {texts}, {count}"
        held = bool(given.cross)
        calls = {
            "upwell": ("answers", f"ours_retrieval({part}, {given.encoder!r}, {given.cross!r})"),
            "bm25s": ("answers", f"peer_retrieval({part}, 'words', {given.peer_python!r}, {held})"),
            "sentence-transformers": ("answers", f"peer_retrieval({part}, 'vectors', {sys.executable!r}, {held})"),
        }
        if words:
            del calls["sentence-transformers"]
        found = in_turn(calls, given.rounds, work)
        size = next(iter(found["upwell"][0].values()))
        head = f"{name}, {size['questions']:,} | {size['pieces']:,}"
        for side, rows in found.items():
            if "lacks" in rows[0]:
                lines.append(f"| {head} | {side}: {rows[0]['lacks']} | | | | | |")
                continue
            for way in [one for one in rows[0] if isinstance(rows[0][one], dict)] or [""]:
                told = [row[way] if way else row for row in rows]
                scores = [told_of(told[0][key]) for key in ("recall@1", "recall@5", "recall@10", "nDCG@10")]
                lines.append(f"| {head} | {side} {way} | {' | '.join(scores)} | "
                             f"{spread([one['p50'] for one in told])} |")  # fmt: skip
    return [*lines, ""]


def told_of(number: list[float]) -> str:
    """A mean with its standard error."""
    return f"{number[0]:.3f} ± {number[1]:.3f}"


# ---- answers ----


def answered(work: str, way: str, reader: str, cross: str, count: int) -> dict:
    """Exact match, F1 and refusals of one way of answering over DisflQA's passages.

    The confidence is fitted to the questions of the learnt part, as `upwell ask --calibrate` does it.
    """
    import asked as sets

    from upwell.answering import calibration
    from upwell.answering.asking import Asker, Settings
    from upwell.answering.index import Index
    from upwell.answering.search import Searcher

    found, encoder = sets.load("disflqa"), opened(ENCODER)
    groups, told, times = sets.grouped(found, count, "span" in way or "again" in way), {}, []
    if way in CURVELESS:  # the confidence has nothing to do with who answers: that curve is another one's
        groups = {"answerable": groups["answerable"]}
    reads, writes = opened(reader) if "span" in way else None, opened(WRITER) if way == "written" else None
    again = opened(cross) if "again" in way else None
    folder = indexed(place(work, "disflqa"), encoder, dict(enumerate(found.texts)))
    with Index.open(folder, encoder=encoder) as index:
        every = Settings(threshold=0.0, sure=0.0) if way == "any span" else Settings(threshold=0.0)
        searcher, how, limits = Searcher(index, encoder, again), None, []
        asker = Asker(searcher, reads, writes, every)
        if way not in CURVELESS:
            shown = [[asker.shown(one.question) for one in groups.pop(name)] for name in ("known", "unknown")]
            how, limit = calibration.fitted(*shown, ENCODER)
            sure = sorted(map(how.confidence, shown[0]))
            limits = [limit.value, *(sure[int(part * len(sure))] for part in sets.SHARES)]
        asker = Asker(searcher, reads, writes, every, how)
        for group, questions in groups.items():
            told[group] = []
            for one in questions:
                begin = time.process_time()
                answer = asker.ask(one.question)
                times.append(time.process_time() - begin)
                told[group].append(sets.judged(one, answer))
    for backend in (encoder, reads, writes, again):
        if backend is not None:
            backend.close()
    return sets.summed(told, limits) | {"p50": share(times, 0.5) / 1000, "p95": share(times, 0.95) / 1000}


def answers(work: str, reader: str, cross: str, count: int, few: int) -> list[str]:
    """Two Markdown tables, of answers and of refusals."""
    from turns import apart

    ways = {
        "sentence": count,
        **({"sentence, read again": count} if cross else {}),
        **({"span": count, "any span": count} if reader else {}),
        **({"written": few} if few else {}),
    }
    first = ["| answered by | questions | exact match | F1 | holds the answer | cites its text | processor s | p95 |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    second = ["| answered by | threshold | refused: with an answer | near ones without | other subjects |",
              "|---|---|---|---|---|"]  # fmt: skip
    for way, number in ways.items():
        found = apart("answers", f"answered({work!r}, {way!r}, {reader!r}, {cross!r}, {number})", work)
        print(way, found, flush=True)
        scores = [told_of(found[key]) for key in ("exact", "f1", "holds", "source")]
        first.append(f"| {way} | {found['counts']['answerable']} | {' | '.join(scores)} | {found['p50']:.2f} | "
                     f"{found['p95']:.2f} |")  # fmt: skip
        for row in found["curve"]:  # the first is the calibrated one
            parts = [told_of(row[group]) for group in ("answerable", "near", "others")]
            second.append(f"| {way} | {row['threshold']:.3f} | {' | '.join(parts)} |")
    return [*first, "", *second, ""]


# ---- follow-ups ----


def followed(work: str, count: int) -> dict:
    """Recall of the text, and F1 of the likest sentence of the right text, of questions that lean on others."""
    import asked as sets

    from upwell.answering.asking import Asker, Settings
    from upwell.answering.index import Index
    from upwell.answering.search import Searcher
    from upwell.evaluation.within import bare, shared

    found, encoder = sets.load("quac"), opened(ENCODER)
    test = [one for one in found.asked if one.split == "test"]
    texts = {one.text: found.texts[one.text] for one in test}
    questions, told = sets.some([one for one in test if one.answers and one.history], count), {}
    with Index.open(indexed(place(work, "quac"), encoder, texts, True), encoder=encoder) as index:
        asker = Asker(Searcher(index, encoder), None, None, Settings(threshold=0.0))
        for way in ("alone", "with history"):
            rows = {"recall@1": [], "recall@5": [], "f1": []}
            for one in questions:
                history = spoken(one.history) if way == "with history" else ()
                sources = list(dict.fromkeys(hit.passage.source for hit in asker.ask(one.question, history).hits))
                for depth in (1, 5):
                    rows[f"recall@{depth}"].append(float(str(one.text) in sources[:depth]))
                said = bare(asker.ask(one.question, history, [str(one.text)]).text)
                rows["f1"].append(max(shared(said, bare(text)) for text in one.answers))
            told[way] = {key: sets.mean(values) for key, values in rows.items()} | {"questions": len(questions)}
    encoder.close()
    return told


def spoken(history: tuple) -> list[dict]:
    """What was said before, as messages."""
    return [{"role": role, "content": text} for turn in history
            for role, text in zip(("user", "assistant"), turn, strict=True)]  # fmt: skip


def followups(work: str, count: int) -> list[str]:
    """A Markdown table."""
    from turns import apart

    lines = ["| asked | questions | recall@1 of the text | recall@5 | F1 in the right text |", "|---|---|---|---|---|"]
    for way, row in apart("answers", f"followed({work!r}, {count})", work).items():
        if way != "memory":
            parts = [told_of(row[key]) for key in ("recall@1", "recall@5", "f1")]
            lines.append(f"| {way} | {row['questions']} | {' | '.join(parts)} |")
    return [*lines, ""]


WORKS = ["retrieval", "answers", "chinese", "followups", "indexing", "vectors"]


def main() -> None:
    """Print the tables."""
    import answers_chinese
    import answers_speed as speed
    import asked as sets
    from pretrain import machine
    from turns import threads

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", choices=sets.RETRIEVAL, default=list(sets.RETRIEVAL))
    parser.add_argument("--questions", type=int, default=1000, help="of each set at most; 0: all")
    parser.add_argument("--written", type=int, default=50, help="questions that are answered in a model's words")
    parser.add_argument("--texts", type=int, default=2000, help="texts of the work indexing")
    parser.add_argument("--sizes", nargs="+", type=int, default=[10_000, 100_000, 200_000], help="of the work vectors")
    parser.add_argument("--graphs", type=int, default=200_000, help="vectors that graphs are made of at most")
    parser.add_argument("--passages", type=int, default=0, help="texts of each set that are searched; 0: all")
    parser.add_argument("--encoder", default=ENCODER, help="of the work retrieval; none: by words alone")
    parser.add_argument("--reader", default="", help="a folder of the recipe span")
    parser.add_argument("--cross", default="", help="a folder of the recipe rerank")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--work", type=Path, default=Path("runs/answers"))
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    work, python, count = str(given.work.resolve()), given.peer_python, given.questions
    makers = {
        "retrieval": lambda: retrieval(work, given.sets, given.passages, count, given),
        "answers": lambda: answers(work, given.reader, given.cross, count, given.written),
        "chinese": lambda: answers_chinese.table(work),
        "followups": lambda: followups(work, count),
        "indexing": lambda: speed.indexing(work, given.texts, given.rounds),
        "vectors": lambda: speed.vector_stores(work, given.sizes, given.graphs, python, given.rounds),
    }
    lines = [f"{machine()}, {given.rounds} rounds in turn, {threads()} threads, median (lowest-highest)", ""]
    for name in given.works:
        lines += makers[name]()
        if given.markdown:
            given.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
