"""HTML: the texts of its blocks and of alt, title, placeholder and label attributes. Tags, scripts, styles, code and
mathematics stay; bold, links and the like go along with their words. The file is cut, not parsed and written anew, so
that what is not translated stays to the byte.
"""

import html
import re

from ...text.encodings import Unreadable
from .. import Code, Opened, Parts, merged
from ._laid import Laid, decoded

SUFFIXES = (".html", ".htm", ".xhtml")
TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<[!?][^>]*>|</?[A-Za-z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>", re.DOTALL
)
NAME = re.compile(r"</?([A-Za-z][\w:-]*)")
ATTRIBUTE = re.compile(r"""(?<=\s)(alt|title|placeholder|aria-label|label)=("([^"]*)"|'([^']*)')""", re.IGNORECASE)
INLINE = frozenset("a abbr acronym b bdi bdo big cite del dfn em font i ins label mark q ruby s small span strike "
                   "strong sub sup time tt u var".split())  # fmt: skip
ALONE = frozenset("br img wbr math svg code kbd samp data map rp rt".split())
WHOLE = frozenset("script style pre textarea code kbd samp math svg noscript template iframe object".split())
VOID = frozenset("br img wbr input hr meta link area base col embed source track param".split())
DEEPEST = 5_000
ROOT = re.compile(rb"<html\b[^<>]{0,4000}>", re.IGNORECASE)
LANGUAGE = re.compile(rb"""((?<=\s)(?:xml:)?lang=["']?)([A-Za-z]{2,3})((?:-[A-Za-z0-9]{1,8})*)""", re.IGNORECASE)


def read(data: bytes, name: str) -> Opened:
    said = re.search(rb"<meta[^>]{0,200}charset=[\"']?([\w-]{1,40})", data[:4096], re.IGNORECASE)
    if said and said[1].lower().decode() not in ("utf-8", "utf8", "utf-16"):
        raise Unreadable(f"the page says that it is in {said[1].decode()}; convert it to UTF-8 and say so in it")
    text, encoding = decoded(data)
    laid = Laid(escape=lambda words: html.escape(words, quote=False))
    _Cutter(laid, name, text).run()
    return laid.opened(encoding)


def spoken(data: bytes, source: str, target: str) -> bytes:
    """The page with the other language as its own, where it says that it is in the first one."""
    tag = ROOT.search(data[:65_536])
    if tag is None:
        return data
    return data[: tag.start()] + renamed(LANGUAGE, tag.group(), source, target) + data[tag.end() :]


def renamed(pattern: re.Pattern, data: bytes, source: str, target: str) -> bytes:
    """Each match's second group, where it is the first language, as the other one; its third goes."""
    own = source.partition("-")[0].lower().encode()
    return pattern.sub(lambda found: found[1] + target.encode() if found[2].lower() == own else found.group(), data)


class _Cutter:
    """Goes through the tokens and gathers the parts of a block until it ends."""

    def __init__(self, laid: Laid, name: str, text: str):
        self.laid, self.name, self.text = laid, name, text
        self.parts: list = []
        self.begin = self.number = 0
        self.stack: list[tuple[str, int]] = []

    def run(self) -> None:
        text, at = self.text, 0
        while at < len(text):
            token = TOKEN.search(text, at)
            if token is None:
                self.words(text[at:])
                break
            self.words(text[at : token.start()])
            at = self.tag(token)
        self.flush(len(text))

    def words(self, raw: str) -> None:
        if raw:
            self.parts.append(html.unescape(raw))

    def tag(self, token: re.Match) -> int:
        """Take one tag; gives where to go on."""
        raw, end = token.group(), token.end()
        named = NAME.match(raw)
        name = named[1].lower() if named else ""
        closing = raw.startswith("</")
        if name in WHOLE and not closing and not raw.endswith("/>"):
            close = re.compile(rf"</{re.escape(name)}\s*>", re.IGNORECASE).search(self.text, end)
            end = close.end() if close else len(self.text)
            raw = self.text[token.start() : end]
        if name in ALONE and not (closing and name in WHOLE) or not name and raw.startswith("<!--"):
            self.number += 1
            self.parts.append(Code("alone", self.number, raw))
        elif name in INLINE:
            self.inline(name, closing, raw)
        else:
            self.flush(token.start())
            self.kept(raw, named is not None and not closing and name not in WHOLE)
            self.begin = end
        return end

    def inline(self, name: str, closing: bool, raw: str) -> None:
        self.number += 1
        if raw.endswith("/>") or name in VOID:
            self.parts.append(Code("alone", self.number, raw))
        elif not closing:
            if len(self.stack) >= DEEPEST:
                raise Unreadable(f"tags nested deeper than {DEEPEST:,}")
            self.stack.append((name, self.number))
            self.parts.append(Code("open", self.number, raw))
        elif any(one == name for one, _ in self.stack):
            while self.stack[-1][0] != name:
                self.stack.pop()
            self.parts.append(Code("close", self.stack.pop()[1], raw))
        else:
            self.parts.append(Code("alone", self.number, raw))

    def flush(self, end: int) -> None:
        """The block is over at `end`."""
        raw, parts = self.text[self.begin : end], self.parts
        self.parts, self.stack, self.begin = [], [], end
        if not any(isinstance(part, str) and part.strip() for part in parts):
            at = 0
            for tag in TOKEN.finditer(raw):
                self.laid.keep(raw[at : tag.start()])
                self.kept(tag.group(), NAME.match(tag.group()) is not None)
                at = tag.end()
            self.laid.keep(raw[at:])
            return
        begin = len(raw) - len(raw.lstrip()) if isinstance(parts[0], str) else 0
        stop = len(raw.rstrip()) if isinstance(parts[-1], str) else len(raw)
        begin = min(begin, stop)
        place = f"{self.name}:{self.text.count(chr(10), 0, end - len(raw)) + 1}"
        self.laid.keep(raw[:begin])
        self.laid.take(_spaced(parts), raw[begin:stop], place)
        self.laid.keep(raw[stop:])

    def kept(self, raw: str, attributes: bool) -> None:
        """A tag that stays, but for the texts among its attributes."""
        at = 0
        for found in ATTRIBUTE.finditer(raw) if attributes else ():
            which = 3 if found[3] is not None else 4
            self.laid.keep(raw[at : found.start(which)])
            quote = found[2][0]
            self.laid.take((html.unescape(found[which]),), found[which], f"{self.name} ({found[1]})", joined=_quoted)
            self.laid.keep(quote)
            at = found.end()
        self.laid.keep(raw[at:])


def _spaced(parts: list) -> Parts:
    """Space within a block is one blank, at its edges nothing."""
    found = [re.sub(r"[ \t\r\n\f]+", " ", part) if isinstance(part, str) else part for part in parts]
    if found and isinstance(found[0], str):
        found[0] = found[0].lstrip(" ")
    if found and isinstance(found[-1], str):
        found[-1] = found[-1].rstrip(" ")
    return merged(found)


def _quoted(parts: Parts) -> str:
    """As the value of an attribute."""
    return html.escape("".join(part if isinstance(part, str) else part.raw for part in parts))
