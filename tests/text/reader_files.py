"""One small file of each format, as bytes, made without the libraries that read them where that is possible."""

import io
import json
import struct
import tarfile
import zipfile

SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank."
CHINESE = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"


def pdf(lines=(SENTENCE,), more=b"", trailer=b""):
    """A PDF of one page with the lines as its text layer."""
    drawn = "BT /F1 12 Tf 72 720 Td 14 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET" if lines else ""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn.encode("latin-1")),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Title (A title) >>",
        *([more] if more else []),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R %s >>\nstartxref\n%d\n%%%%EOF\n"
    return out + head + table + end % (len(objects) + 1, trailer, len(out))


def locked_pdf():
    lock = b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <%s> /U <%s> >>" % (b"41" * 32, b"42" * 32)
    return pdf(more=lock, trailer=b"/Encrypt 7 0 R /ID [<00> <00>]")


def zipped(entries, kind=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name) if isinstance(name, str) else name
            entry.compress_type = kind
            archive.writestr(entry, content)
    return out.getvalue()


def tarred(entries, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in entries.items():
            entry = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = content.encode() if isinstance(content, str) else content
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def docx(paragraphs=("First.", "Second."), head=""):
    body = "".join(f"<w:p><w:pPr/><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    document = f'<?xml version="1.0"?>{head}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    core = '<c:p xmlns:c="x" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Letter</dc:title></c:p>'
    return zipped({"word/document.xml": document, "docProps/core.xml": core})


def epub(chapters=("<p>One &amp; one.</p>", "<p>Two.</p>"), more=None):
    items = "".join(f'<item id="c{n}" href="c{n}.xhtml" media-type="a"/>' for n in range(len(chapters)))
    order = "".join(f'<itemref idref="c{n}"/>' for n in reversed(range(len(chapters))))
    package = f"<package><metadata><title>Book</title></metadata><manifest>{items}</manifest>"
    entries = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="in/book.opf"/></rootfiles></container>',
        "in/book.opf": f"{package}<spine>{order}</spine></package>",
    }
    entries |= {f"in/c{n}.xhtml": f"<html><body>{text}</body></html>" for n, text in enumerate(chapters)}
    return zipped(entries | (more or {}))


def html(charset="utf-8", text=SENTENCE):
    menu = "".join(f"<li><a href='/{n}'>Menu {n}</a></li>" for n in range(20))
    body = "".join(f"<p>{text} Number {n}.</p>" for n in range(8))
    page = (
        f"<!doctype html><html><head><meta charset='{charset}'><title>A  page</title><script>var x;</script></head>"
        "<body>"
        f"<nav><ul>{menu}</ul></nav><main><article><h1>Head</h1>{body}</article></main>"
        "<footer>Imprint <a href='#'>Contact</a></footer></body></html>"
    )
    return page.encode(charset)


PO = r'''# A comment
msgid ""
msgstr ""
"Language: de_AT\n"
"Content-Type: text/plain; charset=UTF-8\n"

#: a.c:1
msgid "Open \"file\"\n"
msgstr "Datei \"öffnen\"\n"

#, fuzzy
msgid "doubtful"
msgstr "zweifelhaft"

msgid "untranslated"
msgstr ""

msgctxt "menu"
msgid "one dog"
msgid_plural "many "
"dogs"
msgstr[0] "ein Hund"
msgstr[1] "viele Hunde"

#~ msgid "obsolete"
#~ msgstr "veraltet"
'''


def mo(pairs=(("", "Language: fr\nContent-Type: text/plain; charset=UTF-8\n"), ("cat", "chat"), ("dog", "chien"))):
    sources = [one.encode() for one, _ in pairs]
    targets = [other.encode() for _, other in pairs]
    tables, strings, place = [], b"", 28 + 16 * len(pairs)
    for texts in (sources, targets):
        for text in texts:
            tables.append(struct.pack("<II", len(text), place + len(strings)))
            strings += text + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + b"".join(tables) + strings


SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> there.

2
00:00:03,000 --> 00:00:04,000
{\\an8}- How are you?
- Fine &amp; well.
"""
VTT = """WEBVTT - a title

NOTE nobody says this

intro
00:01.000 --> 00:02.000 align:start
<v Mary>Hello <c.loud>there</c>.
"""
ASS = """[Script Info]
Title: nobody says this

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\b1}Hello{\\b0}, you\\Nthere.
Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0{\\p0}
"""
TMX = """<?xml version="1.0"?>
<tmx version="1.4"><header srclang="en-US"/><body>
<tu><tuv xml:lang="de"><seg>Guten <bpt i="1">&lt;b></bpt>Tag<ept i="1">&lt;/b></ept></seg></tuv>
<tuv xml:lang="en"><seg>Good day</seg></tuv><tuv xml:lang="zh"><seg>你好</seg></tuv></tu>
</body></tmx>
"""
WIKI = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="de">
<siteinfo><namespaces><namespace key="6">Datei</namespace>
<namespace key="14">Kategorie</namespace></namespaces></siteinfo>
<page><title>Haus</title><ns>0</ns><revision><text>'''Haus''' ist ein [[Gebäude|Bau]].&lt;ref>Quelle&lt;/ref>
{{Vorlage|x=1}}
[[Datei:Haus.jpg|thumb|Ein Bild]]
{| class="wikitable"
| Zelle
|}
== Arten ==
* [[Hütte]]
[[Kategorie:Bauwerk]]</text></revision></page>
<page><title>Umleitung</title><ns>0</ns><redirect title="Haus"/>
<revision><text>#REDIRECT [[Haus]]</text></revision></page>
<page><title>Diskussion:Haus</title><ns>1</ns><revision><text>Geschwätz</text></revision></page>
</mediawiki>
"""


def warc(records=None):
    """Records of (type, content type, content)."""
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html()
    picture = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\x89PNG"
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>gone</p>"
    http = "application/http; msgtype=response"
    records = records or [("warcinfo", "application/warc-fields", b"software: x"), ("response", http, page),
                          ("response", http, picture), ("response", http, gone),
                          ("conversion", "text/plain", SENTENCE.encode())]  # fmt: skip
    out = b""
    for kind, form, content in records:
        out += f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://example.org/\r\n".encode()
        out += f"Content-Type: {form}\r\n".encode()
        out += b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(content), content)
    return out


def parquet(columns=None, groups=1000):
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    table = pyarrow.table(columns or {"text": [SENTENCE, CHINESE], "title": ["A", None], "picture": [b"\0", b"\1"]})
    pyarrow.parquet.write_table(table, out, row_group_size=groups)
    return out.getvalue()


def arrow(columns):
    import pyarrow

    out = io.BytesIO()
    table = pyarrow.table(columns)
    with pyarrow.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def everything():
    """Name -> bytes of a good file of each format that upwell reads."""
    import gzip

    import zstandard

    return {
        "a.txt": (SENTENCE + "\n" + CHINESE).encode(),
        "a.jsonl": "\n".join(json.dumps({"text": SENTENCE, "title": str(n)}) for n in range(5)).encode(),
        "a.json": json.dumps([{"text": SENTENCE}, {"text": CHINESE}]).encode(),
        "a.csv": f'text,title\n"{SENTENCE}",A\n"two\nlines",B\n'.encode(),
        "en-de.tsv": b"Good day, sir.\tGuten Tag, mein Herr.\nNo.\tNein.\n",
        "a.html": html(),
        "a.pdf": pdf(),
        "a.docx": docx(),
        "a.epub": epub(),
        "a.po": PO.encode(),
        "a.mo": mo(),
        "a.srt": SRT.encode(),
        "a.vtt": VTT.encode(),
        "a.ass": ASS.encode(),
        "a.tmx": TMX.encode(),
        "a.xml": WIKI.encode(),
        "a.warc": warc(),
        "a.warc.gz": gzip.compress(warc(), mtime=0),
        "a.parquet": parquet(),
        "a.arrow": arrow({"text": [SENTENCE]}),
        "a.zip": zipped({"in/a.txt": SENTENCE, "b.jsonl": json.dumps({"text": CHINESE})}),
        "a.tar": tarred({"in/a.txt": SENTENCE, "b.txt": CHINESE}),
        "a.csv.zst": zstandard.compress(f"text\n{SENTENCE}\n".encode()),
        "a.tar.gz": gzip.compress(tarred({"a.txt": SENTENCE}), mtime=0),
    }
