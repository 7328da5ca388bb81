"""A program: an index is brought up to date and killed at its n-th line of upwell/answering, for many n; prints JSON.

    python killed.py FOLDER POINTS

FOLDER holds `texts` (as they are now), `index` (of the texts as they were) and `old.json`, `new.json` {source: text}.
Each kill is that of a forked process by os._exit, which runs nothing more of Python's.
"""

import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.answering.encoders import Words
from upwell.answering import writing
from upwell.answering.index import Index

ROOM = str(Path(writing.__file__).parent)
writing.STEP = 4


def updated(folder: Path, last: int = 0) -> int:
    """Bring the index up to date; die at the `last`-th line. How many lines there were."""
    lines = 0

    def line(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        if lines == last:
            os._exit(9)
        return line

    def call(frame, event, argument):
        return line if frame.f_code.co_filename.startswith(ROOM) else None

    sys.settrace(call)
    try:
        with Index.open(folder, encoder=Words(), create=True) as index:
            index.update(["texts"])
    finally:
        sys.settrace(None)
    return lines


def killed(folder: Path, last: int) -> None:
    child = os.fork()
    if not child:
        try:
            updated(folder, last)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def state(folder: Path) -> dict[str, str]:
    """What an index holds; AssertionError where it is not whole."""
    encoder = Words()
    with Index.open(folder, encoder=encoder) as index:
        assert index._all("pragma integrity_check") == [("ok",)]
        index._all("select count(*) from words where words match 'river'")
        found = {one.source: index.text(one.id) for one in index.documents()}
        ids = [number for (number,) in index._all("select id from passage")]
        for one in index.passages(ids):
            assert one.text == index.text(one.document)[one.start : one.end]
            vector = encoder.embed([writing.searched(one.title, one.heading, one.text)])[0]
            assert index.cosines(vector, [one.id])[one.id] > 0.9999
            assert one.id in [number for number, _ in index.lexical(one.text, 100)]
        assert len(ids) == index.count
    return found


def main(folder: Path, points: int) -> None:
    os.chdir(folder)
    old, new = (json.loads(Path(name).read_text()) for name in ("old.json", "new.json"))
    seen, whole = set(), 0
    for begun in ("index", None):
        trial = Path("trial")
        fresh(trial, begun)
        total = updated(trial)
        assert state(trial) == new
        for number in range(points // 2):
            fresh(trial, begun)
            killed(trial, 1 + number * total // (points // 2))
            before = {} if begun is None else old
            if (trial / "index.sqlite").is_file() and (trial / "index.sqlite").stat().st_size:
                found = state(trial)
                assert all(text in (before.get(source), new.get(source)) for source, text in found.items())
                assert all(source in found for source in before if source in new), "what stays is always there"
                seen.add(len(found))
            updated(trial)
            assert state(trial) == new
            files = {path.name: path.read_bytes() for path in trial.iterdir()}
            assert not [name for name, content in files.items() if b"xylophone" in content]
            assert len([name for name in files if name.startswith("vectors-")]) == 1
            whole += 1
    print(json.dumps({"whole": whole, "between": len(seen)}))


def fresh(trial: Path, begun: str | None) -> None:
    shutil.rmtree(trial, ignore_errors=True)
    if begun is not None:
        shutil.copytree(begun, trial)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
