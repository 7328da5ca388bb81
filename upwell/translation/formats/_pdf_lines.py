"""Where the words of a page of a PDF stand: its lines, which of them are a paragraph, and what room one has."""

import ctypes
import re
from dataclasses import dataclass, field
from typing import NamedTuple

ITEM = re.compile(r"\s*(?:\d{1,3}[.)]|[•‣▪–—*-])\s")  # of a list


@dataclass
class Line:
    """Words on one line. Places in points, from the lower left."""

    left: float
    bottom: float
    right: float
    top: float
    size: float
    text: str
    objects: list = field(default_factory=list)
    more: list = field(default_factory=list)
    """What else is on the page for these words' sake."""


def lines_of(pdfium, page) -> list[Line]:
    """The lines of a page, from its text objects."""
    raw, found, silent = pdfium.raw, [], []
    textpage = page.get_textpage()
    for thing in page.get_objects(filter=(raw.FPDF_PAGEOBJ_TEXT,), max_depth=1):
        size = ctypes.c_float()
        raw.FPDFTextObj_GetFontSize(thing, size)
        text = _words(raw, thing, textpage)
        left, bottom, right, top = place_of(thing)
        matrix = thing.get_matrix()
        scale = (matrix.b**2 + matrix.d**2) ** 0.5
        if not text:
            silent.append(Line(left, matrix.f, right, top, 0, "", [thing]))
        if text.strip() and right > left and top > bottom and abs(matrix.b) < 0.01 * max(abs(matrix.a), 1e-6):
            found.append(Line(left, matrix.f, right, top, size.value * scale or top - bottom, text, [thing]))
    lines = joined(found)
    for line in lines:
        if len(line.objects) > 1:
            place = line.left - 1, line.bottom, line.right + 1, line.top
            line.text = spaced(line.text, textpage.get_text_bounded(*place))
    textpage.close()
    beside(lines, silent, [Line(*place_of(thing), 0, "", [thing])
                           for thing in page.get_objects(filter=(raw.FPDF_PAGEOBJ_PATH,), max_depth=1)])  # fmt: skip
    return lines


def beside(lines: list[Line], silent: list[Line], paths: list[Line]) -> None:
    """What goes where a line goes: the same words printed once more, to look bold, and strokes below its words."""
    strokes = [one for one in paths if one.top - one.bottom < 3]
    for line in lines:
        words = [one for one in silent if abs(one.bottom - line.bottom) < 1]
        under = [one for one in strokes if 0 < line.bottom - one.top < 0.25 * line.size]
        line.more += [thing for one in (*words, *under) for thing in one.objects
                      if one.left > line.left - 2 and one.right < line.right + 2]  # fmt: skip


def spaced(text: str, read: str) -> str:
    """Pieces of one line with the spaces that pdfium reads between their signs, where it reads the same signs."""
    return " ".join(read.split()) if "".join(read.split()) == "".join(text.split()) else text


def _words(raw, thing, textpage) -> str:
    size = raw.FPDFTextObj_GetText(thing, textpage, None, 0)
    buffer = ctypes.create_string_buffer(max(size, 2))
    raw.FPDFTextObj_GetText(thing, textpage, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    text = buffer.raw[: max(0, size - 2)].decode("utf-16-le", "replace").replace("\x02", "-")  # at a line's end
    return "".join(sign for sign in text if sign.isprintable() or sign.isspace())


def place_of(thing) -> tuple[float, float, float, float]:
    return thing.get_bounds() if hasattr(thing, "get_bounds") else thing.get_pos()


def joined(pieces: list[Line]) -> list[Line]:
    """Pieces on one base line that nearly touch are one line; a gap such as between two columns divides them."""
    lines: list[Line] = []
    for piece in sorted(pieces, key=lambda one: (-round(one.bottom, 1), one.left)):
        near = next((line for line in reversed(lines[-8:]) if abs(line.bottom - piece.bottom) < 0.4 * piece.size
                     and -0.5 * piece.size < piece.left - line.right < 1.2 * piece.size), None)  # fmt: skip
        if near is None:
            lines.append(piece)
            continue
        gap = piece.left - near.right > 0.12 * piece.size and not near.text.endswith(" ") and piece.text[:1] != " "
        near.text += (" " if gap else "") + piece.text
        near.right, near.top = max(near.right, piece.right), max(near.top, piece.top)
        near.objects += piece.objects
    return lines


def paragraphs(lines: list[Line]) -> list[list[Line]]:
    """Lines below each other of one size and one left edge (but for the first one's) are a paragraph."""
    found: list[list[Line]] = []
    for line in lines:
        for block in reversed(found) if not ITEM.match(line.text) else ():
            last = block[-1]
            step = last.bottom - line.bottom
            over = min(last.right, line.right) - max(last.left, line.left)
            first = block[min(1, len(block) - 1)]
            aside = abs(line.left - first.left) if len(block) > 1 else abs(line.left - last.left) - 2.5 * line.size
            ends = last.right < max(one.right for one in block) - 6 * line.size and len(block) > 1
            if 0.5 * line.size < step < 1.75 * line.size and abs(last.size - line.size) < 0.12 * line.size \
                    and over > 0 and aside < line.size and not ends:  # fmt: skip
                block.append(line)
                break
        else:
            found.append([line])
    return found


class Room(NamedTuple):
    """What a paragraph may fill from left to right."""

    left: float
    right: float
    centred: bool


def room_of(lines: list[Line], others: list[Line], width: float) -> Room:
    """The room of a paragraph among the other lines of a page so wide. A single line may go on as far as nothing else
    stands on the right of it."""
    left, right, size = min(one.left for one in lines), max(one.right for one in lines), lines[0].size
    middles = [(one.left + one.right) / 2 for one in lines]
    if len(lines) > 1:
        ragged = max(one.left for one in lines) - left > size
        return Room(left, right, ragged and max(middles) - min(middles) < size / 2)
    aside = [one for one in others if one.bottom < lines[0].top and one.top > lines[0].bottom]
    edges = [one.left for one in others] or [left], [one.right for one in others] or [right]
    if not aside and abs(middles[0] - width / 2) < 0.02 * width and left > min(edges[0]) + 3 * size:
        half = min(width / 2 - min(edges[0]), max(edges[1]) - width / 2)
        return Room(min(left, width / 2 - half), max(right, width / 2 + half), True)
    ends = [one.left - size / 2 for one in aside if one.left > right - 1]
    return Room(left, max(right, min([*ends, max(edges[1])])), False)
