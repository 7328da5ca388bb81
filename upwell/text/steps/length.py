"""Length limits: a document that is too short or too long is left out, never cut.

Long files are divided into documents where they are read (see sources); what is still too long here is one piece that
somebody did not want.
"""

from collections.abc import Callable
from dataclasses import dataclass

from upwell.text import Document, Dropped


@dataclass(frozen=True)
class Settings:
    """Limits in characters."""

    fewest: int = 1
    """Leave out documents of fewer characters; white space does not count. 1: only empty ones."""
    most: int = 0
    """Leave out documents of more characters; 0: none."""

    def __post_init__(self):
        if self.fewest < 0 or self.most < 0:
            raise ValueError(f"fewest is {self.fewest} and most is {self.most}; expected numbers from 0")
        if self.most and self.most < self.fewest:
            raise ValueError(f"most is {self.most}, below fewest, {self.fewest}; no document could stay")


def step(settings: Settings) -> Callable[[Document], Document | Dropped]:
    """Document -> the same document; Dropped "empty", "too short" or "too long"."""

    def within(document: Document) -> Document | Dropped:
        size = len(document.text)
        if settings.most and size > settings.most:
            return Dropped(document, "too long", f"{size:,} characters, at most {settings.most:,}")
        # white space is taken out only of texts so short that it matters
        short = size < 10 * settings.fewest + 100 or document.text.isspace()
        written = len("".join(document.text.split())) if short else size
        if not written and settings.fewest:
            return Dropped(document, "empty")
        if written < settings.fewest:
            return Dropped(document, "too short", f"{written:,} characters, at least {settings.fewest:,}")
        return document

    return within
