"""The manuals of Python 3.11 in their source form, reStructuredText."""

from collections.abc import Iterator

from upwell.catalog import Entry, Files, Part, Record


def _pages(files: Files) -> Iterator[Record]:
    """A page a document; the part of the manuals (library, howto ...) is the label."""
    for name in sorted(files):
        page = name.partition("/_sources/")[2].removesuffix(".rst.txt")
        text = files[name].decode("utf-8").strip()
        if text:
            yield {"text": text, "title": page, "label": page.partition("/")[0]}


ENTRY = Entry(
    "manuals",
    "the manuals of Python 3.11",
    "Python Software Foundation License; examples also under the Zero-Clause BSD licence.",
    {
        "en": Part(
            ("deb:python3.11-doc=3.11.2-6+deb12u8",),
            r"usr/share/doc/python3\.11/html/_sources/.*\.rst\.txt",
            "8448fe365df4b939c59fa32208a479533c0244429f397c1aaf2c2b7c6a8e778c",
            _pages,
            "497 pages, 11 million characters",
        )
    },
)
