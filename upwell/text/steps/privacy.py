"""The step that masks personal data with a form: e-mail, credentials, IP, phone, card, IBAN, national ids.

    found(text)                         -> spans: what stands where
    masked(text, spans, settings, key)  -> (text, counts, map): the map is empty unless settings.map is given
    unmask(text, map)                   -> the text as it was, where numbered placeholders stand

With settings.map, a run calls step_with_map instead of step: its function gives the document and the part of the map
that belongs to it, {placeholder: original}. Writing the map, apart from the data, is the caller's. The step does not
know names and postal addresses; docs/privacy.md states what is found, how surely, and what is left alone.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...errors import SettingsError
from .. import Document, rewritten
from ..privacy import Span, find, replace
from ..privacy.find import KINDS, NAMES, found, settled

__all__ = ["KINDS", "Settings", "found", "masked", "step", "step_with_map", "unmask"]


@dataclass(frozen=True)
class Settings:
    """What is masked, and with what."""

    replace: Literal["placeholder", "fake", "off"] = "placeholder"
    """<EMAIL> and the like; a fake that keeps the form, the same for the same value everywhere; or nothing."""
    kinds: tuple[str, ...] = KINDS
    """Which kinds: email, url (user:password in addresses), ip, phone, card, iban, id (national ids)."""
    key: Path | None = None
    """A file whose bytes key fakes and numbered placeholders; without it whoever guesses a value can prove it."""
    seed: int = 0
    """Stands in for the key where none is given."""
    map: Path | None = None
    """A file for what was masked, kept apart: placeholders get numbers (<EMAIL_k3v9...>), and can be undone by it."""


def step(settings: Settings) -> Callable[[Document], Document]:
    """A function that masks one document; errors: SettingsError."""
    both = step_with_map(settings)
    return lambda document: both(document)[0]


def suspects(settings: Settings) -> Callable[[Sequence[Document]], list[bool]]:
    """A function that tells of many documents at once which of them `step` must look at."""

    def asked(documents: Sequence[Document]) -> list[bool]:
        if settings.map is not None:  # placeholders that stand there already are numbered anew
            return [True] * len(documents)
        text, title = (find.suspects([getattr(one, name) for one in documents]) for name in ("text", "title"))
        return [text[number] or title[number] or bool(one.fields) for number, one in enumerate(documents)]

    return asked


def step_with_map(settings: Settings) -> Callable[[Document], tuple[Document, dict[str, str]]]:
    """A function that gives the masked document and {numbered placeholder: original} of it; errors: SettingsError."""
    check(settings)
    key = key_of(settings)

    def apply(document: Document) -> tuple[Document, dict[str, str]]:
        originals: dict[str, str] = {}

        def rewrite(text: str) -> tuple[str, Mapping[str, int]]:
            spans = found(text, settings.kinds, document.kind == "code")
            if not spans and settings.map is None:
                return text, {}
            text, counts, part = masked(text, spans, settings, key)
            originals.update(part)
            return text, counts

        return (document if settings.replace == "off" else rewritten(document, rewrite)), originals

    return apply


def masked(
    text: str, spans: Sequence[Span], settings: Settings, key: bytes
) -> tuple[str, Mapping[str, int], dict[str, str]]:
    """The text with the spans replaced, how many of each kind, and (with settings.map) what stood there."""
    originals: dict[str, str] = {}
    counts = Counter(f"{NAMES.get(span.kind, 'national id')} masked" for span in spans)
    if settings.map is not None:
        spans = settled([*spans, *replace.already_numbered(text)])

    def new(span: Span) -> str:
        if settings.replace == "fake":
            return replace.fake(span, key)
        if settings.map is None:
            return replace.placeholder(span)
        name = replace.numbered(span, key)
        originals[name] = span.value
        return name

    return replace.replaced(text, spans, new), counts, originals


def unmask(text: str, originals: Mapping[str, str]) -> str:
    """The text with every numbered placeholder of the map replaced by what it stood for."""
    return replace.undone(text, originals)


def key_of(settings: Settings) -> bytes:
    """The bytes that key fakes and numbers; errors: SettingsError where the file cannot be read or is empty."""
    if settings.key is None:
        return f"upwell {settings.seed}".encode()
    try:
        key = Path(settings.key).read_bytes()
    except OSError as error:
        reason = error.strerror
        raise SettingsError(f"The key {settings.key} cannot be read ({reason}); give a file of random bytes.") from None
    if not key:
        raise SettingsError(f"The key {settings.key} is empty; give a file of random bytes.")
    return key


def check(settings: Settings) -> None:
    """Errors: SettingsError where the settings ask for what there is not."""
    unknown = [kind for kind in settings.kinds if kind not in KINDS]
    if unknown:
        raise SettingsError(f"There is no kind of personal data {unknown[0]!r}; expected some of {', '.join(KINDS)}.")
    if settings.map is not None and settings.replace == "fake":
        raise SettingsError("Fakes cannot be undone, since two values may share one; with a map use placeholders.")
