"""Bring a corpus of the catalogue into the cache, or look at text of your own.

The name of the file is printed alone on standard output, so that it can be handed on. Without a name the catalogue is
listed. The cache is $UPWELL_CACHE, else the platform's cache folder.

Examples:
    upwell fetch
    upwell fetch wiki-intros --lang fr
    upwell prepare $(upwell fetch wiki-intros)
    upwell fetch ~/texts
"""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from upwell import terminal


@dataclass(frozen=True)
class Settings:
    """What is brought."""

    name: Positional[str] = ""
    """A name of the catalogue, or the path of a file or folder of text."""
    lang: str = ""
    """The language, where a corpus has several; otherwise its first."""


def main(settings: Settings) -> None:
    from upwell import catalog

    if not settings.name:
        return _list()
    if settings.name not in catalog.names() and Path(settings.name).exists():
        return _look(Path(settings.name))
    entry = catalog.entry(settings.name)
    path = catalog.fetch(settings.name, settings.lang, say=terminal.say)
    language = settings.lang or next(iter(entry.parts))
    terminal.say(f"{entry.name} ({language}): {entry.what}; {entry.parts[language].holds}.")
    terminal.say(f"Licence: {entry.licence}")
    print(path)


def _list() -> None:
    from upwell import catalog

    entries = [catalog.entry(name) for name in catalog.names()]
    rows = [
        [entry.name, language, f"{entry.what}: {part.holds}", entry.licence]
        for entry in entries
        for language, part in entry.parts.items()
    ]
    terminal.table("The catalogue", ("name", "language", "what", "licence"), rows)


def _look(path: Path) -> None:
    """Read everything once, so that what cannot be used is told before it is needed."""
    from upwell.text.sources import Notes, read

    notes, documents, characters = Notes(), 0, 0
    for document in read([path], notes=notes):
        documents, characters = documents + 1, characters + len(document.text)
    terminal.say(f"{documents:,} documents, {characters:,} characters in {notes.files:,} files, all readable.")
    for file, encoding in notes.encodings.items():
        terminal.say(f"{file} is read as {encoding}.")
    print(path)
