"""Personal data in a text: found(text, kinds, code) -> spans, in order, none over another.

Cheap tests come first: is there an @, are there seven digits close together, does a digit follow a capital letter.
Most prose has none of these, and costs a few passes that look for one sign each; the digits are found by numpy.
"""

import re
from bisect import bisect
from collections.abc import Iterator, Sequence

import numpy as np

from ..signatures import codes
from . import Span
from .contacts import credentials, emails, ipv4, ipv6
from .identities import LETTERED, NUMBERS, Form
from .numbers import CARDS, ibans
from .phones import OTHER_NUMBER, phones

KINDS = ("email", "url", "ip", "phone", "card", "iban", "id")
NAMES = {
    "email": "e-mail", "url": "URL credentials", "ip": "IP address", "phone": "phone", "card": "card", "iban": "IBAN",
}  # fmt: skip
ORDER = ("text", "url", "email", "iban", "id", "card", "ip", "phone")
REACH, REACH_BEHIND = 64, 24  # characters: how near a word must stand
LEAST, GAP = 7, 3  # digits of a row, signs between two of them
BEHIND, AHEAD = 12, 64  # characters: what may stand of a lettered id before its first digits, and after them
ROW = re.compile(r"[0-9](?:[ \xa0\u2009\u202f\-\u2010\u2011\u2013.()/]{0,3}[0-9]){6,}+")
BETWEEN = np.array([ord(sign) for sign in " \xa0\u2009\u202f-\u2010\u2011\u2013.()/"])
YEARS = re.compile(r"(?:1[0-9]|2[01])[0-9]{2}(?:[ \-\u2013/,().]{1,3}(?:1[0-9]|2[01])[0-9]{2})+")
NARROW = str.maketrans("０１２３４５６７８９＋－（）", "0123456789+-()")


def found(text: str, kinds: Sequence[str] = KINDS, code: bool = False) -> list[Span]:
    """Personal data of these kinds in the text, in order of place; code: a bare row of digits is no evidence there."""
    signs = codes(text)
    if signs.itemsize > 1 and (signs - 0xFF10 < 10).any():  # the wide digits of East Asian typewriting
        original, text = text, text.translate(NARROW)
        return [span._replace(value=original[span.start : span.stop]) for span in found(text, kinds, code)]
    digits = np.flatnonzero(signs - signs.dtype.type(48) < 10)
    spans = []
    if "@" in text:
        spans += simple("email", emails(text), text) if "email" in kinds else []
        spans += simple("url", credentials(text), text) if "url" in kinds and "://" in text else []
    if "ip" in kinds and len(digits) > 2:
        spans += simple("ip", ipv4(text), text) + simple("ip", ipv6(text), text)
    if len(digits) >= LEAST:
        spans += in_rows(text, digits, kinds, code)
    for start, stop in after_capitals(text, signs, digits) if len(digits) > 1 else ():
        spans += simple("iban", ibans(text, start, stop), text) if "iban" in kinds else []
        spans += [span for row in LETTERED if "id" in kinds for span in by_form(row, text, start, stop, code)]
    return settled(spans) if len(spans) > 1 else spans


def suspects(texts: Sequence[str]) -> np.ndarray:
    """(texts,) bool: False where `found` would find nothing, told for all texts together by a few passes of numpy."""
    signs = codes("\0\0\0\0".join(["", *texts, ""]))
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 4)
    digits = np.flatnonzero(signs - signs.dtype.type(48) < 10)
    before, further, after = signs[digits - 1], signs[digits - 2], signs[digits + 1]
    capital = signs.dtype.type(65)
    lettered = (before - capital < 26) | ((before == 32) | (before == 45)) & (further - capital < 26)
    lettered &= (after - signs.dtype.type(48) < 10) | (after > 127)
    places = [np.flatnonzero(signs == 64), _long_rows(signs, digits), digits[lettered], _machines(signs)]
    if signs.itemsize > 1:
        places.append(np.flatnonzero(signs - signs.dtype.type(0xFF10) < 10))
    asked = np.zeros(len(texts), bool)
    asked[np.searchsorted(ends, np.concatenate(places), side="right")] = True
    return asked


def _long_rows(signs: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Where rows of seven digits and more begin, as ROW has them, but for those that are years alone."""
    gaps = np.diff(digits)
    joined = gaps == 1
    for apart in range(2, GAP + 2):
        places = np.flatnonzero(gaps == apart)
        for step in range(1, apart):
            places = places[np.isin(signs[digits[places] + step], BETWEEN)]
        joined[places] = True
    first = np.flatnonzero(~np.concatenate([[False], joined]))[: len(digits)]  # of each row, the number of its digit
    count = np.diff(np.append(first, len(digits)))
    long = count >= LEAST
    return digits[first[long]][~_are_years(signs, digits, joined, first[long], count[long])]


def _are_years(signs, digits, joined, first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(rows,) bool: whether a row of digits is nothing but two years or more, with what stands between years."""
    years = count % 4 == 0
    for row in np.flatnonzero(years).tolist():
        own = digits[first[row] : first[row] + count[row]]
        fours = own.reshape(-1, 4)
        apart = (fours[:, 3] - fours[:, 0] == 3).all() and (np.diff(own)[3::4] > 1).all()
        years[row] = apart and YEARS.fullmatch("".join(map(chr, signs[own[0] : own[-1] + 1].tolist()))) is not None
    return years


def _machines(signs: np.ndarray) -> np.ndarray:
    """Where something stands that all addresses of machines have: .1.2. or :a:b: or 2001::"""
    dots, colons = np.flatnonzero(signs == 46), np.flatnonzero(signs == 58)
    near = np.diff(dots)
    near = (near > 1) & (near <= 4) & (signs[dots[:-1] + 1] - signs.dtype.type(48) < 10)
    apart = np.diff(colons)
    double = colons[:-1][apart == 1]
    double = double[(signs[double - 4] == 50) | (signs[double - 4] == 51)]
    return np.concatenate([dots[:-2][near[:-1] & near[1:]], colons[:-2][(apart[:-1] <= 5) & (apart[1:] <= 5)], double])


def after_capitals(text: str, signs: np.ndarray, digits: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where two digits stand after a capital letter, or after one and a space or hyphen, as in all lettered ids.

    Gives stretches (start, stop) around these places that hold the whole id.
    """
    before, further = signs[digits - 1], signs[digits - 2]
    capital = signs.dtype.type(65)
    joined = ((before == 32) | (before == 45)) & (further - capital < 26)
    start, stop = 0, 0
    for place in digits[(before - capital < 26) | joined].tolist():
        if not text[place + 1 : place + 2].isdigit():
            continue
        if place - BEHIND >= stop:
            if stop:
                yield start, stop
            start = max(0, place - BEHIND)
        stop = min(len(text), place + AHEAD)
    if stop:
        yield start, stop


def rows(text: str, digits: np.ndarray) -> Iterator[tuple[int, int]]:
    """Rows of seven and more digits with a few signs between them: (start, stop)."""
    close = digits[: 1 - LEAST][digits[LEAST - 1 :] - digits[: 1 - LEAST] <= (LEAST - 1) * (GAP + 1)]
    last = 0
    for start in close.tolist():
        if start >= last and (row := ROW.match(text, start)):
            last = row.end()
            yield start, last


def simple(kind: str, places: Iterator[tuple[int, int]], text: str) -> list[Span]:
    return [Span(kind, start, stop, text[start:stop]) for start, stop in places]


def in_rows(text: str, digits: np.ndarray, kinds: Sequence[str], code: bool) -> list[Span]:
    """What is found in rows of digits."""
    spans = []
    forms = (CARDS if "card" in kinds else ()) + (NUMBERS if "id" in kinds else ())
    for start, stop in rows(text, digits):
        if YEARS.fullmatch(text, start, stop):
            continue
        count = sum(sign.isdigit() for sign in text[start:stop])
        for form in forms:
            if form.digits[0] <= count:
                spans += by_form(form, text, start, min(len(text), stop + 5), code)
        if "phone" in kinds:
            places = phones(text, start, stop, code)
            spans += [Span("phone", begin, end, text[begin:end], sure) for begin, end, sure in places]
    return spans


def by_form(form: Form, text: str, start: int, stop: int, code: bool) -> list[Span]:
    """The rows that have this form and pass its check, and stand alone or near one of its words."""
    spans = []
    for match in form.pattern.finditer(text, start, stop):
        if not form.check(match[0]):
            continue
        said = is_said(form, text, *match.span())
        if said or alone(form, text, match, code):
            spans.append(Span(form.kind, match.start(), match.end(), match[0], said))
    return spans


def is_said(form: Form, text: str, start: int, stop: int) -> bool:
    around = text[max(0, start - REACH) : start] + " \n " + text[stop : stop + REACH_BEHIND]
    return form.words is not None and form.words.search(around) is not None


def alone(form: Form, text: str, match: re.Match, code: bool) -> bool:
    """Whether the form will do without a word. In code, and inside of addresses, bare digits are no evidence."""
    bare = match[0].isdigit()
    if bare and (code or text[match.start() - 1 : match.start()] in ("/", "=", "#", "&", "%", "?", "_")):
        return False
    if form.alone == "never" or form.alone == "separated" and bare:
        return False
    return OTHER_NUMBER.search(text[max(0, match.start() - REACH) : match.start()]) is None


def settled(spans: list[Span]) -> list[Span]:
    """Of spans that overlap the one that is sure, then the one of the kind with the stronger form."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (not span.sure, ORDER.index(span.kind.split("-")[0]), span.start)):
        place = bisect(kept, span.start, key=lambda other: other.start)
        free_before = place == 0 or kept[place - 1].stop <= span.start
        if free_before and (place == len(kept) or kept[place].start >= span.stop):
            kept.insert(place, span)
    return kept
