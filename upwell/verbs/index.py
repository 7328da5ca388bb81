"""Make an index of texts that questions are answered from, or bring it up to date with them.

Reads folders, files, globs, archives and standard input (-) in every format that `upwell prepare` reads. The same
command again takes what is new, changes what has changed and takes out what is gone below the same paths; a run that
was stopped goes on. Passages are found by their words, in any language, and by their meaning, where there is an
encoder: minilm-l6 (English, and Chinese by the English meanings of its words), any other that gives vectors, or a
server's. Documents are kept as they are, personal data in them too, since answers quote them; with
--personal mask what has a form (e-mail addresses, phone numbers, cards ...) is masked before it is stored.

Examples:
    upwell index docs
    upwell index handbook.pdf "notes/**/*.md" --out index --collection support
    upwell index docs --encoder runs/my-encoder/model
    upwell index docs --encoder none
    upwell index --out index --list
    upwell index --out index --remove docs/old.md
"""

import json
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from upwell import terminal
from upwell.errors import CheckpointError, DataError, SettingsError
from upwell.text import sources
from upwell.text.faults import Faults

DEFAULT = "minilm-l6"
NONE = "none"
MEDIA = frozenset(
    ".png .jpg .jpeg .gif .bmp .tif .tiff .webp .ico .heic .avif .psd .mp3 .wav .ogg .flac .m4a .aac .mp4 .mov .avi "
    ".mkv .webm .woff .woff2 .ttf .otf .eot".split()
)


@dataclass(frozen=True)
class Settings:
    """Which texts, into which index, and by which encoder."""

    paths: Positional[tuple[Path, ...]] = ()
    """Folders, files, globs, archives; - for standard input."""
    out: Path = Path("index")
    """The folder of the index."""
    encoder: str = ""
    """What makes the vectors: a folder, the name of a model that was fetched, or none; default: the index's own, and
    of a new one minilm-l6."""
    collection: str = ""
    """The part of the index that these texts belong to; keys of `upwell serve` may be for some collections alone."""
    remove: tuple[str, ...] = ()
    """Documents, files or folders to take out, by the names that --list shows."""
    list: bool = False
    """Show what the index holds."""
    keep: bool = False
    """Leave in what is gone below the paths."""
    personal: Literal["keep", "mask"] | None = None
    """Store the documents as they are, or with their personal data masked (<EMAIL> ...); see docs/privacy.md. Default:
    as the collection was made, and keep for a new one."""
    skip_unreadable: bool = False
    """Go on without what cannot be read, instead of ending with an error when all else is in the index."""
    max_errors: int = 20
    """How many of the files that cannot be read are listed one by one."""
    json: bool = False
    """One JSON object instead of a table; of --list one a document, on a line."""
    base_url: str | None = None
    """A server that makes the vectors, for example http://127.0.0.1:8000/v1; its key comes from UPWELL_API_KEY."""
    model: str | None = None
    """The name of the server's model."""
    device: str = "auto"
    """Where the encoder works: auto, cpu, cuda or mps."""
    reading: sources.Settings = field(default_factory=sources.Settings)
    """How files are read, and what is refused for safety."""

    def __post_init__(self):
        if not (self.paths or self.remove or self.list):
            raise SettingsError("found nothing to do, expected folders or files, --remove or --list")
        if (self.base_url is None) != (self.model is None):
            raise SettingsError("--base-url and --model go together: the server's address and the name of its model")
        if self.base_url is not None and self.encoder:
            raise SettingsError("found both --encoder and --base-url, expected one of them")
        if self.paths and self.collection and (len(self.collection.split()) != 1 or set(self.collection) & {",", " "}):
            raise SettingsError(f"collection: found {self.collection[:100]!r}, expected a name without spaces and "
                                "commas, since these part the names that stand behind a key")  # fmt: skip
        if self.max_errors < 1:
            raise SettingsError(f"max_errors: found {self.max_errors}, expected 1 or more")


def main(settings: Settings) -> None:
    from upwell.answering.index import Index

    if settings.remove:
        with Index.open(settings.out) as index:
            remove(settings, index)
    faults = update(settings) if settings.paths else None
    if settings.list:
        with Index.open(settings.out) as index:
            show(settings, index)
    if faults is not None:
        told(settings, faults)


def remove(settings: Settings, index) -> None:
    """Take documents out; DataError where there is none of the name."""
    for source in settings.remove:
        count = index.remove(source, settings.collection)
        if not count:
            where = f"in the collection {settings.collection}" if settings.collection else "outside of collections"
            there = sorted({one.collection or "none" for one in index.documents() if one.source == source})
            more = f"it is in the collection {' and '.join(there)}" if there else "--list shows their names"
            raise DataError(f"{settings.out}: found no document {source} {where}; {more}")
        what = "1 document" if count == 1 else f"{count:,} documents"
        terminal.say(f"{what} of {source} taken out of the index")


def update(settings: Settings) -> Faults:
    """Bring the index up to date; what could not be read."""
    from upwell.answering.index import Index

    if not settings.out.is_dir():
        sources.list_files(settings.paths)  # what is not there is told before a folder is made and a model opened
    encoder = opened(settings)
    try:
        with Index.open(settings.out, encoder=encoder, create=True) as index:
            personal = settings.personal or index.personal(settings.collection) or "keep"
            step = masking() if personal == "mask" else None
            with terminal.Progress("index, %", 100) as bar:
                report = index.update(
                    settings.paths, settings.collection, terminal.note,
                    lambda done, total, made: bar.update(100 * done / total, {"passages": f"{made:,}"}),
                    not settings.keep, settings.reading, step, personal,
                )  # fmt: skip
            finished(settings, index, report)
    finally:
        if encoder is not None:
            encoder.close()
    return sorted_out(settings, report.faults)


def opened(settings: Settings):
    """The encoder: the one that is named, the index's own, minilm-l6 for a new index; None for none."""
    from upwell.verbs._models import Which, open_backend

    if settings.base_url is not None:
        return open_backend(Which(base_url=settings.base_url, model=settings.model)).backend
    name = settings.encoder or own_encoder(settings.out)
    if name == NONE:
        return None
    try:
        return open_backend(Which(folder=Path(name), device=settings.device)).backend
    except CheckpointError as error:
        raise CheckpointError(f"{error}; or `--encoder none` searches by words alone") from None


def own_encoder(out: Path) -> str:
    """The encoder of an index that is there: where it lay, else its name."""
    from upwell.answering import tables
    from upwell.answering.index import Index

    if not (out / tables.NAME).is_file():
        return DEFAULT
    with Index.open(out) as index:
        if not index.count:
            return DEFAULT
        return index.encoder_place or NONE


def masking():
    """The step that masks personal data, page by page, so that pages stay known."""
    from upwell.text.steps import privacy

    mask = privacy.step(privacy.Settings())

    def apply(document):
        starts = [start for start, _ in document.pages]
        if not starts:
            return mask(document)
        parts = [mask(replace(document, text=document.text[start:end], pages=())) for start, end in
                 zip(starts, [*starts[1:], len(document.text)], strict=True)]  # fmt: skip
        places = accumulate((len(one.text) for one in parts[:-1]), initial=0)
        pages = tuple((place, number) for place, (_, number) in zip(places, document.pages, strict=True))
        return replace(parts[0], text="".join(one.text for one in parts), pages=pages)

    return apply


def finished(settings: Settings, index, report) -> None:
    """What became of the texts, and how to go on."""
    size = sum(path.stat().st_size for path in settings.out.iterdir() if path.is_file())
    documents = len(index.documents())
    if settings.json:
        counts = {name: value for name, value in report._asdict().items() if name != "faults"}
        faults = [str(fault) for fault in report.faults]
        print(json.dumps({"index": str(settings.out), "encoder": index.encoder_name, **counts, "faults": faults,
                          "all_documents": documents, "all_passages": index.count, "bytes": size},
                         ensure_ascii=False), flush=True)  # fmt: skip
        return
    counts = [(name, getattr(report, name)) for name in ("added", "changed", "removed", "same", "empty")]
    rows = [(name, f"{count:,}") for name, count in counts if count or name in ("added", "same")]
    rows += [("all documents", f"{documents:,}"), ("all passages", f"{index.count:,}"), ("MB", f"{size / 1e6:.1f}"),
             ("encoder", index.encoder_name or NONE)]  # fmt: skip
    terminal.table(str(settings.out), ("documents", ""), rows)
    out = "" if settings.out == Path("index") else f" --index {settings.out}"
    terminal.say(f'Ask it: upwell ask "..."{out}')


def show(settings: Settings, index) -> None:
    """The documents of an index."""
    found = index.documents(settings.collection or None)
    if settings.json:
        for one in found:
            print(json.dumps(one._asdict(), ensure_ascii=False), flush=True)
        return
    rows = [(one.source, one.title, one.collection, f"{one.characters:,}", f"{one.passages:,}") for one in found]
    terminal.table(f"{settings.out}, encoder {index.encoder_name or NONE}",
                   ("document", "title", "collection", "characters", "passages"), rows)  # fmt: skip


def sorted_out(settings: Settings, found) -> Faults:
    """What could not be read though it may hold text; pictures, sound and the like are told in a line."""
    faults, media = Faults(settings.max_errors), 0
    for fault in found:
        if Path(fault.source).suffix.lower() in MEDIA:
            media += 1
        else:
            faults.add(fault)
    if media:
        terminal.note(f"{media:,} files of pictures, sound or the like were passed over: there is no text in them")
    return faults


def told(settings: Settings, faults: Faults) -> None:
    """DataError with what could not be read, or a warning where that may be."""
    if not faults.count:
        return
    if not settings.skip_unreadable:
        raise faults.error()
    terminal.warn(f"{faults.count:,} files or lines could not be read and were passed over.")
