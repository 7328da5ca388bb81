"""B8: what parses files of others is a child with limits; whatever it meets, it costs that file alone."""

import os
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.translation.fake import docx, epub, paragraph, run, zipped
from tests.translation.test_formats import FILES
from tests.translation.test_pdf import PAGE
from upwell.errors import DataError, ServiceError
from upwell.text.confined import Parsers
from upwell.text.encodings import Unreadable
from upwell.translation import apart
from upwell.translation.documents import opened
from upwell.translation.formats import html

ODD = """
import os, time
def parse(data, name, options):
    what = data.decode()
    if what == "hangs": time.sleep(60)
    if what == "crashes": os.abort()
    if what == "fills the memory": bytearray(1 << 40)
    if what == "calls":
        import socket; socket.create_connection(("127.0.0.1", 9))
    if what == "starts":
        import subprocess; subprocess.run(["true"])
    if what == "lacks":
        from upwell.errors import ServiceError; raise ServiceError("no font was found")
    if "written" in options:
        yield what.upper().encode()
    else:
        yield [(["x", ["open", 1, "<b>"], what, ["close", 1, "</b>"]], "here", None)]
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Files of the kind odd, which a parser of this test reads."""
    (tmp_path / "odd_parser.py").write_text(ODD, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(apart, "PARSERS", Parsers("odd_parser", "divide the file", "take a smaller one"))
    limits = apart.Limits(1_000_000_000, 1.0)
    yield lambda what: apart.opened(what.encode(), "odd", "a.odd", limits)
    for child in apart._idle(os.getpid(), limits):
        child.close()
    apart._idle.cache_clear()


@pytest.mark.parametrize("what, said", [
    ("hangs", "longer than 1 seconds; divide the file"), ("crashes", "the parser of odd crashed"),
    ("fills the memory", "needs more memory than it may have, expected a smaller file; take a smaller one"),
    ("calls", "a parser tried socket"), ("starts", "a parser tried subprocess"),
])  # fmt: skip
def test_B8_a_parser_that_goes_wrong_costs_one_file(odd, what, said):
    with pytest.raises(Unreadable, match=said):
        odd(what)
    assert odd("fine").segments[0].text == "xfine"


def test_what_is_missing_is_said_as_such(odd):
    with pytest.raises(ServiceError, match="no font was found"):
        odd("lacks")


def test_segments_and_bytes_cross_the_pipe(odd):
    whole = odd("Füße 文")
    assert whole.segments[0].parts[1].raw == "<b>" and whole.segments[0].place == "here"
    assert whole.write([one.parts for one in whole.segments]) == "FÜSSE 文".encode()


def test_files_are_parsed_in_another_process(monkeypatch):
    monkeypatch.setattr(html, "read", None)
    whole = opened(b"<p>One <b>river</b></p>", Path("a.html"))
    assert whole.segments[0].text == "One river" and whole.write([("Two",)]) == b"<p>Two</p>"


def test_threads_have_a_child_each_and_leave_it_to_the_next():
    def read(number: int) -> str:
        return opened(b"<p>River %d</p>" % number, Path("a.html")).segments[0].text

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(40))) == [f"River {number}" for number in range(40)]
    assert 1 <= len(apart._idle(os.getpid(), apart.LIMITS)) <= 5


def tree(kids: str, more: str = "") -> bytes:
    """A PDF whose pages are these."""
    return (f"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Count 3/Kids[{kids}]>>"
            f"\nendobj\n{more}trailer\n<</Root 1 0 R/Size 9>>\n").encode()  # fmt: skip


FORM = ("3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 5 0 R/Resources<</XObject<</X 4 0 R>>>>>>"
        "\nendobj\n4 0 obj\n<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 4 0 R>>>>/Length 5>>\n"
        "stream\n/X Do\nendstream\nendobj\n5 0 obj\n<</Length 5>>\nstream\n/X Do\nendstream\nendobj\n")  # fmt: skip


def packed() -> bytes:
    """A page whose content unpacks to a hundred megabytes."""
    bomb = zlib.compress(b" " * 100_000_000, 9)
    page = b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R>>\nendobj\n"
    head = b"4 0 obj\n<</Length %d/Filter/FlateDecode>>\nstream\n" % len(bomb)
    stream = page + head + bomb + b"\nendstream\nendobj\n"
    return tree("3 0 R").replace(b"trailer", stream + b"trailer")


HOSTILE = {
    "pages within themselves.pdf": lambda: tree("2 0 R 2 0 R 2 0 R"),
    "a form within itself.pdf": lambda: tree("3 0 R", FORM),
    "a stream that unpacks.pdf": packed,
    "a zip bomb.docx": lambda: zipped({"word/document.xml": b"<a>" + b" " * 100_000_000 + b"</a>"}),
    "a bomb beside the text.docx": lambda: zipped({"word/document.xml": "<a/>", "word/a.png": bytes(100_000_000)}),
    "a bomb.epub": lambda: zipped({"META-INF/container.xml": "<a/>", "c.xhtml": b"<p>" + b"x " * 50_000_000}),
    "deep.docx": lambda: zipped({"word/document.xml": "<w:p>" * 100_000 + "</w:p>" * 100_000}),
    "deep.html": lambda: b"<b>x " * 100_000,
    "entities.docx": lambda: zipped({"word/document.xml": '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;">]><a>&d;</a>'}),
    "a file from elsewhere.epub": lambda: zipped({"META-INF/container.xml": "<a/>", "c.opf": '<!DOCTYPE a [<!ENTITY b '
                                                  'SYSTEM "file:///etc/passwd">]><a>&b;</a>'}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_B8_hostile_files_are_refused_in_a_sentence(name):
    with pytest.raises(DataError) as raised:
        opened(HOSTILE[name](), Path(name))
    assert str(raised.value).startswith(name) and "\n" not in str(raised.value)


@pytest.mark.slow
def test_B8_five_thousand_spoilt_files_are_read_or_refused():
    """Bytes that are gone, doubled, moved or others; inside of archives, too. No child dies of any."""
    chance, read, refused = random.Random(7), 0, []
    inner = {"words.docx": "word/document.xml", "book.epub": "c0.xhtml"}
    sound = FILES | {"page.pdf": PAGE, "words.docx": docx(paragraph(run("One "), run("two", "<w:b/>"))),
                     "book.epub": epub("<h1>One</h1><p>It <em>was</em> night.</p>")}  # fmt: skip
    for number in range(5000):
        name = chance.choice(list(sound))
        data = spoilt(sound[name], chance)
        if name in inner and chance.random() < 0.5:
            data = inside_spoilt(sound[name], inner[name], chance)
        try:
            whole = opened(data, Path(name))
            whole.write([("X",) for _ in whole.segments])
            read += 1
        except DataError as error:
            refused.append(f"{number} {error}")
    assert read > 500 and len(refused) > 500
    assert not [one for one in refused if "crashed" in one or "took longer" in one]


def spoilt(data: bytes, chance: random.Random) -> bytes:
    """A file with one to eight faults."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at, size = chance.randrange(max(1, len(found))), chance.randint(1, 40)
        way = chance.randrange(4)
        if way == 0:
            found[at : at + 1] = bytes([chance.randrange(256)])
        elif way == 1:
            del found[at : at + size]
        elif way == 2:
            found[at:at] = found[at : at + size]
        else:
            found[at : at + size] = chance.choice([b"\0" * size, b"<" * size, b"\xff" * size, b"99999999999999999999"])
    return bytes(found)


def inside_spoilt(data: bytes, part: str, chance: random.Random) -> bytes:
    """An archive one of whose entries has faults."""
    from tests.translation.test_formats import inside

    parts = inside(data)
    return zipped(parts | {part: spoilt(parts[part], chance)})
