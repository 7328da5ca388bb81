"""Cards and IBANs.

A card is taken where its digits have a network's first digits, that network's length and a right Luhn digit, and it
stands by itself: not inside of a longer word, an address or a hash. Twelve to fifteen bare digits, and any bare row
in code, need a word like "card" near them.
"""

import re
from collections.abc import Iterator

from . import checksums
from .identities import START, STOP, Form, near

CARD_WORDS = "credit|debit|cards?|cc|visa|master ?card|amex|american express|discover|maestro|jcb|"
CARD_WORDS += "diners(?: club)?|unionpay|pay(?:ment|ing)?|银行卡|信用卡|卡号|储蓄卡|借记卡|账号"
GROUPED = r"[1-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,4}"
CARDS = (
    Form("card", re.compile(START + GROUPED + STOP), checksums.card, near(CARD_WORDS), "always", (13, 16)),
    Form("card", re.compile(START + GROUPED + r"\1[0-9]{1,3}" + STOP), checksums.card, near(CARD_WORDS), "always",
         (17, 19)),
    Form("card", re.compile(START + r"3[0-9]{3}([ -])[0-9]{6}\1[0-9]{4,5}" + STOP), checksums.card, near(CARD_WORDS),
         "always", (14, 15)),
    Form("card", re.compile(START + r"[1-6][0-9]{15,18}" + STOP), checksums.card, near(CARD_WORDS), "always", (16, 19)),
    Form("card", re.compile(START + r"[1-6][0-9]{11,14}" + STOP), checksums.card, near(CARD_WORDS), "never", (12, 15)),
    Form("card", re.compile(START + r"[1-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}" + STOP), checksums.card, near(CARD_WORDS),
         "never", (12, 12)),
)  # fmt: skip
IBAN = re.compile(START + r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,31}+", re.ASCII)


def ibans(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where an IBAN stands in text[begin:end]: as many signs as its country has, whatever follows after a space."""
    for match in IBAN.finditer(text, begin, end):
        start, stop = match.start(), match.start()
        left = checksums.IBAN_LENGTHS.get(match[0][:2], 0)
        while left and stop < match.end():
            left -= text[stop].isalnum()
            stop += 1
        ends = stop == len(text) or not (text[stop].isascii() and text[stop].isalnum())
        if not left and ends and checksums.iban(text[start:stop]):
            yield start, stop
