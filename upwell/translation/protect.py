"""What no model may touch: addresses, signs that a program fills in, mark-up, code, numbers.

A translation is right about them when it holds each as often as its source does. That is looked at after the model has
written, not believed: `lost` names what is missing or too much, and who asks then translates around it (see
`translator`). Numbers are compared by their digits, so that 1,000 may become 1.000 where a language writes it so.
"""

import re
from collections import Counter
from typing import NamedTuple

SPANS = re.compile(
    r"(?P<url>(?:https?|ftp|file|mailto)://?[^\s<>\"'，。；）」』】]*[\w/#=&%+-]|www\.[\w.-]{1,200}\.[a-z]{2,20}[^\s<>\"'，。；）」』】]*)"
    r"|(?P<email>(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})"
    r"|(?P<code>``[^`\n]+``|`[^`\n]+`)"
    r"|(?P<tag></?[A-Za-z][\w:-]{0,30}(?:\s[^<>\n]{0,500})?/?>|&(?:[A-Za-z]{2,10}|\#\d{1,6}|\#x[0-9A-Fa-f]{1,6});)"
    r"|(?P<sign>%\d+\$[sdif]|%\(\w+\)[sdif]|%[-+0#]?\d*(?:\.\d+)?[sdifxuc](?![A-Za-z])|%\d+(?!\d)|\$\{[\w.]+\}"
    r"|\{\{[^{}\n]{1,60}\}\}|\{[\w.:!]{0,40}\}|\$\([\w.]+\)|\$\[[\w]+\]"
    r"|\$[A-Za-z_]\w{0,60})"
    r"|(?P<file>(?<![\w.-])[\w-]{1,60}(?:\.[\w-]{1,30}){0,3}\.(?:bak|bat|bz2|cfg|conf|cpp|css|csv|deb|docx?|epub|exe|gif|gz|"
    r"html?|ini|ipynb|jar|java|jpe?g|json|js|log|md|mp[34]|od[bgpst]|ott|pdf|php|png|pptx?|pyc?|rpm|rtf|sh|sql|svg|tar|tex|tiff?|"
    r"toml|tsv|txt|wav|xlsx?|xml|ya?ml|zip)(?![\w-]))"
    r"|(?P<number>\d(?:[\d.,]*\d)?)",
    re.ASCII,
)  # every part is bounded, or one class that repeats behind a fixed beginning, so that no text takes long
DIGITS = re.compile(r"\d+")
ALONE = "{%d}"  # what a model sees for a thing by itself; models of interface texts have met such signs
SIGN = re.compile(r"\{(\d{1,6})\}")


class Span(NamedTuple):
    """A protected part of a text."""

    begin: int
    end: int
    kind: str
    """url, email, code, tag, sign, file or number."""


def spans(text: str) -> list[Span]:
    """The protected parts of a text, in order."""
    return [Span(*found.span(), found.lastgroup) for found in SPANS.finditer(text)]


def kept(text: str) -> Counter:
    """How often each protected part stands in a text; numbers by their digits."""
    found: Counter = Counter()
    for begin, end, kind in spans(text):
        found["".join(DIGITS.findall(text[begin:end])) if kind == "number" else text[begin:end]] += 1
    return found


def lost(source: str, translation: str) -> list[str]:
    """What of the source's protected parts a translation lacks or has too often."""
    before, after = kept(source), kept(translation)
    return sorted({part for part in (before - after) + (after - before)})


def pieces(text: str, extra: list[Span] = ()) -> list[tuple[str, bool]]:
    """The text cut at its protected parts and the `extra` ones: (piece, whether it is protected), in order."""
    found, at = [], 0
    for begin, end, _ in joined([*spans(text), *extra]):
        if at < begin:
            found.append((text[at:begin], False))
        found.append((text[begin:end], True))
        at = end
    if at < len(text):
        found.append((text[at:], False))
    return found


def joined(some: list[Span]) -> list[Span]:
    """In order, without those that lie within or over an earlier one."""
    found, at = [], 0
    for span in sorted(some, key=lambda one: (one.begin, -one.end)):
        if span.begin >= at:
            found.append(span)
            at = span.end
    return found
