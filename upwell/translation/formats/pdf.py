"""PDF with a text layer: paragraphs are taken off their places and the translation is laid there, in a smaller size
where it is longer. Pictures, lines and what has no words stay.

Lines become paragraphs by their places and sizes, so that two columns are two texts. A paragraph keeps its colour and
whether it is bold; what differs inside of it does not. For signs that the standard fonts lack a font of this machine is
embedded (UPWELL_FONT names one); without one the file is refused with what helps. A PDF without text, or with a
password, is a fault.
"""

from dataclasses import dataclass

from ...errors import ServiceError
from ...text.encodings import Unreadable
from .. import Opened, Parts, Segment, text_of
from ._pdf_laying import Font, lay, look_of
from ._pdf_lines import Line, lines_of, paragraphs, room_of

SUFFIXES = (".pdf",)
MOST = 5_000  # pages


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


# ---- writing ----


def rewritten(data: bytes, blocks: list[Block], segments: list[Segment], written: list[Parts]) -> bytes:
    """The file with these paragraphs; the file itself where none changed."""
    changed = [(block, text_of(parts)) for block, segment, parts in zip(blocks, segments, written, strict=True)
               if parts != segment.parts]  # fmt: skip
    if not changed:
        return data
    pdfium = library()
    pdf = opened(pdfium, data)
    font = Font(pdfium, pdf, "".join(text for _, text in changed))
    try:
        for number in sorted({block.page for block, _ in changed}):
            page = page_of(pdfium, pdf, number)
            rewrite(pdfium, page, font, [(block, text) for block, text in changed if block.page == number])
            page.close()
        return saved(pdf)
    finally:
        pdf.close()


def rewrite(pdfium, page, font: Font, changed: list[tuple[Block, str]]) -> None:
    """These paragraphs of a page, which are found again by their places."""
    all_lines = lines_of(pdfium, page)
    here = {round_place(lines): lines for lines in paragraphs(all_lines)}
    for block, text in changed:
        lines = here[round_place(block.lines)]
        look, others = look_of(pdfium.raw, lines), [one for one in all_lines if one not in lines]
        for thing in (thing for line in lines for thing in (*line.objects, *line.more)):
            page.remove_obj(thing)
        lay(page, font, lines, text, look, room_of(lines, others, page.get_width()))
    page.gen_content()


def round_place(lines: list[Line]) -> tuple:
    """By what a paragraph is found again."""
    return tuple((round(line.left, 1), round(line.bottom, 1), line.text) for line in lines)


def saved(pdf) -> bytes:
    """The bytes of a document."""
    import io

    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()
