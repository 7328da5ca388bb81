"""Index folders -> what a server answers questions from: `upwell serve --index`.

    shelf = Shelf(settings)
    shelf.open(backends, turns)         # .libraries, by name
    shelf.close()

Imports nothing heavy before it opens.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from upwell import terminal
from upwell.errors import CheckpointError, SettingsError
from upwell.verbs._keys import read_keys
from upwell.verbs._models import How, model_folder, open_folder

NONE = "none"
READER = "reader", "span", "marks answers in texts; `upwell recipe span` trains one"
CROSS = "cross", "classify", "says whether a text answers a question; `upwell recipe rerank` trains one"
"""A flag, the head that its model must have, and what such a model does."""


class Shelf:
    """The libraries of a server, and what they hold open."""

    def __init__(self, settings):
        self.settings, self.libraries, self.held = settings, {}, ExitStack()

    def close(self) -> None:
        """Put away what was opened."""
        self.held.close()

    def open(self, backends: dict, turns) -> None:
        """Open all indexes; a chat model among the backends may write the answers."""
        if not self.settings.index:
            return
        reader, cross = (self.headed(*one, backends, turns) for one in (READER, CROSS))
        named = {self.encoder_name(folder) for folder in self.settings.index}
        writer = self.writer({name: one for name, one in backends.items() if one.name not in named})
        for folder in self.settings.index:
            name = folder.resolve().name
            if name in backends or name in self.libraries:
                raise SettingsError(f"two models or indexes are called {name}; rename the folder {folder}, or name the "
                                    "model with --served-model-name")  # fmt: skip
            self.libraries[name] = self.library(name, folder, reader, cross, writer, backends, turns)
        self.check_collections()

    def library(self, name: str, folder: Path, reader, cross, writer, backends: dict, turns):
        """One index with who answers from it."""
        from upwell.answering.asking import Asker
        from upwell.answering.asking import Settings as Asking
        from upwell.answering.index import Index
        from upwell.answering.search import Searcher
        from upwell.serving.library import Library

        wanted = self.encoder_name(folder)
        encoder = None if wanted == NONE else self.encoder(wanted, backends, turns)
        index = self.held.enter_context(Index.open(folder, encoder=encoder))
        how = "written" if writer else "extractive"
        return Library(name, index, Asker(Searcher(index, encoder, cross), reader, writer, Asking(style=how)), how)

    def encoder_name(self, folder: Path) -> str:
        """What gives an index its vectors."""
        from upwell.answering.index import Index

        with Index.open(folder) as index:
            return str(self.settings.encoder or index.encoder_place or NONE)

    def encoder(self, wanted: str, backends: dict, turns):
        """The model that gave an index its vectors; one behind --base-url is known by its name."""
        if wanted in backends and not hasattr(backends[wanted], "folder"):
            return backends[wanted]
        try:
            return self.backend(Path(wanted), backends, turns)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; or `--encoder none` searches by words alone") from None

    def headed(self, flag: str, kind: str, does: str, backends: dict, turns):
        """The model that a flag names, checked; None where it names none."""
        named = getattr(self.settings, flag)
        return None if named is None else headed(self.backend(named, backends, turns), flag, kind, does)

    def backend(self, named: Path, backends: dict, turns):
        """The model of that folder or name: one that is served already, else one of its own."""
        folder = model_folder(named)
        for backend in backends.values():
            own = getattr(backend, "folder", None)
            if own and Path(own).resolve() == folder.resolve() and self.settings.weights == "file":
                return backend
        # Rounded weights would give other vectors than those of the index.
        how = How(device=self.settings.device, allow_key=self.settings.allow_key)
        opened = open_folder(folder, how, self.settings.max_num_seqs, turns).backend
        self.held.callback(opened.close)
        return opened

    def writer(self, backends: dict):
        """The model that writes answers; None where they are the documents' own words."""
        from upwell.serving.desk import does

        able = [backend for backend in backends.values() if does(backend, "write")]
        if self.settings.answers == "written" and not able:
            raise SettingsError("--answers written: no model here writes; name one that chats beside the index")
        if self.settings.answers == "extractive":
            return None
        chats = able if self.settings.answers == "written" else [one for one in able if learnt_to_chat(one)]
        return chats[0] if chats else None

    def check_collections(self) -> None:
        """Tell of a collection that a key is to see and that no index has."""
        there = {one for library in self.libraries.values() for one in library.index.collections()}
        for sees in read_keys(self.settings).values():
            for one in sorted((sees or frozenset()) - there):
                terminal.warn(f"--api-key-file: a key is to see the collection {one}, which no index has now.")


def check_indexes(folders: Sequence[Path]) -> None:
    """DataError where a folder holds no index of ours, before any model is loaded."""
    from upwell.answering import tables

    for folder in folders:
        tables.connect(folder).close()


def headed(backend, flag: str, kind: str, does: str):
    """The backend; SettingsError where it has another head than this flag wants."""
    if backend.config.head.kind != kind:
        raise SettingsError(f"--{flag}: {backend.name} has the head {backend.config.head.kind}, expected one that "
                            f"{does}")  # fmt: skip
    return backend


def learnt_to_chat(backend) -> bool:
    """Whether a model has a chat template of its own; of one on another server that is taken as so."""
    from upwell.text import chat

    template = getattr(backend, "template", None)
    return template is None or template.hash != chat.plain().hash
