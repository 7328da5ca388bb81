"""The step that masks secrets in code: keys and tokens of services, passwords in assignments and connection strings.

Only documents of kind "code" are searched, except for blocks of private keys, which nobody writes by chance: they are
masked anywhere. What counts as a key stands in text.privacy.keys; docs/privacy.md lists the services.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .. import Document, rewritten
from ..privacy import Span, replace
from ..privacy.keys import secrets


@dataclass(frozen=True)
class Settings:
    """Where secrets are looked for."""

    everywhere: bool = False
    """In prose and dialogues too, not in code alone."""
    entropy: float = 3.5
    """Bits a sign from which on a value given to a telling name (token, api_key) is a secret; a password: one less."""


def found(text: str, settings: Settings, code: bool = True) -> list[Span]:
    """The secrets in a text, in order, none over another: the longer one where two begin together."""
    spans, last = [], 0
    for span in sorted(secrets(text, code, settings.entropy), key=lambda span: (span.start, -span.stop)):
        if span.start >= last:
            spans.append(span)
            last = span.stop
    return spans


def step(settings: Settings) -> Callable[[Document], Document]:
    """A function that puts <SECRET> in the place of each secret of one document."""

    def apply(document: Document) -> Document:
        def rewrite(text: str) -> tuple[str, Mapping[str, int]]:
            spans = found(text, settings, settings.everywhere or document.kind == "code")
            counts = Counter(f"{span.kind} masked" for span in spans)
            return (replace.replaced(text, spans, lambda span: "<SECRET>"), counts) if spans else (text, counts)

        return rewritten(document, rewrite)

    return apply
