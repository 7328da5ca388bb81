"""Examples that cannot be learnt from, all of them at once; held-out examples that are learnt from as well.

    held = apart(learn, held, "drop", cache)            # the held-out part without what the learnt part has, too
    fitting(objective, options, [(part, samples), ...]) # DataError with every example that the objective refuses

Nothing is looked through for faults as long as there is none: the objective itself finds the first one.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import prepared, terminal
from ..atomic import new_folder
from ..errors import DataError
from ..objectives import Part
from ..text import Document, blocks
from ..tokens.store import Store, write

MOST = 20  # faults that are told line by line
ONCE = "text"
SAME = {"label": ONCE, "tag": ONCE, "answer": "question", "pair": "first text", "chat": "question"}


# ---- faults ----


def fitting(objective: Any, options: Any, parts: list[tuple[Part, Callable]]) -> None:
    """Nothing where an objective takes all examples; else DataError with each that it refuses, with file and line.

    parts: each with a function that makes its samples.
    """
    faults: list[str] = []
    for part, samples in parts:
        if not supervised(part):
            continue
        try:
            samples()
        except DataError as error:
            faults += list(refused(objective, options, part)) or [str(error)]
    if len(faults) == 1:
        raise DataError(faults[0])
    if faults:
        rest = [f"  and {len(faults) - MOST:,} more"] if len(faults) > MOST else []
        head = (f"{len(faults):,} examples cannot be learnt or measured; mend them, take them out, or do what their "
                "lines say:")  # fmt: skip
        raise DataError("\n".join([head, *(f"  {one}" for one in faults[:MOST]), *rest]))


def refused(objective: Any, options: Any, part: Part) -> Iterator[str]:
    """What an objective says to every example that it refuses; an example is tried beside one that it takes."""
    taken: list[Document] = []
    for document in part.documents():
        given = [document, *taken]
        try:
            objective.samples(part._replace(documents=lambda given=given: iter(given), cache=None), 1, 0, options)
            taken = taken or [document]
        except DataError as error:
            if document.source in str(error):
                yield str(error)


def supervised(part: Part) -> bool:
    """Whether a part holds examples of a task."""
    first = next(part.documents(), None) if part.documents and there(part) else None
    return first is not None and bool(first.fields)


def there(part: Part) -> bool:
    """Whether the texts of a part lie beside its tokens."""
    folder = Path(part.store.folder)
    return file_of(folder).is_file() or getattr(part.documents, "args", None) and part.documents.args[0].is_file()


def file_of(store: Path) -> Path:
    """The texts beside a store."""
    return store.with_name(f"{store.name}.jsonl")


# ---- leaks ----


def apart(learn: Part, held: Part, way: str, cache: Path) -> Part:
    """The held-out part, with or without what is learnt from as well; that is told. way: keep, drop or refuse.

    DataError where a leak is refused, or where nothing would be left to measure.
    """
    if not supervised(learn) or not supervised(held):
        return held
    known = np.sort(np.fromiter(map(key, learn.documents()), np.uint64))
    found = [is_in(known, key(one)) for one in held.documents()]
    count, every = sum(found), len(found)
    if not count:
        return held
    first = next(one for one, same in zip(held.documents(), found, strict=True) if same)
    what = SAME.get(first.fields["task"], ONCE)
    said = f"{count:,} of {every:,} held-out examples have the same {what} as a learnt one, first {first.source}"
    if way == "refuse":
        raise DataError(f"{said}; take them out of one of the parts, or leave them out of measuring (--leaks drop)")
    if way == "keep":
        terminal.warn(f"{said}: what is measured is too good; leave them out of measuring with --leaks drop.")
        return held
    if count == every:
        raise DataError(f"{said}, so nothing is left to measure; prepare the data again with other texts held out, or "
                        "measure them all the same (--leaks keep)")  # fmt: skip
    terminal.warn(f"{said}; they are not measured (--leaks keep measures them).")
    return without(held, found, cache)


def key(document: Document) -> int:
    """64 bits of what an example asks, in small letters and single spaces: its text, question or first text."""
    fields = document.fields or {}
    task = fields.get("task")
    if task == "chat":
        asked = []
        for message in fields["messages"]:
            if message["role"] == "assistant":
                break
            asked.append(message["content"])
        text = "\n".join(asked)
    elif task == "tag":
        text = " ".join(fields["tokens"])
    elif "pair" in fields:
        text = document.text
    else:
        text = fields.get({"answer": "question", "pair": "source", "label": "text"}.get(task, ""), document.text)
    plain = " ".join(text.lower().split())
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def is_in(known: np.ndarray, one: int) -> bool:
    """Whether a number stands in a sorted array."""
    at = int(np.searchsorted(known, np.uint64(one)))
    return at < len(known) and int(known[at]) == one


def without(held: Part, gone: list[bool], cache: Path) -> Part:
    """The part without these documents, as a folder of its own in the cache."""
    marks = hashlib.sha256(bytes(gone) + held.store.sha256.encode() + held.tokenizer.hash.encode()).hexdigest()
    folder = cache / f"apart-{marks[:16]}"

    def left() -> Iterator[Document]:
        return (one for one, out in zip(held.documents(), gone, strict=True) if not out)

    if not (folder / "heldout" / "index.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(folder) as made:
            size = 0
            with open(made / "heldout.jsonl", "wb") as file:
                for one in left():
                    file.write(blocks.line_of(one))
                    size += len(one.text.encode("utf-8", "surrogatepass"))
            ids = prepared.ids_of(left(), held.tokenizer, held.template)
            write(made / "heldout", ids, held.tokenizer.vocab_size, held.tokenizer.end, size, held.tokenizer.hash)
    return held._replace(store=Store(folder / "heldout"),
                         documents=lambda: prepared.documents_of(folder / "heldout.jsonl"))  # fmt: skip
