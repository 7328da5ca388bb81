"""The source code of the standard library of the Python that runs."""

from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora._library import FILES, split


def _sources(files: Files) -> Iterator[Record]:
    for name, content in files.items():
        text = content.decode("utf-8", errors="replace")
        if text.strip():
            yield {"text": text, "title": name, "label": "package" if "/" in name else "module", "kind": "code",
                   "split": split(name)}  # fmt: skip


ENTRY = Entry(
    "python",
    "the source code of this Python's own standard library, with a split by file",
    "Python Software Foundation License.",
    {
        "en": Part(
            (),
            FILES,
            "",
            _sources,
            "about 730 files, 12 million characters",
            made=3,
        )
    },
)
