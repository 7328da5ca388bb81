"""PERSONAL DATA WITH A FORM: where it stands in a text, and what may stand in its place.

    checksums   is this number one that was issued? Luhn, ISO 7064, Verhoeff and the rules of seventeen countries
    identities  national ids: a table of forms, checks and the words that stand near them
    numbers     cards and IBANs
    contacts    e-mail, credentials in addresses, IPv4 and IPv6
    phones      international, national and Chinese numbers
    find        all of these over one text: cheap tests first, overlaps settled
    replace     placeholders, consistent fakes, and the way back

The modules know strings and offsets; they know no document and no file. Names and postal addresses are not looked
for: they have no form that a pattern could hold on to.
"""

from typing import NamedTuple


class Span(NamedTuple):
    """text[start:stop] is `value`, personal data of this kind ("email", "phone", "id-us" ...)."""

    kind: str
    start: int
    stop: int
    value: str
    sure: bool = True
    """Whether a word near it, or a form that is nothing else, says so; decides between overlapping spans."""
