"""PDF with a text layer: paragraphs are taken off their places and the translation is laid there, in a smaller size
where it is longer. Pictures, lines and what has no words stay.

Lines become paragraphs by their places and sizes, so that two columns are two texts. Bold and links inside of a line
are not kept. For signs that the standard fonts lack a font of this machine is embedded (UPWELL_FONT names one); without
one the file is refused with what helps. A PDF without text, or with a password, is a fault.
"""

import ctypes
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ...errors import ServiceError
from ...text.encodings import Unreadable
from .. import Opened, Parts, Segment, text_of

SUFFIXES = (".pdf",)
SMALLEST = 0.55     # of a paragraph's own size
LEADING = 1.18      # from line to line, in sizes
MOST = 5_000        # pages
FONTS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/Library/Fonts",
         "/System/Library/Fonts", "C:/Windows/Fonts")  # fmt: skip
LIKELY = ("wqy", "droidsansfallback", "noto", "sourcehan", "uming", "ukai", "simsun", "simhei", "msyh", "pingfang",
          "unifont", "dejavusans", "freesans", "liberationsans", "arial")  # fmt: skip


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


@dataclass
class Block:
    """A paragraph on a page."""

    page: int
    lines: list[Line]

    @property
    def text(self) -> str:
        """Its words; a word that is divided at a line's end is one again."""
        found = ""
        for line in self.lines:
            words = line.text.strip()
            if found.endswith("-") and found[-2:-1].isalpha() and words[:1].islower():
                found = found[:-1] + words
            elif found and not (found[-1] > "\u2e7f" and words[:1] > "\u2e7f"):
                found += " " + words
            else:
                found += words
        return found


def read(data: bytes, name: str) -> Opened:
    pdfium = library()
    pdf = opened(pdfium, data)
    blocks = []
    try:
        for number in range(len(pdf)):
            page = page_of(pdfium, pdf, number)
            blocks += [Block(number, lines) for lines in paragraphs(lines_of(pdfium, page))]
            page.close()
    finally:
        pdf.close()
    blocks = [block for block in blocks if any(map(str.isalpha, block.text))]
    if not blocks:
        raise Unreadable("a PDF without a text layer (a scan?), expected one with text; recognise its text first")
    segments = [Segment((block.text,), f"{name}, page {block.page + 1}") for block in blocks]
    return Opened(segments, lambda written: rewritten(data, blocks, segments, written))


def library():
    """pypdfium2. ServiceError where it is missing."""
    try:
        import pypdfium2

        return pypdfium2
    except ImportError:
        raise ServiceError("PDF needs the package pypdfium2: pip install 'upwell[formats]'") from None


def opened(pdfium, data: bytes):
    """The document."""
    try:
        pdf = pdfium.PdfDocument(data)
        if len(pdf) > MOST:
            raise Unreadable(f"a PDF of {len(pdf):,} pages, expected at most {MOST:,}; divide it")
        return pdf
    except pdfium.PdfiumError as error:
        what = "with a password" if "assword" in str(error) else "that is broken, or none"
        raise Unreadable(f"a PDF {what}, expected one that can be opened; save it without one first") from None


def page_of(pdfium, pdf, number: int):
    """A page of it."""
    try:
        return pdf[number]
    except pdfium.PdfiumError:
        raise Unreadable(f"page {number + 1} of the PDF is broken; save the file anew first") from None


# ---- where words stand ----


def lines_of(pdfium, page) -> list[Line]:
    """The lines of a page, from its text objects."""
    raw, found = pdfium.raw, []
    textpage = page.get_textpage()
    for thing in page.get_objects(filter=(raw.FPDF_PAGEOBJ_TEXT,), max_depth=1):
        size = ctypes.c_float()
        raw.FPDFTextObj_GetFontSize(thing, size)
        text = _words(raw, thing, textpage)
        left, bottom, right, top = _place(thing)
        matrix = thing.get_matrix()
        scale = (matrix.b**2 + matrix.d**2) ** 0.5
        if text.strip() and right > left and top > bottom and abs(matrix.b) < 0.01 * max(abs(matrix.a), 1e-6):
            found.append(Line(left, matrix.f, right, top, size.value * scale or top - bottom, text, [thing]))
    textpage.close()
    return joined(found)


def _words(raw, thing, textpage) -> str:
    size = raw.FPDFTextObj_GetText(thing, textpage, None, 0)
    buffer = ctypes.create_string_buffer(max(size, 2))
    raw.FPDFTextObj_GetText(thing, textpage, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    text = buffer.raw[: max(0, size - 2)].decode("utf-16-le", "replace").replace("\x02", "-")  # at a line's end
    return "".join(sign for sign in text if sign.isprintable() or sign.isspace())


def _place(thing) -> tuple[float, float, float, float]:
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
        for block in reversed(found):
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


# ---- writing ----


def rewritten(data: bytes, blocks: list[Block], segments: list[Segment], written: list[Parts]) -> bytes:
    """The file with these paragraphs; the file itself where none changed."""
    changed = [(block, text_of(parts)) for block, segment, parts in zip(blocks, segments, written, strict=True)
               if parts != segment.parts]  # fmt: skip
    if not changed:
        return data
    pdfium = library()
    pdf, again = opened(pdfium, data), {}
    font = Font(pdfium, pdf, "".join(text for _, text in changed))
    try:
        for number in sorted({block.page for block, _ in changed}):
            page = page_of(pdfium, pdf, number)
            here = {round_place(lines): lines for lines in paragraphs(lines_of(pdfium, page))}
            again = [(here[round_place(block.lines)], text) for block, text in changed if block.page == number]
            for lines, text in again:
                for thing in (thing for line in lines for thing in line.objects):
                    page.remove_obj(thing)
                lay(page, font, lines, text)
            page.gen_content()
            page.close()
        return saved(pdf)
    finally:
        pdf.close()


def round_place(lines: list[Line]) -> tuple:
    """By what a paragraph is found again."""
    return tuple((round(line.left, 1), round(line.bottom, 1), line.text) for line in lines)


def saved(pdf) -> bytes:
    """The bytes of a document."""
    import io

    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def lay(page, font: "Font", lines: list[Line], text: str) -> None:
    """Write a text into the place of these lines, in the largest size in which it fits."""
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    size, first = lines[0].size, lines[0].bottom
    room = (first - lines[-1].bottom) / size + 1.4 if len(lines) > 1 else 1.4
    width = max(right - left, 4 * size)
    best = size
    while True:
        rows = broken(text, font, best, width)
        if (len(rows) - 1) * LEADING * best / size + 1 <= room or best <= SMALLEST * size:
            break
        best *= 0.95
    for number, row in enumerate(rows):
        font.write(page, row, best, left, first - number * LEADING * best)


def broken(text: str, font: "Font", size: float, width: float) -> list[str]:
    """Rows that are no wider than `width`: between words, or between Chinese signs."""
    rows, row = [], ""
    for word in _words_of(text):
        if row and font.width(row + word.rstrip(), size) > width:
            rows.append(row.rstrip())
            row = word.lstrip()
        else:
            row += word
    return [*rows, row.rstrip()] if row.strip() else rows or [""]


def _words_of(text: str) -> list[str]:
    found = [""]
    for sign in text:
        if sign > "\u2e7f" or found[-1][-1:] > "\u2e7f" or found[-1][-1:].isspace() and not sign.isspace():
            found.append("")
        found[-1] += sign
    return [word for word in found if word]


class Font:
    """A font of a document that has every sign of some text: a standard one, or one of this machine, embedded."""

    def __init__(self, pdfium, pdf, text: str):
        self.raw, self.pdf, self.widths = pdfium.raw, pdf, {}
        try:
            text.encode("cp1252")
            self.font = self.raw.FPDFText_LoadStandardFont(pdf, b"Helvetica")
        except UnicodeEncodeError:
            path = fitting(text)
            data = path.read_bytes()
            self.data = (ctypes.c_ubyte * len(data)).from_buffer_copy(data)
            self.font = self.raw.FPDFText_LoadFont(pdf, self.data, len(data), self.raw.FPDF_FONT_TRUETYPE, True)
            if not self.font:
                raise ServiceError(f"{path}: the font cannot be embedded; name another one in UPWELL_FONT, or "
                                   "translate a DOCX or HTML file instead") from None  # fmt: skip

    def made(self, text: str, size: float):
        """A text object."""
        thing = self.raw.FPDFPageObj_CreateTextObj(self.pdf, self.font, size)
        wide = (text + "\0").encode("utf-16-le")
        buffer = ctypes.create_string_buffer(wide, len(wide))
        self.raw.FPDFText_SetText(thing, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)))
        return thing

    def width(self, text: str, size: float) -> float:
        """Points that a text takes; signs are measured once."""
        return size * sum(self._sign(sign) for sign in text)

    def _sign(self, sign: str) -> float:
        if sign not in self.widths:
            twice, once = (self._bounds(f"|{sign * count}|") for count in (2, 1))
            self.widths[sign] = max(twice - once, 0.0) / 100
        return self.widths[sign]

    def _bounds(self, text: str) -> float:
        thing = self.made(text, 100.0)
        left, bottom, right, top = (ctypes.c_float() for _ in range(4))
        self.raw.FPDFPageObj_GetBounds(thing, left, bottom, right, top)
        self.raw.FPDFPageObj_Destroy(thing)
        return right.value - left.value

    def write(self, page, text: str, size: float, x: float, y: float) -> None:
        """Put a row onto a page."""
        if text:
            thing = self.made(text, size)
            self.raw.FPDFPageObj_Transform(thing, 1, 0, 0, 1, x, y)
            self.raw.FPDFPage_InsertObject(page, thing)


def fitting(text: str) -> Path:
    """A font file with every sign of the text. ServiceError, with what helps, where none is found."""
    signs = {ord(sign) for sign in text if sign.isprintable() and not sign.isspace()}
    own = os.environ.get("UPWELL_FONT")
    for path in [Path(own)] if own else candidates():
        if signs <= coverage(path):
            return path
    raise ServiceError("no font with the signs of this language was found here; name a TrueType file in UPWELL_FONT, "
                       "or translate a DOCX or HTML file instead")  # fmt: skip


@cache
def candidates() -> list[Path]:
    """TrueType files of this machine, the likeliest ones first."""
    found = [path for folder in FONTS for path in sorted(Path(folder).expanduser().rglob("*.ttf"))]

    def rank(path: Path) -> int:
        name = path.stem.lower().replace("-", "").replace("_", "")
        return next((number for number, likely in enumerate(LIKELY) if name.startswith(likely)), len(LIKELY))

    return sorted(found, key=rank)


@cache
def coverage(path: Path) -> frozenset[int]:
    """The signs that a font file has; none of a file that is no font."""
    try:
        from fontTools.ttLib import TTFont, TTLibError
    except ImportError:
        raise ServiceError("fonts for PDF need the package fonttools: pip install 'upwell[formats]'") from None
    try:
        with TTFont(path, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError, AssertionError, KeyError, ValueError):
        return frozenset()
