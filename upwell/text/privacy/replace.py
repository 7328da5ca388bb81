"""What stands in the place of personal data: a placeholder, a numbered placeholder that can be undone, or a fake.

Numbers and fakes come from HMAC-SHA-256 of the value under a key: the same value gives the same in every process and
every run with that key, and without the key nobody can try values until one fits. Fakes keep the form and belong to
nobody: domains that RFC 2606 reserves, cards that no bank issues, IP ranges that are not routed, telephone numbers
kept for films or never given out, national ids whose checksum is wrong. find passes over all of them, so that masking
twice is masking once.
"""

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping

from . import Span, checksums
from .find import found
from .identities import LETTERED, NUMBERS

PLACEHOLDER = re.compile("<[A-Z]{2,11}(?:_[A-Z]{2})?_[a-z2-7]{12}>")
TITLES = {"email": "EMAIL", "url": "CREDENTIALS", "ip": "IP", "phone": "PHONE", "card": "CARD", "iban": "IBAN"}


def placeholder(span: Span) -> str:
    """<EMAIL>, <PHONE>, <ID_US> ..."""
    return f"<{title(span.kind)}>"


def title(kind: str) -> str:
    return TITLES.get(kind) or kind.upper().replace("-", "_")


def numbered(span: Span, key: bytes) -> str:
    """<EMAIL_k3v9...>: 60 bits of the value's HMAC, so that ten million values meet by chance once in 20,000 runs."""
    return f"<{title(span.kind)}_{letters(key, span.kind, span.value, 12)}>"


def already_numbered(text: str) -> list[Span]:
    """What looks like a numbered placeholder of ours in a text as it came; it is masked too, so as to come back."""
    return [Span("text", *match.span(), match[0]) for match in PLACEHOLDER.finditer(text)]


def undone(text: str, originals: Mapping[str, str]) -> str:
    """The text with every numbered placeholder that the map knows replaced by what it stood for."""
    return PLACEHOLDER.sub(lambda match: originals.get(match[0], match[0]), text)


def replaced(text: str, spans: Iterable[Span], new: Callable[[Span], str]) -> str:
    """The text with each span (in order, none over another) put through `new`."""
    parts, last = [], 0
    for span in spans:
        parts += [text[last : span.start], new(span)]
        last = span.stop
    return "".join([*parts, text[last:]])


def drawn(key: bytes, kind: str, value: str) -> int:
    """256 bits that belong to this value; the way in which a number or a name is written makes no difference."""
    same = value.casefold() if kind in ("email", "url", "ip", "text") else checksums.bare(value)
    return int.from_bytes(hmac.digest(key, f"{kind}\0{same}".encode("utf-8", "surrogatepass"), "sha256"), "big")


def letters(key: bytes, kind: str, value: str, count: int) -> str:
    """`count` letters and digits of the exact value's HMAC."""
    digest = hmac.digest(key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256)
    return base64.b32encode(digest).decode("ascii").lower()[:count]


def fake(span: Span, key: bytes) -> str:
    """A value of the same kind that belongs to nobody."""
    number = drawn(key, span.kind, span.value)
    token = base64.b32encode(number.to_bytes(32, "big")).decode("ascii").lower()[:10]
    if span.kind in ("email", "url"):
        return f"user-{token}@example.com" if span.kind == "email" else f"user-{token}:password"
    if span.kind == "ip":
        return fake_address(span.value, number)
    makers = {"phone": fake_phone, "card": fake_card, "iban": fake_iban, "id-us": fake_us}
    return makers.get(span.kind, fake_id)(span.value, number)


def fake_address(value: str, number: int) -> str:
    """240.0.0.0/4 is reserved for ever, 2001:db8::/32 for documentation."""
    if ":" in value:
        return str(ipaddress.IPv6Address((0x20010DB8 << 96) | number % 2**96))
    return str(ipaddress.IPv4Address((240 << 24) + number % (15 << 24)))


def fake_phone(value: str, number: int) -> str:
    """154 is given to no Chinese network; 555-0100 to 555-0199 of each North American area is kept for fiction."""
    digits = "".join(map(str, checksums.digits_of(value)))
    if re.match("(?:00)?86", digits) and len(digits) > 11 or re.fullmatch("1[3-9][0-9]{9}", digits):
        return f"154{number % 10**8:08d}"
    area, line = 200 + number % 800, number // 800 % 100
    return f"{area}-555-01{line:02d}" if len(digits) == 10 else f"+1-{area}-555-01{line:02d}"


def fake_card(value: str, number: int) -> str:
    """Sixteen digits after 400000, with a right Luhn digit, grouped as the value was."""
    body = checksums.TEST_CARDS + f"{number % 10**9:09d}"
    digits = body + next(str(check) for check in range(10) if checksums.luhn(body + str(check)))
    sign = next((sign for sign in value if not sign.isdigit()), "")
    return sign.join(digits[place : place + 4] for place in range(0, 16, 4))


def fake_iban(value: str, number: int) -> str:
    """A British one of the bank TEST, with right check digits, grouped as the value was."""
    body = f"TEST{number % 10**14:014d}"
    check = 98 - int("".join(str(int(sign, 36)) for sign in body + "GB00")) % 97
    digits = f"GB{check:02d}{body}"
    return " ".join(digits[place : place + 4] for place in range(0, 22, 4)) if " " in value else digits


def fake_us(value: str, number: int) -> str:
    """Area 666 is never given out."""
    sign = next((sign for sign in value if not sign.isdigit()), "")
    return f"666{sign}{1 + number % 99:02d}{sign}{1 + number // 99 % 9999:04d}"


def fake_id(value: str, number: int) -> str:
    """The same shape with other digits and letters, drawn until no country calls it right and no finder takes it."""
    while True:
        shape = shaped(value, number)
        if value[:2].isalpha() and len(checksums.bare(value)) == 9:
            shape = "QQ" + shape[2:]  # British insurance numbers have no check digit; QQ is never given out
        real = any(form.pattern.fullmatch(shape) and form.check(shape) for form in (*NUMBERS, *LETTERED))
        if not real and not found(shape):
            return shape
        number = (number * 6364136223846793005 + 1) % 2**256


def shaped(value: str, number: int) -> str:
    """Digits for digits, letters for letters, everything else as it was; no 0 in front."""
    shape = ""
    for sign in value:
        number, pick = divmod(number, 26 * 9)
        if sign.isascii() and sign.isdigit():
            shape += str(1 + pick % 9 if not shape else pick % 10)
        elif sign.isascii() and sign.isalpha():
            shape += chr((65 if sign.isupper() else 97) + pick % 26)
        else:
            shape += sign
    return shape
