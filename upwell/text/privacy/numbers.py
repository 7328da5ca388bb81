"""Cards and IBANs.

A card is taken where its digits have a network's first digits, that network's length and a right Luhn digit, and it
stands by itself: not inside of a longer word, an address or a hash. Twelve or thirteen bare digits (of which shops
have many), and any bare row in code, need a word like "card" near them.
"""

import re
from collections.abc import Callable, Iterator

from . import checksums
from .identities import START, STOP, Form, near

CARD_WORDS = "credit|debit|cards?|cc|visa|master ?card|amex|american express|discover|maestro|jcb|"
CARD_WORDS = near(f"{CARD_WORDS}diners(?: club)?|unionpay|pay(?:ment|ing)?|银行卡|信用卡|卡号|储蓄卡|借记卡|账号")
FOURS = r"[1-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}"
USUAL = (FOURS + r"\1[0-9]{1,4}", FOURS + r"\1[0-9]{4}\1[0-9]{1,3}", r"3[0-9]{3}([ -])[0-9]{6}\1[0-9]{4,5}",
         "[1-6][0-9]{13,18}")  # fmt: skip
SHORTER = ("[0-6][0-9]{11,12}", FOURS)


def card_form(pattern: str, check: Callable[[str], bool], alone: str, least: int) -> Form:
    return Form("card", re.compile(START + pattern + STOP, re.ASCII), check, CARD_WORDS, alone, (least, 19))


CARDS = (
    *(card_form(pattern, checksums.card, "always", 14) for pattern in USUAL),
    *(card_form(pattern, checksums.any_card, "never", 12) for pattern in (*USUAL, *SHORTER)),
)
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
