"""Telephone numbers: international, national in the usual forms, Chinese mobiles and landlines.

A number is taken by itself where its form is that of a telephone number and of little else: a plus and a calling code
that exists, 3-3-4 digits with signs between them, an area code in brackets, 0 and an area with a space after it, a
Chinese mobile in Chinese text. Any other row of 7 to 15 digits needs a word like "call" shortly before it. Dates,
ISBNs and numbers of orders are left alone.
"""

import re
from collections.abc import Iterator

from .identities import near

CALLING_CODES = frozenset(
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 "
    "84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 "
    "236 237 238 239 240 241 242 243 244 245 246 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 "
    "265 266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 "
    "377 378 380 381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 "
    "594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 "
    "850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994 "
    "995 996 998".split()
)
WORDS = near(
    r"(?:tele)?phones?|tel|cell(?:ular|phone)?|mobiles?|fax|call(?:s|ed|ing|ers?)?|dial(?:led|ed)?|whatsapp|telegram|"
    r"wechat|hotline|telefon[eo]?|t\S?l\S?phone|tel\S?fono|handy|mobil|portable|m\S?vil|celular|cellulare|rufnummer|anruf"
)
SOFT_WORDS = near(
    r"text(?:ed)? me|sms|contact(?:ed)?|reach(?:ed)? (?:me|us|him|her|them)|answer(?:ing|ed)? (?:at|on)|ring (?:me|us)|"
    r"messages? (?:to|at|from)|desk|office|registered"
)
CHINESE_WORDS = re.compile("电话|電話|手机|手機|联系|聯繫|拨打|致电|来电|微信|热线|传真|号码|短信|座机")
OTHER_NUMBER = re.compile(
    r"(?<![A-Za-z])(?=[^\W\d_])(?:isbn|issn|doi|orders?|invoice|patent|serial|sku|tracking|parts?|models?|version|arxiv|pmid|account|case|ticket|"
    r"timestamp|coordinates|订单号?|编号|单号|账号|流水号|型号|序列号|学号|工号|批号|书号)"
    r"(?:[ .:#]|number|no|id|nr|为|是|：){0,12}\Z",
    re.IGNORECASE,
)
DATE = re.compile(
    r"(?:[12][0-9]{3}([-./ ])[01]?[0-9]\1[0-3]?[0-9]|[0-3]?[0-9]([-./ ])[0-3]?[0-9]\2[12][0-9]{3}|"
    r"[12][0-9]{3}[ \-/\u2013]{1,3}[12][0-9]{3})(?![0-9])"
)
PAST = r"(?![0-9A-Za-wyz_]|[-./][0-9])"
LEFT = r"(?<![A-Za-z0-9_+$€£¥#])(?<![0-9][.,])(?<![A-Za-z0-9]-)(?<![0-9][/(])"
EXTENSION = re.compile(r" ?(?:x|ext\.?|extension|转|-)(?<!-) ?[0-9]{1,6}(?![0-9])", re.IGNORECASE)
CHINESE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
BOUNDARY = re.compile(LEFT)
WEAK, FORMED, CERTAIN = 0, 1, 2  # needs a word near it; stands alone; and is more likely than any other kind
GLUED = re.compile(r"[0-9A-Za-wyz_]|[-./][0-9]")
NO_NUMBER = re.compile(  # amounts, decimals, groups of four, divisions, all digits in their order, four numbers
    r"\A(?:[0-9]{1,3}(?:\.[0-9]{3}){1,5}|[0-9]{1,2}(?:[ \xa0\u202f][0-9]{3}){1,5}|[0-9]{1,17}\.[0-9]{1,17}|"
    r"[0-9]{4}(?:[. ][0-9]{4}){2,4}|[0-9]{1,17} [/\-] [0-9]{1,17}|0?123456789[0-9]{0,8}|[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
)

CHINA_MOBILE = re.compile(
    LEFT + r"(?:(?:(?:\+|00)?86[- ]?)|\((?:\+|00)?86\) ?)?1(?:3[0-9]|4[1-9]|5[0-35-9]|6[25-7]|7[0-8]|8[0-9]|9[0-35-9])"
    r"([- ]?)[0-9]{4}\1[0-9]{4}" + PAST
)
CHINA_LANDLINE = re.compile(
    LEFT + r"(?:(?:\+|00)?86[- ]?\(?|\(?0)(?:10|2[0-57-9]|[3-9][0-9]{2})(?:\)[- ]?|[- ]?)[2-8][0-9]{2,3}([ -]?)[0-9]{4}"
    + PAST
)
NORTH_AMERICA = re.compile(
    LEFT + r"(?:(?:\+|00)?1[-. ])?(?:\([0-9]{3}\)[-. ]?[0-9]{3}|[0-9]{3}[-.\u2011][0-9]{3}|[2-9][0-9]{2} [2-9][0-9]{2})"
    r"[-. \u2011][0-9]{4}|" + LEFT + "[0-9]{3}-[0-9]{7}"
)
# What North America keeps free for films and China has given to nobody: our own fakes.
FICTION = re.compile(r"555[-. ]?01[0-9]{2}\Z|(?<![0-9])154[- ]?[0-9]{4}[- ]?[0-9]{4}\Z")


def phones(text: str, start: int, stop: int, code: bool) -> Iterator[tuple[int, int, bool]]:
    """Numbers in text[start:stop], a row of digits and gaps: (start, stop, whether a word near it says so)."""
    taken = 0
    for begin, end, form in candidates(text, start, stop, code):
        before = text[max(0, begin - 48) : begin]
        called = said(before[-16:] if code and text[begin:end].isdigit() else before, text[end : end + 12], code)
        if begin < taken or FICTION.search(text, begin, end) or DATE.match(text, begin):
            continue
        if not called and (form == WEAK or OTHER_NUMBER.search(before)):
            continue
        extension = EXTENSION.match(text, end)
        taken = extension.end() if extension else end
        yield begin, taken, called or form == CERTAIN


def said(before: str, after: str, code: bool) -> bool:
    """Whether a word for telephones stands before, nearer than any other kind of number, or just behind."""
    if OTHER_NUMBER.search(before):
        return False
    if WORDS.search(before) or CHINESE_WORDS.search(before) or WORDS.search(after) and "@" not in after:
        return True
    return not code and bool(SOFT_WORDS.search(before) or SOFT_WORDS.search(after))


def candidates(text: str, start: int, stop: int, code: bool) -> Iterator[tuple[int, int, int]]:
    """What may be a number in a row, the surest forms first: (start, stop, how much its form says)."""
    begin = lead(text, start)
    end = min(len(text), stop + 8)
    chinese = not text.isascii() and CHINESE.search(text, max(0, begin - 40), stop + 40) is not None
    for match in CHINA_MOBILE.finditer(text, begin, end):
        formed = bool(match[1]) or match[0][:1] in "+(" or match[0][:2] in ("86", "00")
        yield *match.span(), CERTAIN if chinese or match[0][:1] in "+(" else FORMED if formed else WEAK
    for match in CHINA_LANDLINE.finditer(text, begin, end):
        formed = re.search("[-) ]", match[0]) is not None
        yield *match.span(), CERTAIN if formed and chinese else FORMED if formed and match[0][0] == "+" else WEAK
    for match in NORTH_AMERICA.finditer(text, begin, end):
        if not GLUED.match(text, match.end()):
            yield *match.span(), FORMED
    if BOUNDARY.match(text, begin) and not GLUED.match(text, stop) and plausible(text[begin:stop]):
        yield begin, stop, WEAK if code else form_of(text[begin:stop])


def lead(text: str, start: int) -> int:
    """Where a number begins whose first digit stands at start: a bracket and a plus before it belong to it."""
    begin = start
    while begin > start - 3 and begin > 0 and text[begin - 1] in "+(":
        begin -= 1
    return begin


def plausible(value: str) -> bool:
    """7 to 15 digits (17 with 00 before them), nine where nothing divides them; no amount, no decimal, no division."""
    count = sum(sign.isdigit() for sign in value)
    return (9 if value.isdigit() else 7) <= count <= 15 + 2 * value.startswith("00") and not NO_NUMBER.fullmatch(value)


def form_of(value: str) -> int:
    """How much the form of a whole row says: a plus and a calling code are certain."""
    if value.startswith(("+", "(+")):
        digits = "".join(sign for sign in value if sign.isdigit())
        known = 8 <= len(digits) <= 15 and any(digits[:size] in CALLING_CODES for size in (1, 2, 3))
        return CERTAIN if known else WEAK
    return FORMED if national(value) else WEAK


def national(value: str) -> bool:
    """Whether a row that begins with 0 or 00 looks like a telephone number and like little else."""
    digits = "".join(sign for sign in value if sign.isdigit())
    groups = re.findall("[0-9]+", value)
    if digits[0] != "0" or len(groups) == 1 or groups[0] == "0":
        return False
    if groups[0] == "00" or digits.startswith("00"):
        return 10 <= len(digits) <= 17 and any(digits[2 : 2 + size] in CALLING_CODES for size in (1, 2, 3))
    pairs = len(groups) == 5 and all(len(group) == 2 for group in groups)  # as in France: 01 23 45 67 89
    area = 3 <= len(groups[0]) <= 5 and len(groups) <= 4 and len(groups[-1]) >= 2
    return 10 <= len(digits) <= 11 and (pairs or area or value[0] == "(")
