"""Fonts of this machine for PDF: the likeliest one, its signs alone, collections and outlines of PostScript."""

import io
from pathlib import Path

import pytest

from upwell.errors import ServiceError
from upwell.translation.formats import _fonts

ttLib = pytest.importorskip("fontTools.ttLib")
builder = pytest.importorskip("fontTools.fontBuilder")
SIGNS = {ord(sign): f"g{ord(sign)}" for sign in "ab 文件"}


def font(path: Path, name: str = "Small", outlines: str = "glyf") -> Path:
    """A font of five signs that are boxes."""
    made = builder.FontBuilder(1000, isTTF=outlines == "glyf")
    order = [".notdef", *SIGNS.values()]
    made.setupGlyphOrder(order)
    made.setupCharacterMap(SIGNS)
    made.setupHorizontalMetrics(dict.fromkeys(order, (600, 50)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": name, "styleName": "Regular", "fullName": name})
    if outlines == "glyf":
        from fontTools.pens.ttGlyphPen import TTGlyphPen

        made.setupGlyf({one: boxed(TTGlyphPen(None)).glyph() for one in order})
    else:
        from fontTools.pens.t2CharStringPen import T2CharStringPen

        made.setupCFF(name, {}, {one: boxed(T2CharStringPen(600, None)).getCharString() for one in order}, {})
    made.setupOS2()
    made.setupPost()
    made.save(path)
    return path


def boxed(pen):
    """A box with one round side."""
    pen.moveTo((50, 0))
    pen.lineTo((500, 0))
    if hasattr(pen, "qCurveTo") and "TTGlyph" in type(pen).__name__:
        pen.qCurveTo((600, 300), (500, 600))
    else:
        pen.curveTo((580, 200), (580, 400), (500, 600))
    pen.lineTo((50, 600))
    pen.closePath()
    return pen


def read(data: bytes):
    return ttLib.TTFont(io.BytesIO(data))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(_fonts, "FOLDERS", (str(tmp_path),))
    monkeypatch.delenv("UPWELL_FONT", raising=False)
    _fonts.candidates.cache_clear()
    yield tmp_path
    _fonts.candidates.cache_clear()


@pytest.mark.parametrize("kind", ["glyf", "CFF "])
def test_a_font_becomes_truetype_with_the_signs_of_the_text_alone(folder, kind):
    font(folder / "one.otf", outlines=kind)
    found = read(_fonts.fitting("文a"))
    assert set(found.getBestCmap()) == {ord(sign) for sign in "文a "} and "CFF " not in found
    from fontTools.pens.boundsPen import BoundsPen

    shapes = found.getGlyphSet()
    pen = BoundsPen(shapes)
    shapes[found.getBestCmap()[ord("文")]].draw(pen)
    left, bottom, right, top = pen.bounds
    assert (left, bottom, top) == (50, 0, 600) and abs(right - 555) < 10
    assert found["hmtx"][found.getBestCmap()[ord("a")]] == (600, 50)


def test_of_a_collection_the_one_for_simplified_chinese_is_taken(folder):
    fonts = ttLib.TTCollection()
    fonts.fonts = [ttLib.TTFont(font(folder / f"{name}.ttf", f"Han {name}")) for name in ("JP", "SC", "Mono SC")]
    for one in fonts.fonts:
        Path(one.reader.file.name).unlink()
    fonts.save(folder / "all.ttc")
    assert "Han SC" in str(read(_fonts.fitting("文"))["name"].getDebugName(4))
    assert "Han JP" in str(read(_fonts.fitting("a"))["name"].getDebugName(4))


def test_plain_styles_and_likely_names_come_first(folder):
    for name in ("LiberationSans-Bold", "Zzz", "LiberationSans-Regular", "WQYMicroHei"):
        font(folder / f"{name}.ttf", name)
    assert [path.stem for path in _fonts.candidates(False)] == [
        "LiberationSans-Regular", "LiberationSans-Bold", "WQYMicroHei", "Zzz"]  # fmt: skip
    assert _fonts.candidates(True)[0].stem == "WQYMicroHei"


def test_without_a_font_that_has_the_signs_it_is_said_what_helps(folder, monkeypatch):
    (folder / "broken.ttf").write_bytes(b"no font")
    with pytest.raises(ServiceError, match="UPWELL_FONT, or translate a DOCX"):
        _fonts.fitting("文")
    monkeypatch.setenv("UPWELL_FONT", str(font(folder / "mine.bin")))
    assert _fonts.fitting("文") and pytest.raises(ServiceError, _fonts.fitting, "页")
