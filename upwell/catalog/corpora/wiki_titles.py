"""Titles of Wikipedia articles, each with the introduction that belongs to it: pairs for vectors of search."""

import json
from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora.wiki_intros import FILES, PACKAGE


def titles(files: Files) -> Iterator[Record]:
    """The title asks, the introduction answers."""
    for content in files.values():
        for title, article in json.loads(content).items():
            if title.strip() and article["extract"].strip():
                yield {"query": title, "positive": article["extract"]}


ENTRY = Entry(
    "wiki-titles",
    "titles of Wikipedia articles and their introductions, which belong together: query, positive",
    "The text is Wikipedia's, CC BY-SA 4.0: name the source and share alike.",
    {
        "en": Part(
            PACKAGE,
            FILES.format("en-us"),
            "25de72f92736df17b976b93e68183eb17a34860232051213bd1ef9a5256b7dbf",
            titles,
            "10,033 pairs",
        ),
        "fr": Part(
            PACKAGE,
            FILES.format("fr-fr"),
            "2f5e630ef48cd06fe13fc40f32d304a42f3e534a3ad6032c7736ca07a5399152",
            titles,
            "9,955 pairs",
        ),
        "es": Part(
            PACKAGE,
            FILES.format("es-es"),
            "5e799bf802e0e5ea6499535d04b7f961574be187bfdca18f700c19e3e4ef39fb",
            titles,
            "6,239 pairs",
        ),
    },
)
