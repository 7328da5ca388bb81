"""LibreOffice's help, sentence by sentence in English and another language."""

import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from itertools import pairwise

from upwell.catalog import Entry, Files, Part, Record
from upwell.catalog.corpora._pairs import HAN, SPACES, pairs, split, texts

VERSION = "4:7.4.7-1+deb12u14"
SHARE = 0.04  # of the documents are for measuring
LEAST = 15  # characters of the paragraph below a heading
PARAGRAPH = re.compile(r'<(p|h[1-6]|td|th|dt|dd|li)\b[^>]*?\bid="([^"]+)"[^>]*>(.*?)</\1>', re.DOTALL)
NESTED = re.compile(r"<(p|h[1-6]|table|ul|ol|div)\b")
MAC = re.compile(r'<span hidden="true"[^>]*class="MAC"[^>]*>.*?</span>', re.DOTALL)
SCRIPT = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)
TAG = re.compile(r"<[^>]+>")


def records(files: Files, folder: str, language: str) -> Iterator[Record]:
    """The paragraphs that have the same id in the same file of both languages."""
    english = {name.partition("/en-US/text/")[2]: name for name in files if "/en-US/text/" in name}
    place = f"usr/share/libreoffice/help/{folder}/text/"

    def documents():
        for document in sorted(english):
            if place + document in files:
                ours, theirs = (paragraphs(files[name].decode("utf-8"))
                                for name in (english[document], place + document))  # fmt: skip
                yield document.removesuffix(".html"), [(ours[id], theirs[id]) for id in ours if id in theirs]

    yield from pairs(documents(), "libreoffice", ("en", language), SHARE)


def paragraphs(page: str) -> dict[str, str]:
    """Texts of a page by their ids; where a key's name depends on the system, as on all but macOS."""
    found: dict[str, str] = {}
    for match in PARAGRAPH.finditer(page):
        if not NESTED.search(match[3]):
            inner = SCRIPT.sub("", MAC.sub("", match[3]))
            text = SPACES.sub(" ", unescape(TAG.sub("", inner))).strip()
            if text:
                found.setdefault(match[2], text)
    return found


def plain(files: Files, folder: str, language: str) -> Iterator[Record]:
    """The translated side alone, a document a text."""
    return texts(records(files, folder, language))


def headings(files: Files, folder: str, language: str) -> Iterator[Record]:
    """Each heading of a translated page, with the paragraph below it, which belong together; each heading once."""
    place, seen = f"usr/share/libreoffice/help/{folder}/text/", set()
    for name in sorted(name for name in files if name.startswith(place)):
        found = list(paragraphs(files[name].decode("utf-8")).items())
        for (above, query), (below, positive) in pairwise(found):
            wanted = above.startswith("hd_id") and below.startswith("par_id") and query not in seen
            if wanted and len(positive) >= LEAST and (language != "zh" or HAN.search(query) and HAN.search(positive)):
                seen.add(query)
                yield {"query": query, "positive": positive, "split": split(name.partition("/text/")[2], SHARE)}


def _part(package: str, folder: str, language: str, sha256: str, holds: str, made=records) -> Part:
    return Part(
        (f"deb:libreoffice-help-en-us={VERSION}", f"deb:libreoffice-help-{package}={VERSION}"),
        rf"usr/share/libreoffice/help/(en-US|{folder})/text/.*\.html",
        sha256, partial(made, folder=folder, language=language), holds,
    )  # fmt: skip


ENTRY = Entry(
    "help-pairs",
    "LibreOffice's help in two languages, as pairs of paragraphs: software sentences and nothing wider",
    "Mozilla Public License 2.0.",
    {
        "zh": _part("zh-cn", "zh-CN", "zh",
                    "8ea91890b8b9d1ea046bf9b1015b0aeca0a6025c2651cbb631dc80f7d1ee3684",
                    "24,707 pairs of 2,081 pages, 0.7 million Chinese characters"),
        "de": _part("de", "de", "de",
                    "740f41062e9cee7e7f29edbf73b7e53941dfc757c680c8ad4c55f51ab7a071d6",
                    "35,866 pairs of 2,396 pages, 3.4 million German characters"),
        "fr": _part("fr", "fr", "fr",
                    "734db1c71bed868fdda36abd940dac771159649a7c0d458a7727818f09619e59",
                    "34,040 pairs of 2,381 pages, 3.3 million French characters"),
        "zh-text": _part("zh-cn", "zh-CN", "zh",
                    "8ea91890b8b9d1ea046bf9b1015b0aeca0a6025c2651cbb631dc80f7d1ee3684",
                    "the Chinese side alone: 2,081 pages, 0.7 million characters", plain),
        "zh-headings": _part("zh-cn", "zh-CN", "zh",
                    "8ea91890b8b9d1ea046bf9b1015b0aeca0a6025c2651cbb631dc80f7d1ee3684",
                    "3,382 Chinese headings and the paragraphs below them", headings),
    },
)
