"""Introductions of Wikipedia articles as texts with one label: the article's topic."""

import json
from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora.wiki_intros import FILES, PACKAGE

NO_TOPIC = ("", "Uncategorized")


def topics(files: Files) -> Iterator[Record]:
    """Title and introduction, and the topic as the label; articles without one are left out."""
    for content in files.values():
        for title, article in json.loads(content).items():
            topic = article.get("topic") or ""
            if article["extract"].strip() and topic not in NO_TOPIC:
                yield {"text": f"{title}\n\n{article['extract']}", "label": topic}


ENTRY = Entry(
    "wiki-topics",
    "introductions of Wikipedia articles with their topics as labels: text, label",
    "The text is Wikipedia's, CC BY-SA 4.0: name the source and share alike.",
    {
        "en": Part(
            PACKAGE,
            FILES.format("en-us"),
            "25de72f92736df17b976b93e68183eb17a34860232051213bd1ef9a5256b7dbf",
            topics,
            "9,033 articles in 11 classes",
        ),
        "fr": Part(
            PACKAGE,
            FILES.format("fr-fr"),
            "2f5e630ef48cd06fe13fc40f32d304a42f3e534a3ad6032c7736ca07a5399152",
            topics,
            "9,955 articles in 11 classes",
        ),
        "es": Part(
            PACKAGE,
            FILES.format("es-es"),
            "5e799bf802e0e5ea6499535d04b7f961574be187bfdca18f700c19e3e4ef39fb",
            topics,
            "6,239 articles in 8 classes",
        ),
    },
)
