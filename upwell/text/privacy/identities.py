"""National ids: one row for each kind of number, with its form, its check and the words that stand near it.

A row is taken by itself where its form says what it is, or where fewer than one in fifty random rows of digits would
pass its check; otherwise a word like "NHS" must stand near. The forms are ASCII and bounded; every repetition has an
end or gives nothing back, so that no text makes them slow.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import checksums

START = r"(?<![A-Za-z0-9_.])(?<![A-Za-z0-9]-)"
STOP = r"(?![A-Za-z0-9_]|[-.][A-Za-z0-9])"


@dataclass(frozen=True)
class Form:
    """One way in which one kind of number is written."""

    kind: str
    pattern: re.Pattern
    check: Callable[[str], bool]
    words: re.Pattern | None
    """One of these near it makes sure."""
    alone: str = "always"
    """Without such a word: taken "always", only when "separated" by spaces or signs, or "never"."""
    digits: tuple[int, int] = (0, 40)
    """How many digits stand in it; a row of fewer is not looked at."""


def form(kind: str, pattern: str, check: Callable[[str], bool], words: str, alone="always", digits=(0, 40)) -> Form:
    """A row of the table; the pattern is bounded on both sides by what is no letter, digit or joined sign."""
    return Form(kind, re.compile(START + pattern + STOP, re.ASCII), check, near(words), alone, digits)


def near(words: str) -> re.Pattern:
    """Words as whole words where they are Latin, and anywhere where they are not."""
    first = "[a-z]" if words.isascii() else r"[^\W\d_]"
    return re.compile(rf"(?<![A-Za-z])(?={first})(?:{words})(?![A-Za-z])", re.IGNORECASE)


# Rows of digits, with separators at most.
NUMBERS = (
    form("id-cn", r"[1-9][0-9]{16}[0-9Xx]|[1-9][0-9]{5}[ -][12][0-9]{7}[ -][0-9]{3}[0-9Xx]", checksums.china,
         "身份证|身份證|身份号|身份號|公民身份|resident id(?:entity)?|id card|identity card", digits=(17, 18)),
    form("id-cn", r"[1-9][0-9]{14}", checksums.china, "身份证|公民身份", "never", (15, 15)),
    form("id-fr", r"[1-478] ?[0-9]{2} ?(?:0[1-9]|[1-9][0-9]) ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?-?[0-9]{2}",
         checksums.france, "nir|insee|s[ée]cu(?:rit[ée])?", digits=(15, 15)),
    form("id-kr", r"[0-9]{6}-[1-8][0-9]{6}", checksums.korea, "주민|rrn|resident registration",
         digits=(13, 13)),
    form("id-de", r"[1-9][0-9]{10}|[1-9][0-9] [0-9]{3} [0-9]{3} [0-9]{3}", checksums.germany,
         "steuer[a-z-]{0,30}|idnr|tin|tax", digits=(11, 11)),
    form("id-br", r"[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-?[0-9]{2}", checksums.brazil, "cpf|cadastro de pessoas?",
         digits=(11, 11)),
    form("id-pl", r"[0-9]{11}", checksums.poland, "pesel", digits=(11, 11)),
    form("id-in", r"(?<![0-9][ -])[2-9][0-9]{3}([ -]?)[0-9]{4}\1[0-9]{4}(?![ -][0-9])", checksums.india,
         "aadhaa?r|uidai|uid|आधार", "separated", (12, 12)),
    form("id-se", r"(?:19|20)?[0-9]{6}[-+][0-9]{4}", checksums.sweden, "personnummer|samordningsnummer",
         digits=(10, 12)),
    form("id-se", r"(?:19|20)?[0-9]{10}", checksums.sweden, "personnummer|samordningsnummer", "never", (10, 12)),
    form("id-uk", r"[0-9]{3}([ -]?)[0-9]{3}\1[0-9]{4}", checksums.uk_nhs, "nhs|national health service",
         "never", (10, 10)),
    form("id-us", r"[0-9]{3}-[0-9]{2}-[0-9]{4}", checksums.us, "ssn|itin|social security|social", digits=(9, 9)),
    form("id-us", r"[0-9]{3}([ .]?)[0-9]{2}\1[0-9]{4}", checksums.us, "ssn|itin|social security", "never",
         (9, 9)),
    form("id-nl", r"[0-9]{9}|[0-9]{4}\.[0-9]{2}\.[0-9]{3}|[0-9]{3}([ .])[0-9]{3}\1[0-9]{3}", checksums.netherlands,
         "bsn|burgerservice[a-z]{0,8}|sofi[a-z-]{0,8}", "never", (9, 9)),
    form("id-fi", r"[0-3][0-9][01][0-9]{3}[-+][0-9]{3}[0-9A-FHJ-NPR-Y]", checksums.finland,
         "hetu|henkilötunnus|personbeteckning", digits=(9, 10)),
    form("id-ca", r"[1-79][0-9]{2}([ -]?)[0-9]{3}\1[0-9]{3}", checksums.canada, "sin|social insurance", "never",
         (9, 9)),
    form("id-es", r"[0-9]{8}[ -]?[A-HJ-NP-TV-Z]", checksums.spain, "dni|nif", digits=(8, 8)),
)  # fmt: skip

# Rows that hold capital letters.
LETTERED = (
    form("id-it", r"[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]", checksums.italy,
         "codice fiscale"),
    form("id-es", r"[XYZ][ -]?[0-9]{7}[ -]?[A-HJ-NP-TV-Z]", checksums.spain, "nie"),
    form("id-uk", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]([ -]?)[0-9]{2}\1[0-9]{2}\1[0-9]{2}\1[A-D]",
         checksums.uk_insurance, "national insurance|nino"),
    form("id-fr", r"[12] ?[0-9]{2} ?(?:0[1-9]|[1-9][0-9]) ?2[AB] ?[0-9]{3} ?[0-9]{3} ?-?[0-9]{2}", checksums.france,
         "nir|insee|s[ée]cu(?:rit[ée])?"),
    form("id-sg", r"[STFGM][0-9]{7}[A-Z]", checksums.singapore, "nric|fin"),
    form("id-tw", r"[A-Z][1289][0-9]{8}", checksums.taiwan, "身分證|身份證|taiwan id"),
    form("id-fi", r"[0-3][0-9][01][0-9]{3}[A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]", checksums.finland,
         "hetu|henkilötunnus|personbeteckning"),
)  # fmt: skip
