"""Unicode repair: mojibake is read again as what it was, then the text is cleaned and brought to one form.

Mojibake is text whose bytes were once read in the wrong encoding. Three kinds are told apart by signs that healthy
text does not show; only where a sign stands is anything tried, and only what then reads well is changed:

    UTF-8 read as a Western or Cyrillic code page     Ã© for é, â€™ for ’, РџСЂРё for При; ftfy judges, line by line
    UTF-8 read as GBK or Shift-JIS                    浣犲ソ for 你好, 縺薙ｓ for こん, don鈥檛 for don’t
    GBK read as Latin-1                               ÄãºÃ for 你好

Code keeps its characters as they are but for what `clean` takes away: a program may speak of mojibake on purpose.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from upwell.text import Document, rewritten
from upwell.text.clean import SPACES, UNUSUAL, beyond_ascii, clean
from upwell.text.signatures import codes

REPAIRED, CLEANED, FOLDED = "mojibake repaired", "cleaned", "compatibility forms folded"
FORMS = ("NFC", "NFKC")

# The 120 or so most frequent characters of modern Chinese, simplified and traditional, and signs: running text has
# a third or more of them, a chance reading nearly none.
USUAL = frozenset(
    "的一是不了在人有我他这这個个们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于着下自之年过過"
    "发發后後作里裡用道行所然家种種事成方多经經么麼去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣理心"
    "她本前开開但因只从從想实實，。、：；！？“”‘’（）《》—…·–"
)
PAGES = ("cp1252", "cp1250", "cp1251", "mac_roman", "cp437")
SHIFT_JIS = "縺繧繝"  # the first two bytes of all kana
LOST = "\ufffd"
MOST_LOST = 0.1  # of the characters that were read again; beyond this a text is not worth the repair
FEWEST = 3  # characters that were read again, in all of a text


@dataclass(frozen=True)
class Settings:
    """What is repaired, and the form of Unicode that texts are brought to."""

    mojibake: bool = True
    """Read text again that was once read in the wrong encoding."""
    form: str = "NFC"
    """NFC keeps every character; NFKC also folds compatibility forms (ﬁ to fi, ２ to 2, ² to 2), never in code."""

    def __post_init__(self):
        if self.form not in FORMS:
            raise ValueError(f"form is {self.form!r}; expected one of {', '.join(FORMS)}")


def step(settings: Settings) -> Callable[[Document], Document]:
    """Document -> the document repaired; changes say "mojibake repaired" (places), "cleaned", and so on."""
    readings = [_utf8_as_gbk(), _utf8_as_shift_jis(), _gbk_as_latin(), _code_pages()] if settings.mojibake else []

    def repair(text: str) -> tuple[str, dict[str, int]]:
        if not text:
            return text, {}
        read, places, rest = text, 0, beyond_ascii(text) if readings else ""
        for suspects, reading in readings if rest else ():
            if suspects(rest):
                read, found = reading(read)
                places += found
        cleaned = clean(read)
        folded = clean(unicodedata.normalize("NFKC", cleaned)) if settings.form == "NFKC" else cleaned
        counts = {REPAIRED: places, CLEANED: int(cleaned != read.strip("\n")), FOLDED: int(folded != cleaned)}
        return folded, {reason: count for reason, count in counts.items() if count}

    def clean_only(text: str) -> tuple[str, dict[str, int]]:
        cleaned = clean(text)
        return cleaned, {CLEANED: 1} if cleaned != text.strip("\n") else {}

    def repaired(document: Document) -> Document:
        rewrite = clean_only if document.kind == "code" else repair
        return rewritten(document, rewrite)

    return repaired


def suspects(settings: Settings) -> Callable[[Sequence[Document]], list[bool]]:
    """A function that tells of many documents at once which of them `step` may change."""
    table = _marks(settings)

    def asked(documents: Sequence[Document]) -> list[bool]:
        found = _suspected([text for one in documents for text in (one.text, one.title)], table)
        return [bool(asked) or one.fields is not None
                for asked, one in zip(found.reshape(-1, 2).any(axis=1), documents, strict=True)]  # fmt: skip

    return asked


def _suspected(texts: list[str], table: np.ndarray) -> np.ndarray:
    """(texts,) bool: False where nothing would be repaired."""
    joined = "\0".join([*texts, "\0\0"])
    if joined.count("\0") != len(texts) + 2:
        return np.ones(len(texts), bool)  # a NUL in a text, which goes; rare enough
    signs = codes(joined)
    marks = table.take(signs, mode="clip")
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1) - 1
    together = (marks[:-1] << 1) & marks[1:] & (END | FOLLOW) | marks[:-1] & ODD
    breaks, high = np.flatnonzero(signs == 10), np.flatnonzero(marks & HIGH != 0)
    places = [np.flatnonzero(together != 0), _rows(breaks, 4), _rows(high, 4)]
    places += [breaks[(signs[breaks - 1] == 0) | (signs[breaks + 1] == 0)]]
    pairs = np.flatnonzero(marks & PAIR != 0)
    pairs = pairs[(marks[pairs + 3] & PAIR != 0) & (signs[pairs + 1] > 127) & (signs[pairs + 2] > 127)]
    rare = np.flatnonzero(marks & RARE != 0)
    rare = rare[np.isin(signs[rare + 1], [ord(sign) for sign in "ЂÄÇ"])]
    found = np.zeros(len(texts) + 3, bool)
    found[np.searchsorted(ends, np.concatenate([*places, pairs, rare]))] = True
    return found[: len(texts)]


def _rows(places: np.ndarray, count: int) -> np.ndarray:
    """Where so many places in a row stand side by side."""
    return places[: 1 - count][places[count - 1 :] - places[: 1 - count] == count - 1]


ODD, SPACE, END, LEAD, FOLLOW, PAIR, HIGH, RARE = (1 << bit for bit in range(8))
"""Marks of characters: something to take away; a space; a line end; what may begin and continue a character of UTF-8 in
a code page; half a character of UTF-8 in GBK; what GBK looks like in Latin-1; a beginning that words have as well."""


def _marks(settings: Settings) -> np.ndarray:
    """(65,537,) uint8: the marks of each code point of the first plane, the last for all beyond it."""
    marks, plane = np.zeros(0x10001, np.uint8), "".join(map(chr, range(0x10000)))

    def mark(signs: Iterable[str], value: int) -> None:
        marks[[ord(sign) for sign in signs]] |= value

    mark((sign[0] for sign in UNUSUAL.finditer(plane, 0x80)), ODD)
    mark(plane[1:9] + plane[11:32] + "\x7f", ODD)
    mark(SPACES, SPACE)
    mark("\n\0", END)
    marks[0x10000] = ODD  # emoji and rare characters are seldom enough
    if settings.form == "NFKC":
        marks[0x80:] |= ODD
    if settings.mojibake:
        sure, halves = _gbk_halves()
        mark(sure + SHIFT_JIS, ODD)
        mark(halves, PAIR)
        marks[0xA1:0xFF] |= HIGH
        marks[0xC2:0xF5] |= LEAD
        mark("ĂÄĹÂĐŃРСВГ√├┬╨╤", LEAD)
        mark("в‚Γ", RARE)
        marks[0x80:0xC0] |= FOLLOW
        for page in PAGES:
            mark(bytes(range(0x80, 0xC0)).decode(page, errors="ignore"), FOLLOW)
    return marks


Reading = tuple[Callable[[str], object], Callable[[str], tuple[str, int]]]
"""A cheap look at the characters beyond ASCII, true for all mojibake of a kind and for little else; and
a text -> the text read again where that makes sense, and in how many places."""


# ---- UTF-8 that was read as one of many pages of 256 characters ----


def _code_pages() -> Reading:
    """By ftfy, whose judgement of what is mojibake rests on years of examples; only for lines with a sign."""
    signs = _code_page_signs()

    def read(text: str) -> tuple[str, int]:
        if not signs.search(text):
            return text, 0
        import ftfy

        lines = text.split("\n")
        again = [ftfy.fix_encoding(line) if signs.search(line) else line for line in lines]
        return "\n".join(again), sum(new != old for new, old in zip(again, lines, strict=True))

    return signs.search, read


def _code_page_signs() -> re.Pattern[str]:
    """A first byte of a UTF-8 character and one that continues it, as they look in each code page."""
    follow = {page: _class(bytes(range(0x80, 0xC0)), page) for page in PAGES}
    # one class first, so that the search runs over healthy text at full speed; then what must follow which
    return re.compile(
        "[\x80-\x84\x86-\x9f\xc2-\xf4ĂĹĐŃ√├┬╨╤РСВГв‚Γ](?:"
        "(?<=[\x80-\x9f])"
        f"|(?<=[\xc2-\xf4])[\x80-\xbf{follow['cp1252']}]"
        f"|(?<=[ĂÄĹÂĐŃ])[{follow['cp1250']}]"
        f"|(?<=[РСВГ])[{follow['cp1251']}]"
        f"|(?<=√)[{follow['mac_roman']}]|(?<=[├┬╨╤])[{follow['cp437']}]"
        "|(?<=в)Ђ|(?<=‚)Ä|(?<=Γ)Ç"
        ")"
    )


def _class(values: bytes, page: str) -> str:
    return re.escape(values.decode(page, errors="ignore"))


# ---- UTF-8 that was read as GBK or Shift-JIS: bytes in pairs ----


def _utf8_as_gbk() -> Reading:
    # of punctuation one suffices (no text has 锛 by itself), of letters two, one and a half characters apart
    sure, pairs = _gbk_halves()
    signs = re.compile(f"[{sure}{pairs}](?:(?<=[{sure}])|[^\x00-\x7f]{{2}}[{pairs}])")
    return signs.search, lambda text: _pairs_read_again(text, signs, "gb18030")


def _gbk_halves() -> tuple[str, str]:
    """What the first two bytes of punctuation look like, and those of letters."""
    first = [bytes([lead, second]) for lead in range(0xE4, 0xEA) for second in range(0x80, 0xC0)]
    return "鈥銆锛", b"".join(first).decode("gbk")


def _utf8_as_shift_jis() -> Reading:
    signs = re.compile(f"[{SHIFT_JIS}]")
    return signs.search, lambda text: _pairs_read_again(text, signs, "cp932")


RUNS = re.compile("[^\x00-\x7f]+")


def _pairs_read_again(text: str, signs: re.Pattern[str], page: str) -> tuple[str, int]:
    if not signs.search(text):
        return text, 0
    found = []

    def again(match: re.Match[str]) -> str:
        read = _run_read_again(match[0], page)
        found.extend([] if read is None else [read])
        return match[0] if read is None else read

    result = RUNS.sub(again, text)
    return (result, len(found)) if _reads_well("".join(found)) else (text, 0)


def _run_read_again(run: str, page: str) -> str | None:
    """The run as the UTF-8 that it was; lost bytes leave U+FFFD. None where it is none."""
    body = run.rstrip(LOST)
    try:
        parts = [part.encode(page) for part in re.split(f"[€{LOST}]", body)]
    except UnicodeEncodeError:
        return None
    data, signs = parts[0], re.findall(f"[€{LOST}]", body)
    for sign, part in zip(signs, parts[1:], strict=True):
        data += (b"\x80" if sign == "€" else b"\xff") + part  # 0x80 begins no pair; many programs show it as €
    read = data.decode("utf-8", errors="replace") + LOST * (body != run)
    read = re.sub(f"{LOST}+", LOST, read)
    usual = all(char.isascii() or char == LOST or _from_three_bytes(char) for char in read)
    return read if usual and 1 + read.count(LOST) * 2 <= len(read) else None


def _from_three_bytes(char: str) -> bool:
    """Whether it is of the kind that Chinese and Japanese texts are made of."""
    return "\u2010" <= char <= "\u2027" or "\u3000" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef"


def _reads_well(text: str) -> bool:
    letters = [char for char in text if not char.isascii() and char != LOST]
    if len(letters) < FEWEST or text.count(LOST) > MOST_LOST * len(letters):
        return False
    return sum(char in USUAL or "\u3041" <= char <= "\u30fe" for char in letters) >= 0.2 * len(letters)


# ---- GBK that was read as Latin-1 ----


def _gbk_as_latin() -> Reading:
    runs = re.compile("[\xa1-\xfe]{4,}")
    signs = [sign.encode("gb2312").decode("latin-1") for sign in "，。的了是"]  # one of them is in any Chinese text

    def read(text: str) -> tuple[str, int]:
        found = []

        def again(match: re.Match[str]) -> str:
            try:
                found.append(match[0].encode("latin-1").decode("gb2312"))
            except UnicodeDecodeError:
                return match[0]
            return found[-1]

        result = runs.sub(again, text)
        return (result, len(found)) if _reads_well("".join(found)) else (text, 0)

    return lambda rest: any(sign in rest for sign in signs), read
