"""A font of this machine with every sign of a text, as TrueType with these signs alone: `fitting(text)`.

UPWELL_FONT names a file; else the folders of the systems are searched, the likeliest names first. Collections (.ttc)
and outlines of PostScript (.otf) become TrueType. Knows no format of documents.
"""

import io
import os
from functools import cache
from pathlib import Path

from ...errors import ServiceError
from ..sentences import HAN, KANA

FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/Library/Fonts",
           "/System/Library/Fonts", "C:/Windows/Fonts")  # fmt: skip
KINDS = (".ttf", ".ttc", ".otf", ".otc")
EASTERN = ("notosanscjk", "sourcehansans", "wqymicrohei", "wqyzenhei", "droidsansfallback", "notoserifcjk", "uming",
           "ukai", "simsun", "simhei", "msyh", "pingfang", "unifont")  # fmt: skip
WESTERN = ("liberationsans", "arial", "dejavusans", "freesans", "notosans")
STYLES = ("bold", "black", "heavy", "medium", "light", "thin", "italic", "oblique", "condensed", "narrow", "mono",
          "serif")  # fmt: skip
LAYOUT = ("GSUB", "GPOS", "GDEF", "BASE", "VORG", "vhea", "vmtx", "DSIG", "kern", "hdmx", "VDMX", "LTSH")


def fitting(text: str) -> bytes:
    """A TrueType font with the signs of the text. ServiceError, with what helps, where none is found."""
    signs = {ord(sign) for sign in text if sign.isprintable() and not sign.isspace()}
    own = os.environ.get("UPWELL_FONT")
    eastern = any(sign > 0x2E7F for sign in signs)
    for path in [Path(own)] if own else candidates(eastern):
        if signs <= coverage(path):
            return embeddable(path, text)
    raise ServiceError("no font with the signs of this language was found here; name a font file in UPWELL_FONT, or "
                       "translate a DOCX or HTML file instead")  # fmt: skip


@cache
def candidates(eastern: bool) -> list[Path]:
    """Font files of this machine, the likeliest ones first. eastern: for Chinese and its neighbours."""
    likely = (*EASTERN, *WESTERN) if eastern else (*WESTERN, *EASTERN)
    found = [path for folder in FOLDERS for path in sorted(Path(folder).expanduser().rglob("*"))
             if path.suffix.lower() in KINDS]  # fmt: skip

    def rank(path: Path) -> tuple[int, int]:
        name = path.stem.lower().replace("-", "").replace("_", "")
        place = next((number for number, one in enumerate(likely) if name.startswith(one)), len(likely))
        return place, sum(style in name for style in STYLES)

    return sorted(found, key=rank)


@cache
def coverage(path: Path) -> frozenset[int]:
    """The signs that a font file has; none of a file that is no font."""
    from fontTools.ttLib import TTLibError

    try:
        with _opened(path, 0) as font:
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError, AssertionError, KeyError, ValueError):
        return frozenset()


def embeddable(path: Path, text: str) -> bytes:
    """A font file as TrueType with the signs of a text alone."""
    from fontTools import subset

    options = subset.Options()
    options.drop_tables += list(LAYOUT)
    options.notdef_outline, options.layout_features = True, []
    with _opened(path, _face(path, text)) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(text=text + " |")
        cutter.subset(font)
        if "CFF " in font:
            _quadratic(font)
        out = io.BytesIO()
        font.save(out)
    return out.getvalue()


def _opened(path: Path, number: int):
    """A font of a file. ServiceError without fonttools."""
    try:
        from fontTools.ttLib import TTFont
    except ImportError:
        raise ServiceError("fonts for PDF need the package fonttools: pip install 'upwell[formats]'") from None
    return TTFont(path, lazy=True, fontNumber=number)


def _face(path: Path, text: str) -> int:
    """Which font of a collection: the one for simplified Chinese where the text looks like that, else the first."""
    from fontTools.ttLib import TTCollection

    if path.suffix.lower() not in (".ttc", ".otc") or not HAN.search(text) or KANA.search(text):
        return 0
    with TTCollection(path, lazy=True) as fonts:
        names = [str(font["name"].getDebugName(4)) for font in fonts]
    return next((number for number, name in enumerate(names) if " SC" in name and "Mono" not in name), 0)


def _quadratic(font) -> None:
    """Outlines of PostScript as those of TrueType, to a thousandth of a size."""
    from fontTools.pens.cu2quPen import Cu2QuPen
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from fontTools.ttLib import newTable

    shapes, order = font.getGlyphSet(), font.getGlyphOrder()
    error = font["head"].unitsPerEm / 1000
    glyf = newTable("glyf")
    glyf.glyphOrder, glyf.glyphs = order, {}
    for name in order:
        pen = TTGlyphPen(shapes)
        shapes[name].draw(Cu2QuPen(pen, error, reverse_direction=True))
        glyf.glyphs[name] = pen.glyph()
    font["loca"], font["glyf"] = newTable("loca"), glyf
    del font["CFF "]
    for name in order:
        glyf.glyphs[name].recalcBounds(glyf)
        font["hmtx"][name] = (font["hmtx"][name][0], getattr(glyf.glyphs[name], "xMin", 0))
    maxp = font["maxp"]
    maxp.tableVersion, maxp.maxZones = 0x00010000, 1
    for field in ("maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs", "maxStackElements",
                  "maxSizeOfInstructions", "maxComponentElements"):  # fmt: skip
        setattr(maxp, field, 0)
    font["post"].formatType, font.sfntVersion = 3.0, "\0\1\0\0"
