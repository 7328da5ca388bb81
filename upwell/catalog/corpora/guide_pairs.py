"""Guides of Debian and GNOME, block by block in English and another language."""

import re
from collections.abc import Iterator
from functools import partial

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora._pairs import blocks, pairs, texts

SHARES = {"gnome": 0.08, "debian-handbook": 0.08, "debian-reference": 0.2}  # of the documents are for measuring
NAVIGATION = re.compile(r'<ul class="docnav.*?</ul>', re.DOTALL)
NUMBER = re.compile(r"^(\d+\.)+\s*(?=\D)")
PACKAGES = {  # where the pages of each lie
    "gnome": re.compile(r"usr/share/help/(?P<language>[\w@]+)/(?P<document>[\w-]+/[\w-]+)\.page"),
    "debian-handbook": re.compile(
        r"usr/share/doc/debian-handbook/html/(?P<language>[\w-]+)/(?P<document>[\w.-]+)\.html"
    ),
    "debian-reference": re.compile(r"usr/share/debian-reference/(?P<document>\w+)\.(?P<language>[\w-]+)\.html"),
}
ENGLISH = {"C", "en-US", "en"}


def records(files: Files, language: str) -> Iterator[Record]:
    """The blocks of pages that have the same tags in both languages."""
    for package, share in SHARES.items():
        yield from pairs(_documents(files, package), package, ("en", language), share)


def _documents(files: Files, package: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    found: dict[str, dict[bool, str]] = {}
    for name in sorted(files):
        if match := PACKAGES[package].fullmatch(name):
            found.setdefault(match["document"], {})[match["language"] in ENGLISH] = name
    for document, names in found.items():
        if len(names) == 2:
            both = [blocks(NAVIGATION.sub("", files[names[english]].decode("utf-8"))) for english in (True, False)]
            if [tag for tag, _ in both[0]] == [tag for tag, _ in both[1]]:
                together = zip(*both, strict=True)
                yield f"{package}/{document}", [tuple(NUMBER.sub("", text) for _, text in two) for two in together]


def plain(files: Files, language: str) -> Iterator[Record]:
    """The translated side alone, a document a text."""
    return texts(records(files, language))


def _part(gnome: str, handbook: str, reference: str, language: str, sha256: str, holds: str,
          made=records) -> Part:  # fmt: skip
    return Part(
        ("deb:gnome-user-docs=43.0-2", "deb:debian-handbook=11.20220922", "deb:debian-reference-en=2.100",
         f"deb:debian-reference-{reference}=2.100"),
        rf"usr/share/help/(C|{gnome})/[\w-]+/[\w-]+\.page|usr/share/doc/debian-handbook/html/(en-US|{handbook})/.*\.html"
        rf"|usr/share/debian-reference/\w+\.(en|{reference})\.html",
        sha256, partial(made, language=language), holds,
    )  # fmt: skip


ENTRY = Entry(
    "guide-pairs",
    "guides of GNOME and Debian in two languages, as pairs of paragraphs: software sentences and nothing wider",
    "GNOME's user guide CC BY-SA 3.0; Debian's handbook GPL-2+ or CC BY-SA 3.0; Debian's reference GPL-2+.",
    {
        "zh": _part("zh_CN", "zh-CN", "zh-cn", "zh",
                    "a6eee6f38e3ec3cda3f330a9c923606db73651b0be5fdd8cc6c1a3f925f77cd4",
                    "9,026 pairs of 330 pages, 0.5 million Chinese characters"),
        "de": _part("de", "de-DE", "de", "de",
                    "c23a69147bcb92cce7ac6e62d4834e554a7cae649ac6ea06d1e935569cee6c7b",
                    "11,521 pairs of 410 pages"),
        "fr": _part("fr", "fr-FR", "fr", "fr",
                    "197b24f57598116677b8890eb606444a69625d8e80d65e857b9b8c5a0d0e8276",
                    "9,550 pairs of 368 pages"),
        "zh-text": _part("zh_CN", "zh-CN", "zh-cn", "zh",
                    "a6eee6f38e3ec3cda3f330a9c923606db73651b0be5fdd8cc6c1a3f925f77cd4",
                    "the Chinese side alone: 330 pages, 0.5 million characters", plain),
    },
)
