"""Wikipedia's XML dumps: the articles, without markup, tables, files and categories; other XML is source code.

Redirects and pages that are no articles (talk, templates ...) are passed over: they hold no text of their own.
Templates are taken out with what they hold, as nothing here can say what they would show.
"""

import html
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from upwell.text import Document, Fault
from upwell.text.division import documents_of
from upwell.text.encodings import Unreadable
from upwell.text.markup import elements
from upwell.text.readers import plain

SUFFIXES = (".xml",)
FILE, CATEGORY = "6", "14"  # the numbers of namespaces, whose names differ by language
NO_TEXT = (
    "ref", "gallery", "math", "timeline", "score", "syntaxhighlight", "source", "imagemap", "references", "table",
    "hiero", "chem", "graph", "mapframe", "templatestyles", "indicator", "section",
)  # fmt: skip
TAGS = "|".join(NO_TEXT)
SIGNS = re.compile(
    rf"<!--|-->|\{{{{2,}}|\}}{{2,}}|\{{\||\|\}}|\[\[|\]\]|</?(?:{TAGS})(?=[\s/>])[^<>]{{0,2000}}>|</?(?:nowiki|pre)>",
    re.IGNORECASE,
)
DEEPEST = 60  # what is nested deeper is no article; it stays as it is written
QUOTES = re.compile("'{2,5}")
ADDRESS = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\]\[]{1,500}(?:[ \t]+([^\]\[\n]{0,500}))?\]")
TAG = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>")
VARIANT = re.compile(r"-\{([^{}\n]{0,500})\}-")
SWITCH = re.compile(r"__[A-Z]{3,30}__")
HEADING = re.compile(r"(={1,6})[ \t]*([^\n]*?)[ \t]*\1[ \t]*$")


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    if b"<mediawiki" not in file.peek(4096)[:4096]:
        yield from plain.read(file, name, settings)
        return
    apart = {"file", "image", "category"}
    try:
        for line, one in elements(file, ("namespace", "page"), settings.longest):
            if one.tag == "namespace" and one.get("key") in (FILE, CATEGORY):
                apart.add((one.text or "").lower())
            elif one.tag == "page" and one.findtext("ns") in ("0", None) and one.find("redirect") is None:
                text = bare(one.findtext("revision/text") or "", apart)
                if text:
                    yield from documents_of(Document(text, f"{name}:{line}", one.findtext("title") or ""))
    except Unreadable as error:
        yield Fault(f"{name}:{error.line}" if error.line else name, str(error))


def bare(text: str, apart: Collection[str]) -> str:
    """What a reader sees of wiki markup. apart: the namespaces of files and categories, in small letters."""
    text = _flat(text, apart)
    text = TAG.sub(lambda tag: "\n" if tag[0][1:3].lower() in ("br", "p>") else "", text)
    text = VARIANT.sub(_variant, text)
    text = ADDRESS.sub(r"\1", QUOTES.sub("", SWITCH.sub("", text)))
    lines = _with_text(html.unescape(text).replace("\xa0", " ").split("\n"))
    return re.sub("\n{3,}", "\n\n", "\n".join(reversed(lines))).strip()


# ---- what is nested: comments, templates, tables, links, notes ----


@dataclass
class _Open:
    """Something that began and did not end yet."""

    kind: str
    sign: str
    parts: list[str] = field(default_factory=list)


def _flat(text: str, apart: Collection[str]) -> str:
    """The text without what is nested in it; in one pass, whatever it holds."""
    stack, waiting, place = [_Open("", "")], Counter(), 0
    for match in SIGNS.finditer(text):
        stack[-1].parts.append(text[place : match.start()])
        place = match.end()
        for kind, closes, sign in _meaning(match[0].lower()):
            if closes and waiting[kind]:
                _close(stack, waiting, kind, apart)
            elif not closes and len(stack) < DEEPEST and not waiting["<!--"] | waiting["nowiki"]:
                stack.append(_Open(kind, sign))
                waiting[kind] += 1
            elif sign:
                stack[-1].parts.append(sign if sign[0] != "<" or waiting["nowiki"] else "")
    stack[-1].parts.append(text[place:])
    while len(stack) > 1:
        _give_up(stack, waiting)
    return "".join(stack[0].parts)


def _meaning(sign: str) -> Iterator[tuple[str, bool, str]]:
    """(what it is about, whether it ends it, how it is written) of each of the marks that signs stand for."""
    if sign[0] in "{}" and sign != "{|":
        yield from [("{{", sign[0] == "}", sign[0] * 2)] * (len(sign) // 2)
    elif sign in ("{|", "|}"):
        yield "{|", sign == "|}", sign
    elif sign in ("[[", "]]"):
        yield "[[", sign == "]]", sign
    elif sign in ("<!--", "-->"):
        yield "<!--", sign == "-->", sign
    elif not sign.endswith("/>"):
        name = re.match("</?([a-z]+)", sign)[1]
        yield "nowiki" if name == "pre" else name, sign[1] == "/", sign


def _close(stack: list[_Open], waiting: Counter, kind: str, apart: Collection[str]) -> None:
    while stack[-1].kind != kind:
        _give_up(stack, waiting)
    inner = "".join(stack.pop().parts)
    waiting[kind] -= 1
    if kind == "[[":
        stack[-1].parts.append(_link(inner, apart))
    elif kind == "nowiki":
        stack[-1].parts.append(inner)


def _give_up(stack: list[_Open], waiting: Counter) -> None:
    """What never ends is no mark: it is as it is written, but for tags."""
    one = stack.pop()
    waiting[one.kind] -= 1
    stack[-1].parts += ["" if one.sign[0] == "<" else one.sign, *one.parts]


def _link(inner: str, apart: Collection[str]) -> str:
    target, bar, shown = inner.partition("|")
    space, colon, rest = target.partition(":")
    if colon and space.strip().lower() in apart:
        return ""
    return shown.rpartition("|")[2] if bar and shown else target.lstrip(":") if not bar else rest or target


def _variant(match: re.Match) -> str:
    """-{zh-hans:计算机; zh-hant:電腦}-: the first of them."""
    return match[1].rpartition("|")[2].partition(";")[0].rpartition(":")[2]


# ---- lines ----


def _with_text(lines: list[str]) -> list[str]:
    """The lines from the last to the first, without marks of lists, and without headings that nothing stands below."""
    found, least = [], 0  # the level of the nearest heading below; 0: nothing stands there
    followed = False
    for line in reversed(lines):
        heading = HEADING.match(line)
        if not heading:
            line = line.lstrip("*#:; \t").rstrip()
            followed |= bool(line)
            found.append("" if line.startswith("----") else line)
        elif followed or least > len(heading[1]):
            found.append(heading[2])
            least, followed = len(heading[1]), False
    return found
