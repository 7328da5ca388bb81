"""Messages of twenty newsgroups in the division by date that papers use."""

from upwell.catalog import Entry, Part
from upwell.catalog.corpora._categories import FILES, PACKAGE, categories

ENTRY = Entry(
    "newsgroups",
    "messages of twenty newsgroups in their published split, letters in lower case only: text, label, split",
    "The messages are their authors', gathered for research and free to use so; words as A. Cardoso-Cachopo cut them.",
    {
        "en": Part(
            PACKAGE,
            FILES.format("20newsgroups"),
            "061fe77e6a8c3f31e66661ad051160e1c2ba58b172824071c11c11c3a304fc19",
            categories,
            "11,293 texts to learn from and 7,528 to measure on, in 20 classes",
        )
    },
)
