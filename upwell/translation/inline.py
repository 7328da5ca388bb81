"""Formatting inside a segment: taken out before it is translated, put back on the right words.

    flat = flatten(segment.parts)           # .text with signs such as {0} for things by themselves, .pairs of codes
    parts = rebuilt(flat, translation, ranges)      # ranges: where each pair's words stand in the translation

What stands at an edge of the segment stays at that edge and no model sees it.
"""

from dataclasses import dataclass, field

from . import Code, Parts, merged
from .protect import ALONE, SIGN

Range = tuple[int, int]


@dataclass
class Pair:
    """Formatting of a part of the text: an opening and a closing code, and what lies within."""

    opening: Code
    begin: int
    closing: Code | None = None
    end: int = 0
    within: list["Pair"] = field(default_factory=list)


@dataclass
class Flat:
    """A segment as one text."""

    text: str
    pairs: list[Pair]
    """All, each before those that lie within it."""
    top: list[Pair]
    """Those that lie within no other."""
    signs: dict[str, Code]
    """Sign in the text -> the thing that it stands for."""
    before: Parts
    behind: Parts
    """What stands at the edges: things by themselves and space."""


def flatten(parts: Parts) -> Flat:
    """A segment's parts as one text; codes that are not paired as they should be count as things by themselves."""
    paired = _paired(parts)
    before, parts, behind = _edges(parts, paired)
    flat = Flat("", [], [], {}, before, behind)
    open_ones: list[Pair] = []
    taken = {found.group() for part in parts if isinstance(part, str) for found in SIGN.finditer(part)}
    number = 0
    for part in parts:
        if isinstance(part, str):
            flat.text += part
        elif part.kind == "open" and part.number in paired:
            pair = Pair(part, len(flat.text))
            (open_ones[-1].within if open_ones else flat.top).append(pair)
            flat.pairs.append(pair)
            open_ones.append(pair)
        elif part.kind == "close" and part.number in paired:
            pair = open_ones.pop()
            pair.closing, pair.end = part, len(flat.text)
        else:
            while ALONE % number in taken:
                number += 1
            sign = ALONE % number
            taken.add(sign)
            flat.signs[sign] = part
            flat.text += sign
    return flat


def _paired(parts: Parts) -> set[int]:
    """The numbers of pairs that are nested as they should be."""
    stack, found = [], set()
    for part in parts:
        if isinstance(part, str) or part.kind == "alone":
            continue
        if part.kind == "open":
            stack.append(part.number)
        elif part.number in stack:
            while stack.pop() != part.number:
                pass
            found.add(part.number)
    return found


def _edges(parts: Parts, paired: set[int]) -> tuple[Parts, list, Parts]:
    """Things and space in front, the rest, things and space behind."""
    rest = list(parts)
    edges: list[list] = [[], []]
    for side, edge in enumerate(edges):
        at = -1 if side else 0
        while rest:
            part = rest[at]
            if isinstance(part, str):
                words = part.rstrip() if side else part.lstrip()
                space = part[len(words) :] if side else part[: len(part) - len(words)]
                edge.append(space)
                rest[at] = words
                if words:
                    break
            elif part.kind == "alone" or part.number not in paired:
                edge.append(part)
            else:
                break
            rest.pop(at)
    return tuple(filter(None, edges[0])), rest, tuple(filter(None, edges[1][::-1]))


def rebuilt(flat: Flat, text: str, ranges: list[Range]) -> Parts:
    """The translation with the segment's codes; ranges: where the words of each of flat.pairs stand in it."""
    where = {id(pair): one for pair, one in zip(flat.pairs, ranges, strict=True)}
    found: list = []

    def plain(begin: int, end: int) -> None:
        at = begin
        for sign in SIGN.finditer(text, begin, end):
            if sign.group() in flat.signs:
                found.extend((text[at : sign.start()], flat.signs[sign.group()]))
                at = sign.end()
        found.append(text[at:end])

    def build(pairs: list[Pair], begin: int, end: int) -> None:
        at = begin
        for pair in sorted(pairs, key=lambda one: where[id(one)]):
            first, last = where[id(pair)]
            first = _beside_signs(text, min(max(first, at), end))
            last = _beside_signs(text, max(first, min(last, end)), up=True)
            plain(at, first)
            found.append(pair.opening)
            build(pair.within, first, last)
            found.append(pair.closing)
            at = last
        plain(at, end)

    build(flat.top, 0, len(text))
    return merged((*flat.before, *found, *flat.behind))


def _beside_signs(text: str, at: int, up: bool = False) -> int:
    """A place that does not cut a sign in two."""
    for sign in SIGN.finditer(text):
        if sign.start() < at < sign.end():
            return sign.end() if up else sign.start()
    return at
