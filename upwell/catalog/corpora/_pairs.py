"""What corpora of translated sentences share: the record of a pair, its document's part, and texts out of markup.

    pairs(documents, package, languages, share)     {document: [(source, target), ...]} -> records, each pair once
    texts(records, joined)                          the translated sides alone, as plain texts
    split(document, share)                          "test" for about `share` of all documents, by their names alone
    blocks(markup)                                  [(the tag that begins it, its text), ...] in order
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from itertools import groupby
from operator import itemgetter

from upwell.catalog import Record

HAN = re.compile(r"[\u4e00-\u9fff]")
LETTER = re.compile(r"[^\W\d_]")
BLOCKS = frozenset("p title desc h1 h2 h3 h4 h5 h6 div td th dt dd li pre caption summary page section item steps list "
                   "terms note table tr tbody thead tfoot ul ol dl body head html code-block screen".split())
LEFT_OUT = frozenset(("script", "style", "pre", "screen", "credit", "mal:credit", "code-block"))
SPACES = re.compile(r"\s+")


def pairs(
    documents: Iterable[tuple[str, Iterable[tuple[str, str]]]], package: str, languages: tuple[str, str], share: float
) -> Iterator[Record]:
    """Records of the layout `parallel`, each (source, target) once; title: its document, label: its package.

    Left out: what is not translated or holds no letter, and what should be Chinese and has no Chinese character.
    """
    seen = set()
    for document, found in documents:
        part = split(document, share)
        for source, target in found:
            if (source, target) not in seen and translated(source, target, languages[1]):
                seen.add((source, target))
                yield {"source": source, "target": target, "source_language": languages[0],
                       "target_language": languages[1], "title": document, "label": package, "split": part}  # fmt: skip


def texts(found: Iterable[Record], joined: bool = True) -> Iterator[Record]:
    """The targets as plain texts: those of a document one below the other, or each for itself."""
    key = itemgetter("title", "label", "split")
    for (title, label, part), some in groupby(found, key):
        targets = [one["target"] for one in some]
        for text in ["\n\n".join(targets)] if joined else targets:
            yield {"text": text, "title": title, "label": label, "split": part}


def translated(source: str, target: str, language: str) -> bool:
    """Whether both say something in words, and not the same."""
    said = bool(LETTER.search(source) and LETTER.search(target)) and source.strip() != target.strip()
    return said and (not language.startswith("zh") or bool(HAN.search(target)))


def split(document: str, share: float) -> str:
    """ "test" for about `share` of all documents, else "train": a function of the name alone, in every language."""
    drawn = int.from_bytes(hashlib.sha256(document.encode()).digest()[:8], "big") / 2**64
    return "test" if drawn < share else "train"


def blocks(markup: str) -> list[tuple[str, str]]:
    """Each run of text between two tags of blocks, with the tag before it, in order; empty ones too.

    Markup of one document in two languages has the same tags, so the runs belong together one by one.
    """
    parser = _Blocks()
    parser.feed(markup)
    parser.close()
    return parser.found


class _Blocks(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.tag, self.parts, self.deaf = "", [], 0

    def handle_starttag(self, tag: str, attrs) -> None:
        self._border(tag, tag, 1)

    def handle_endtag(self, tag: str) -> None:
        self._border(tag, f"/{tag}", -1)

    def handle_startendtag(self, tag: str, attrs) -> None:
        if tag in BLOCKS:
            self._end(f"{tag}/")

    def handle_data(self, data: str) -> None:
        if not self.deaf:
            self.parts.append(data)

    def close(self) -> None:
        super().close()
        self._end("")

    def _border(self, tag: str, named: str, depth: int) -> None:
        if tag in LEFT_OUT:
            self.deaf = max(0, self.deaf + depth)
        elif tag in BLOCKS and not self.deaf:
            self._end(named)

    def _end(self, tag: str) -> None:
        self.found.append((self.tag, SPACES.sub(" ", "".join(self.parts)).strip()))
        self.tag, self.parts = tag, []
