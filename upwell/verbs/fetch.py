"""Bring a corpus or a model into the cache, by a name of the catalogue or the Hugging Face hub, or look at your own.

What is found is named alone on standard output, so that it can be handed on: a file of text, or a model's folder. A
GGUF file becomes a folder in the cache; a model's folder and text are read once, so that what cannot be used is told
now. Without a name the catalogue is listed. The cache is $UPWELL_CACHE, else the platform's cache folder.

Examples:
    upwell fetch
    upwell fetch wiki-intros --lang fr
    upwell prepare $(upwell fetch wiki-intros)
    upwell fetch smollm2-135m
    upwell fetch HuggingFaceTB/SmolLM2-135M
    upwell fetch ~/models/some.gguf
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
    """A name of the catalogue, ORGANISATION/MODEL on the hub, or the path of a GGUF file, a model or text."""
    lang: str = ""
    """The language, where a corpus has several; otherwise its first."""
    allow_key: tuple[str, ...] = ()
    """Keys of a model's config.json or GGUF file that upwell does not know and that you want to pass over."""


def main(settings: Settings) -> None:
    from upwell import catalog, weights

    name, path = settings.name, Path(settings.name)
    if not name:
        return _list()
    if name in catalog.names():
        return _corpus(name, settings.lang)
    if name in weights.names():
        return _model(name)
    if path.exists():
        return _look(path, settings.allow_key)
    if not weights.HUB_NAME.fullmatch(name):
        raise weights.unknown(name)
    folder = weights.fetch_hub(name, terminal.say, allow=settings.allow_key)
    terminal.say(f"{name}: {weights.opens(folder, settings.allow_key)}.")
    print(folder)


def _list() -> None:
    from upwell import catalog, weights

    entries = [catalog.entry(name) for name in catalog.names()]
    rows = [
        [entry.name, language, f"{entry.what}: {part.holds}", entry.licence]
        for entry in entries
        for language, part in entry.parts.items()
    ]
    models = [weights.entry(name) for name in weights.names()]
    rows += [[model.name, "", f"model: {model.what}", model.licence] for model in models]
    terminal.table("The catalogue", ("name", "language", "what", "licence"), rows)


def _corpus(name: str, language: str) -> None:
    from upwell import catalog

    entry = catalog.entry(name)
    path = catalog.fetch(name, language, say=terminal.say)
    language = language or next(iter(entry.parts))
    terminal.say(f"{entry.name} ({language}): {entry.what}; {entry.parts[language].holds}.")
    terminal.say(f"Licence: {entry.licence}")
    print(path)


def _model(name: str) -> None:
    from upwell import weights

    folder = weights.fetch(name, terminal.say)
    terminal.say(f"{name}: {weights.entry(name).what}.")
    terminal.say(f"Licence: {weights.entry(name).licence}")
    print(folder)


def _look(path: Path, allow: tuple[str, ...]) -> None:
    """Read something of the user's once, so that what cannot be used is told before it is needed."""
    from upwell import weights

    if path.suffix.lower() == ".gguf":
        path = weights.convert(path, terminal.say, allow=allow)
    if not (path / "config.json").is_file():
        return _text(path)
    terminal.say(f"{path.name}: {weights.opens(path, allow)}; it opens.")
    print(path)


def _text(path: Path) -> None:
    from upwell.text.faults import Faults
    from upwell.text.sources import Notes, read

    notes, faults, documents, characters = Notes(), Faults(), 0, 0
    for document in read([path], notes=notes, faults=faults):
        documents, characters = documents + 1, characters + len(document.text)
    if faults.count:
        raise faults.error(" of `upwell prepare`")
    terminal.say(f"{documents:,} documents, {characters:,} characters in {notes.files:,} files, all readable.")
    for file, encoding in notes.encodings.items():
        terminal.say(f"{file} is read as {encoding}.")
    print(path)
