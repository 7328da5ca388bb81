"""Words laid onto a page of a PDF, into the place of others: rows, sizes, fonts, colours. Knows pdfium."""

import ctypes
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from ...errors import ServiceError
from ._fonts import fitting
from ._pdf_lines import Line, Room, place_of

SMALLEST = 0.55  # of a paragraph's own size
LEADING = 1.18  # from line to line, in sizes
BOLD = 600  # a weight from which letters are bold
CLOSING, OPENING = "，。、；：？！）」』】》〉”’…,.;:?!)]", tuple("（「『【《〈“‘")  # begin no row, end none


def lay(page, font: "Font", lines: list[Line], text: str, look: "Look", room: Room) -> None:
    """Write a text into the place of these lines, in the largest size in which it fits."""
    size, first = lines[0].size, lines[0].bottom
    height = (first - lines[-1].bottom) / size + 1.4 if len(lines) > 1 else 1.4
    width = max(room.right - room.left, 4 * size)
    best = size
    while True:
        rows = broken(text, lambda words, size=best: font.width(words, size, look.bold), width)
        if (len(rows) - 1) * LEADING * best / size + 1 <= height or best <= SMALLEST * size:
            break
        best *= 0.95
    for number, row in enumerate(rows):
        spare = (width - font.width(row, best, look.bold)) / 2 if room.centred else 0.0
        font.write(page, row, best, (room.left + spare, first - number * LEADING * best), look)


def broken(text: str, wide: Callable[[str], float], width: float) -> list[str]:
    """Rows that are no wider than `width`: between words, or between Chinese signs."""
    rows, row = [], ""
    for word in _words_of(text):
        if row and wide(row + word.rstrip()) > width:
            rows.append(row.rstrip())
            row = word.lstrip()
        else:
            row += word
    return [*rows, row.rstrip()] if row.strip() else rows or [""]


def _words_of(text: str) -> list[str]:
    found = [""]
    for sign in text:
        last = found[-1][-1:]
        apart = sign > "\u2e7f" or last > "\u2e7f" or last.isspace() and not sign.isspace()
        if apart and sign not in CLOSING and last not in OPENING:
            found.append("")
        found[-1] += sign
    return [word for word in found if word]


class Font:
    """A font of a document that has every sign of some text: a standard one, or one of this machine, embedded."""

    def __init__(self, pdfium, pdf, text: str):
        self.raw, self.pdf, self.widths = pdfium.raw, pdf, {}
        try:
            text.encode("cp1252")
            self.fonts = [self.raw.FPDFText_LoadStandardFont(pdf, name) for name in (b"Helvetica", b"Helvetica-Bold")]
        except UnicodeEncodeError:
            data = fitting(text)
            self.data = (ctypes.c_ubyte * len(data)).from_buffer_copy(data)
            font = self.raw.FPDFText_LoadFont(pdf, self.data, len(data), self.raw.FPDF_FONT_TRUETYPE, True)
            self.fonts = [font, font]
        if not all(self.fonts):
            raise ServiceError("the font that was found cannot be embedded; name another one in UPWELL_FONT, or "
                               "translate a DOCX or HTML file instead")  # fmt: skip

    def made(self, text: str, size: float, bold: bool = False):
        """A text object."""
        thing = self.raw.FPDFPageObj_CreateTextObj(self.pdf, self.fonts[bold], size)
        wide = (text + "\0").encode("utf-16-le")
        buffer = ctypes.create_string_buffer(wide, len(wide))
        self.raw.FPDFText_SetText(thing, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)))
        return thing

    def width(self, text: str, size: float, bold: bool = False) -> float:
        """Points that a text takes; signs are measured once."""
        return size * sum(self._sign(sign, bold) for sign in text)

    def _sign(self, sign: str, bold: bool) -> float:
        if (sign, bold) not in self.widths:
            twice, once = (self._bounds(f"|{sign * count}|", bold) for count in (2, 1))
            self.widths[sign, bold] = max(twice - once, 0.0) / 100
        return self.widths[sign, bold]

    def _bounds(self, text: str, bold: bool) -> float:
        thing = self.made(text, 100.0, bold)
        left, bottom, right, top = (ctypes.c_float() for _ in range(4))
        self.raw.FPDFPageObj_GetBounds(thing, left, bottom, right, top)
        self.raw.FPDFPageObj_Destroy(thing)
        return right.value - left.value

    def write(self, page, text: str, size: float, place: tuple[float, float], look: "Look") -> None:
        """Put a row onto a page."""
        if text:
            thing = self.made(text, size, look.bold)
            self.raw.FPDFPageObj_SetFillColor(thing, *look.colour)
            if look.bold and self.fonts[0] is self.fonts[1]:
                self._thicken(thing, size, look)
            self.raw.FPDFPageObj_Transform(thing, 1, 0, 0, 1, *place)
            self.raw.FPDFPage_InsertObject(page, thing)

    def _thicken(self, thing, size: float, look: "Look") -> None:
        """An embedded font has one weight: a stroke around its letters makes them bold."""
        self.raw.FPDFTextObj_SetTextRenderMode(thing, self.raw.FPDF_TEXTRENDERMODE_FILL_STROKE)
        self.raw.FPDFPageObj_SetStrokeColor(thing, *look.colour)
        self.raw.FPDFPageObj_SetStrokeWidth(thing, size / 30)


class Look(NamedTuple):
    """How the words of a paragraph look."""

    bold: bool
    colour: tuple[int, int, int, int]
    """Red, green, blue and how opaque, 0 .. 255."""


def look_of(raw, lines: list[Line]) -> Look:
    """As most of its signs do."""
    signs: Counter[Look] = Counter()
    for line in lines:
        for thing in line.objects:
            colour = [ctypes.c_uint(0) for _ in range(3)] + [ctypes.c_uint(255)]
            raw.FPDFPageObj_GetFillColor(thing, *colour)
            left, _, right, _ = place_of(thing)
            signs[Look(_bold(raw, thing), tuple(part.value for part in colour))] += round(right - left)
    return signs.most_common(1)[0][0]


def _bold(raw, thing) -> bool:
    """By its font's weight, or, as standard fonts have none, by its name."""
    font, name = raw.FPDFTextObj_GetFont(thing), ctypes.create_string_buffer(200)
    raw.FPDFFont_GetBaseFontName(font, name, len(name))
    return raw.FPDFFont_GetWeight(font) >= BOLD or any(word in name.value.lower() for word in (b"bold", b"black"))
