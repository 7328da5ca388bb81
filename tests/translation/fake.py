"""Models whose translations are known in advance, and Word files and books made by hand."""

import io
import re
import zipfile

from upwell.generation.settings import Piece
from upwell.translation.asking import Asking
from upwell.translation.translator import Settings, Translator

WORD = re.compile(r"[^\W\d_]+")


class Fake:
    """A backend that answers with `say(text)`; it keeps what it was asked."""

    name = "fake"

    def __init__(self, say):
        self.say, self.asked = say, []

    def generate(self, prompt, settings):
        self.asked.append(prompt[0])
        yield Piece(self.say(prompt[0]), (1,), (-0.1,), finish="stop")

    def close(self):
        pass


def translator(say=str.upper, pairs=(("en", "zh"), ("zh", "en"), ("en", "de")), **settings) -> Translator:
    """One over a fake model; the prompt is the text alone."""
    asking = Asking("fake", lambda text, source, target: [text], frozenset(pairs))
    return Translator(Fake(say), asking, Settings(**settings))


def words_turned(text: str) -> str:
    """Every word backwards, in its place: a translation whose alignment is known."""
    return WORD.sub(lambda word: word.group()[::-1], text)


def forgetful(text: str) -> str:
    """Loses everything that is no word."""
    return " ".join(WORD.findall(text)).upper()


CONTENT_TYPES = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Relationships xmlns="http://schemas.openxmlformats.org/package'
    '/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
    'officeDocument" Target="word/document.xml"/></Relationships>'
)
SPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:v="urn:schemas-microsoft-com:vml"'
)


def part(body: str, root: str = "document") -> str:
    """An XML part of a Word file."""
    inner = f"<w:body>{body}</w:body>" if root == "document" else body
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<w:{root} {SPACES}>{inner}</w:{root}>'


def docx(*body: str, **more: str) -> bytes:
    """A Word file; more: other parts by the names of their roots, such as header="<w:p>..."."""
    names = {"hdr": "header1", "ftr": "footer1", "footnotes": "footnotes", "comments": "comments"}
    parts = {"[Content_Types].xml": CONTENT_TYPES, "_rels/.rels": RELATIONS, "word/document.xml": part("".join(body))}
    parts |= {f"word/{names[root]}.xml": part(inner, root) for root, inner in more.items()}
    return zipped(parts)


def zipped(parts: dict[str, str | bytes]) -> bytes:
    """A zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def run(words: str, formatting: str = "") -> str:
    """A run of a Word file."""
    properties = f"<w:rPr>{formatting}</w:rPr>" if formatting else ""
    return f'<w:r>{properties}<w:t xml:space="preserve">{words}</w:t></w:r>'


def paragraph(*inside: str) -> str:
    """A paragraph of a Word file."""
    return f"<w:p>{''.join(inside)}</w:p>"


def epub(*chapters: str) -> bytes:
    """A book."""
    items = "".join(
        f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:'
        'opendocument:xmlns:container"><rootfiles><rootfile full-path="book.opf" media-type="application/'
        'oebps-package+xml"/></rootfiles></container>',
        "book.opf": '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://'
        'purl.org/dc/elements/1.1/"><dc:title>A short book</dc:title><dc:language>en</dc:language></metadata>'
        f"<manifest>{items}</manifest></package>",
    }
    for n, chapter in enumerate(chapters):
        parts[f"c{n}.xhtml"] = '<?xml version="1.0" encoding="UTF-8"?>\n<html xmlns="http://www.w3.org/1999/xhtml">' \
                               f"<head><title>Chapter {n}</title></head><body>{chapter}</body></html>"  # fmt: skip
    return zipped(parts)
