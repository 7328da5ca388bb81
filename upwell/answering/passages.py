"""A text -> its passages, `cut(text, kind, pages, fits)`: each with its place, the headings above it and its page.

Paragraphs are joined, and long ones divided where a sentence ends, to passages of LEAST to MOST characters; a Chinese
one counts for three, since it says as much. No passage reaches beyond its section. Every word of the text stands in
exactly one passage, or in a heading that has one below it.

Headings are those of Markdown (# and underlined), of reStructuredText, and, in a text without any of these, a short
line that stands alone above a paragraph, which is what HTML and Word files leave of theirs. Source code has none. The
room knows no model: whether a reader can take a passage, `fits` says.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

LEAST, GOOD, MOST = 400, 800, 1_200
TITLE = 100  # characters of a heading
BODY = 100  # the least size of a paragraph that a line above it can be the heading of
WINDOW = 10_000  # characters that are divided into sentences at once: its time grows with their square
LONE = 7  # the level of a heading that nothing marks as one: below all others
FENCES = ("```", "~~~")
RULES = "=-~^\"'*+#:"
ITEM = re.compile(r"[-*•·|>+–]|\d{1,3}[.)]?$|\(?[a-z0-9]\)")
STOPS = ".!。！:：;；,，、…"
WIDE = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
MARKUP = re.compile("[*`]")
LINK = re.compile(r"\[([^][]{0,200})\]\([^()]{0,200}\)")


class Piece(NamedTuple):
    """A passage by its place: the characters start .. end. page: from 1, 0 where there are none."""

    start: int
    end: int
    heading: str = ""
    """The headings above it, outermost first, joined by " > "."""
    page: int = 0


class Block(NamedTuple):
    """Lines that stand together. level: 1 and more for a heading, whose words are its title."""

    start: int
    end: int
    level: int = 0
    title: str = ""
    lines: int = 1


Range = tuple[int, int]
Fits = Callable[[str, str], bool]


def cut(text: str, kind: str = "prose", pages: Sequence[Range] = (), fits: Fits | None = None) -> list[Piece]:
    """The passages of a text, in order. kind, pages: its Document's; fits(heading, text): whether a reader takes it."""
    found = []
    starts = [start for start, _ in pages]
    for heading, ranges in _sections(text, kind == "code"):
        units = [unit for start, end in ranges for unit in _units(text, start, end, kind == "code")]
        for start, end in _packed(text, units):
            for first, last in _fitting(text, start, end, heading, fits):
                at = bisect_right(starts, first)
                found.append(Piece(first, last, heading, pages[at - 1][1] if at else 0))
    return found


def size(text: str) -> int:
    """How much a text says, in characters of English: a Chinese, Japanese or Korean one counts for three."""
    return len(text) if text.isascii() else len(text) + 2 * len(WIDE.findall(text))


# ---- sections ----


def _sections(text: str, code: bool) -> Iterator[tuple[str, list[Range]]]:
    """(headings, paragraphs below them), in order. A heading with nothing below it is a paragraph."""
    blocks = list(_blocks(text, code))
    if not code and not any(block.level for block in blocks):
        blocks = _with_lone(text, blocks)
    filled = _filled(blocks)
    above: list[Block] = []
    below: list[Range] = []
    for block, is_filled in zip(blocks, filled, strict=True):
        outer = [one for one in above if one.level < block.level] if block.level else above
        if below and (is_filled or outer != above):
            yield _joined(above), below
            below = []
        above = [*outer, block] if is_filled else outer
        below += [] if is_filled else [(block.start, block.end)]
    if below:
        yield _joined(above), below


def _joined(above: list[Block]) -> str:
    return " > ".join(block.title for block in above)


def _filled(blocks: list[Block]) -> list[bool]:
    """Of each block whether it is a heading with something below it; another one is a paragraph itself."""
    levels = [block.level for block in blocks]
    following = [level or LONE + 1 for level in levels[1:]] + [0]
    return [0 < level < below for level, below in zip(levels, following, strict=True)] if blocks else []


def _with_lone(text: str, blocks: list[Block]) -> list[Block]:
    """The same with those lines as headings that look like ones."""
    found = []
    for block, following in zip_longest(blocks, blocks[1:]):
        words = text[block.start : block.end]
        below = "" if following is None else text[following.start : following.end]
        if block.lines == 1 and _is_title(words) and size(below[: 2 * BODY]) >= BODY and not _is_title(below):
            block = block._replace(level=LONE, title=_clean(words))
        found.append(block)
    return found


def _is_title(words: str) -> bool:
    """Whether a line that stands alone may be a heading."""
    words = words.strip()
    return (0 < size(words) <= TITLE and "\n" not in words and words[-1] not in STOPS and not ITEM.match(words)
            and any(map(str.isalpha, words)))  # fmt: skip


# ---- blocks ----


def _blocks(text: str, code: bool) -> Iterator[Block]:
    """Headings and paragraphs with their places; what is fenced (```) is one paragraph."""
    rules: list[tuple[str, bool]] = []
    held: list[tuple[int, str]] = []
    at, fence = 0, ""
    for line in text.splitlines(keepends=True):
        words = line.strip()
        level = 0 if code or fence else _marked(words)
        if level or not words and not fence:
            yield from _held(held, rules, code)
            held = []
        if level:
            yield Block(at, at + len(line.rstrip()), level, _clean(words.strip("#")))
        elif words or fence:
            held.append((at, line))
            if fence and words.startswith(fence):
                fence = ""
            elif not fence and not code and words.startswith(FENCES[:1] if held[1:] else FENCES):
                fence = words[:3]
        at += len(line)
    yield from _held(held, rules, code)


def _marked(words: str) -> int:
    """The level of a Markdown heading; 0 for another line."""
    level = len(words) - len(words.lstrip("#"))
    if not 1 <= level <= 6 or len(words) > TITLE + level:
        return 0
    return level if words[level : level + 1].isspace() and words.strip("# \t") else 0


def _held(held: list[tuple[int, str]], rules: list[tuple[str, bool]], code: bool) -> Iterator[Block]:
    """The block of some lines; where an underlined heading comes first, that and the rest."""
    if not held:
        return
    used = 0 if code else _underlined([line.strip() for _, line in held[:3]])
    if used:
        title, rule = held[used - 2][1].strip(), (held[used - 1][1].strip()[0], used == 3)
        if rule not in rules:
            rules.append(rule)
        yield _block(held[:used])._replace(level=min(rules.index(rule) + 1, LONE - 1), title=_clean(title))
    if held[used:]:
        yield _block(held[used:])


def _block(held: list[tuple[int, str]]) -> Block:
    (at, first), (last, line) = held[0], held[-1]
    return Block(at + len(first) - len(first.lstrip()), last + len(line.rstrip()), lines=len(held))


def _underlined(lines: list[str]) -> int:
    """How many lines a heading with a rule under it, and perhaps above it, takes; 0 for none."""
    if lines[0].startswith("~~~"):
        return 0
    if len(lines) == 3 and _is_rule(lines[0], lines[1]) and lines[2] == lines[0] and not _is_rule(lines[1], ""):
        return 3
    if len(lines) > 1 and not _is_rule(lines[0], "") and 0 < len(lines[0]) <= TITLE:
        return 2 if _is_rule(lines[1], "" if lines[1][0] in "=-" else lines[0]) else 0
    return 0


def _is_rule(line: str, title: str) -> bool:
    """Whether a line is one sign again and again, at least as long as the title."""
    return len(line) >= max(3, len(title)) and line[0] in RULES and line == line[0] * len(line)


def _clean(title: str) -> str:
    """A heading without mark-up, on one line."""
    return MARKUP.sub("", LINK.sub(r"\1", " ".join(title[: 4 * TITLE].split()))).strip("_#\\ ")[:TITLE]


# ---- passages ----


def _units(text: str, start: int, end: int, code: bool) -> Iterator[Range]:
    """A paragraph; where it is too long, its sentences (or lines), and where those are, what lies between spaces."""
    part = text[start:end]
    if size(part) <= MOST:
        yield start, end
        return
    for first, last in (_lines if code or _is_listed(part) else _sentences)(text, start, end):
        yield from _chopped(text, first, last)


def _is_listed(part: str) -> bool:
    """Whether the lines of a paragraph are rows of a table, items of a list or code: a line is a unit then."""
    lines = part.split("\n")
    return part.startswith(FENCES) or 2 * sum(bool(ITEM.match(line.strip())) for line in lines) >= len(lines) > 1


def _lines(text: str, start: int, end: int) -> Iterator[Range]:
    for line in text[start:end].splitlines(keepends=True):
        yield from _trimmed(text, start, start + len(line))
        start += len(line)


def _sentences(text: str, start: int, end: int) -> Iterator[Range]:
    """The places of the sentences in a range, without the space around them."""
    from sentencex import get_sentence_boundaries

    while start < end:
        stop = end if end - start <= WINDOW else _space(text, start + WINDOW // 2, start + WINDOW)
        part = text[start:stop]
        language = "zh" if len(HAN.findall(part)) > 0.3 * len(part) else "en"
        for one in get_sentence_boundaries(language, part):
            yield from _trimmed(text, start + one["start_index"], start + one["end_index"])
        start = stop


def _chopped(text: str, start: int, end: int) -> Iterator[Range]:
    while size(text[start:end]) > MOST:
        width = MOST if size(text[start : start + MOST]) <= MOST else MOST // 3
        stop = _space(text, start + width // 2, start + width)
        yield from _trimmed(text, start, stop)
        start = stop
    yield from _trimmed(text, start, end)


def _space(text: str, first: int, last: int) -> int:
    """The best place between two to cut: behind a line, a comma, a space; the last one where there is none."""
    for signs in ("\n", "，,、；;", " \t\u3000"):
        found = max(text.rfind(sign, first, last) for sign in signs)
        if found >= 0:
            return found + 1
    return last


def _trimmed(text: str, start: int, end: int) -> Iterator[Range]:
    words = text[start:end]
    if words.strip():
        first = start + len(words) - len(words.lstrip())
        yield first, first + len(words.strip())


def _packed(text: str, units: list[Range]) -> list[Range]:
    """Neighbours together; a short rest goes to what stands before it."""
    found: list[Range] = []
    for start, end in units:
        if found:
            first, last = found[-1]
            joined, have = size(text[first:end]), size(text[first:last])
            rest = (start, end) == units[-1] and size(text[start:end]) < LEAST // 2 and joined <= MOST + LEAST // 2
            if rest or joined <= MOST and (have < LEAST or joined <= GOOD):
                found[-1] = first, end
                continue
        found.append((start, end))
    return found


def _fitting(text: str, start: int, end: int, heading: str, fits: Fits | None) -> Iterator[Range]:
    """A passage, in halves where a reader cannot take it whole."""
    if fits is None or end - start < 2 or fits(heading, text[start:end]):
        yield start, end
        return
    middle = (start + end) // 2
    borders = [last for _, last in _sentences(text, start, end) if start < last < end]
    near = min(borders, key=lambda place: abs(place - middle), default=0)
    if abs(near - middle) > (end - start) // 4:
        near = _space(text, (start + middle) // 2, middle) if middle - start > 3 else middle
    for first, last in (*_trimmed(text, start, near), *_trimmed(text, near, end)):
        yield from _fitting(text, first, last, heading, fits)
