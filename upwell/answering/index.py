"""Documents, their passages and the vectors of these in one folder, kept up to date by what changed.

    with Index.open(folder, encoder=backend, create=True) as index:
        report = index.update(["docs"], collection="support")
        for passage, score in index.lexical("opening hours", 10): ...

The folder holds one SQLite file and one file of vectors. A kill at any moment leaves the index as it was before the
step that was at work; the same command goes on. One process writes at a time and a second one is told so; readers,
in other processes and in several threads, go on meanwhile and see what is new at their next question. What is removed
can no longer be read in any file of the folder when the call that removed it ends.

The encoder is known by its name, the width of its vectors and the vector of one sentence: another one is refused. It
knows nothing of answers.
"""

import contextlib
import json
import re
import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..atomic import alone
from ..errors import DataError, SettingsError
from ..generation.backend import Backend
from ..text import Document, sources
from . import Passage, tables, updating, vectors
from . import encoder as encoders
from .tables import plainly, transaction
from .updating import Progress, Report, Step
from .words import FIRST, sought
from .writing import Writer

ALIKE = 0.999  # the least cosine of the probe's vectors of one and the same encoder
ASKED = 400  # words of a question that are looked up
MOST = 2**63

__all__ = ["Index", "Record", "Report"]


class Record(NamedTuple):
    """What is known of a stored document."""

    id: int
    source: str
    title: str
    characters: int
    passages: int
    collection: str


class _Loaded(NamedTuple):
    """The vectors as they were at one commit. ids, collections: of each row; 0 for one that counts no more."""

    version: int
    engine: vectors.Nearest
    vectors: np.ndarray
    ids: np.ndarray
    collections: np.ndarray
    names: dict[str, int]
    order: np.ndarray


class Index:
    """An index in a folder; `Index.open(folder)`, and `with` closes it. Several threads may ask it at once."""

    def __init__(self, folder: Path, base: sqlite3.Connection, encoder: Backend | None,
                 engine: Callable[[np.ndarray], vectors.Nearest]):  # fmt: skip
        self.folder, self._base, self._encoder, self._engine = folder, base, encoder, engine
        self._lock = threading.RLock()
        self._vectors: _Loaded | None = None

    @classmethod
    def open(cls, folder: str | Path, *, encoder: Backend | None = None, create: bool = False,
             engine: Callable[[np.ndarray], vectors.Nearest] = vectors.Exact) -> "Index":  # fmt: skip
        """The index in a folder; made where `create` is set and there is none.

        encoder: a Backend, needed to put documents in and compared with the one that the index was made with.
        engine: what searches the vectors, made of the mapped file of all of them (see vectors.Nearest).
        Raises DataError where there is none, for one of another version, and for another encoder.
        """
        folder = Path(folder)
        index = cls(folder, tables.connect(folder, create), encoder, engine)
        try:
            if encoder is not None and index.encoder_name:
                index.check(encoder)
        except BaseException:
            index.close()
            raise
        return index

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Give the files back."""
        with self._lock:
            self._vectors = None
            self._base.close()

    # ---- what it holds ----

    @property
    def count(self) -> int:
        """How many passages there are."""
        return self._all("select count(*) from passage")[0][0]

    @property
    def encoder_name(self) -> str:
        """The encoder that its vectors come from; "" where there are none."""
        return self._about("encoder") or ""

    @property
    def encoder_folder(self) -> str:
        """Where that encoder lay when the index was made; "" where it was a server or there is none."""
        return self._about("folder") or ""

    @property
    def encoder_place(self) -> str:
        """Where that encoder is to be had: its folder as long as it is there, else its name; "" where there is none."""
        folder = self.encoder_folder
        return folder if folder and Path(folder).is_dir() else self.encoder_name

    def collections(self) -> list[str]:
        """The names of its collections, in their order; "" is the one without a name."""
        return [name for (name,) in self._all("select distinct collection from document order by collection")]

    def documents(self, collection: str | None = None) -> list[Record]:
        """Its documents by their names; those of one collection where it is named."""
        where, values = ("where document.collection = ?", (collection,)) if collection is not None else ("", ())
        query = ("select document.id, source, title, characters, count(passage.id), document.collection from document "
                 f"left join passage on passage.document = document.id {where} group by document.id "
                 "order by document.collection, source")  # fmt: skip
        return [Record(*row) for row in self._all(query, values)]

    def newest(self, count: int) -> list[int]:
        """The ids of the passages that were put in last."""
        return [number for (number,) in self._all("select id from passage order by id desc limit ?", (count,))]

    def text(self, document: int, collections: Collection[str] | None = None) -> str:
        """A document's text. DataError, in the same words, where it is not there and where it is in none of these."""
        rows = self._all("select text, collection from document where id = ?", (document,)) \
            if 0 < document < MOST else []  # fmt: skip
        if not rows or collections is not None and rows[0][1] not in collections:
            raise DataError(f"document {document}: there is none of this number")
        return rows[0][0]

    def page(self, document: int, at: int) -> int:
        """The page on which a character of a document stands; 0 where it has no pages."""
        rows = self._all("select pages from document where id = ?", (document,))
        pages = json.loads(rows[0][0]) if rows else []
        before = bisect_right([start for start, _ in pages], at)
        return pages[before - 1][1] if before else 0

    def personal(self, collection: str = "") -> str:
        """What is done with personal data of a collection: the `salt` that `update` was given last; "" for none."""
        return self._about(f"personal {collection}") or ""

    def passages(self, ids: Iterable[int]) -> list[Passage]:
        """The passages with these ids, in this order; those that are gone meanwhile are left out."""
        ids = list(ids)
        with self._lock, plainly(self.folder), transaction(self._base, write=False):
            rows = self._few("select id, document, start, stop, heading, page from passage where id in", ids)
            texts = {row[0]: row[1:] for row in self._few("select id, source, title, text from document where id in",
                                                          {row[1] for row in rows})}  # fmt: skip
        found = {}
        for number, document, start, stop, heading, page in rows:
            source, title, text = texts[document]
            found[number] = Passage(number, document, source, text[start:stop], start, stop, title, heading, page)
        return [found[number] for number in ids if number in found]

    def _about(self, key: str):
        rows = self._all("select value from about where key = ?", (key,))
        return rows[0][0] if rows else None

    def _all(self, query: str, values: Sequence = ()) -> list[tuple]:
        with self._lock, plainly(self.folder):
            return self._base.execute(query, values).fetchall()

    def _few(self, query: str, ids: Collection[int]) -> list[tuple]:
        """The rows of a query that ends in `in`, for some hundred ids at a time."""
        ids, found = list(ids), []
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            found += self._base.execute(f"{query} ({', '.join('?' * len(some))})", some).fetchall()
        return found

    # ---- search ----

    def lexical(self, question: str, k: int, collections: Collection[str] | None = None) -> list[tuple[int, float]]:
        """(id, BM25) of the k passages whose words are those of the question, the best one first."""
        match = _match(question)
        if not match or collections is not None and not collections:
            return []
        names = () if collections is None else tuple(collections)
        marks = ", ".join("?" * len(names))
        join = f"join passage on passage.id = words.rowid and collection in ({marks})" if names else ""
        query = f"select words.rowid, -rank from words {join} where words match ? order by rank limit ?"
        return self._all(query, (*names, match, k))

    def scores(self, question: str, ids: Collection[int]) -> dict[int, float]:
        """BM25 of these passages; those that hold no word of the question are left out."""
        match = _match(question)
        if not match or not ids:
            return {}
        query = f"select rowid, -rank from words where words match ? and rowid in ({', '.join('?' * len(ids))})"
        return dict(self._all(query, (match, *ids)))

    def nearest(self, vector: Sequence[float], k: int,
                collections: Collection[str] | None = None) -> list[tuple[int, float]]:  # fmt: skip
        """(id, cosine) of the k passages whose vectors are most like this one, the best one first."""
        loaded = self._load()
        wanted = None if collections is None else [loaded.names[name] for name in collections if name in loaded.names]
        among = None if wanted is None else np.isin(loaded.collections, wanted)
        if not loaded.ids.all():
            among = loaded.ids > 0 if among is None else among & (loaded.ids > 0)
        rows, cosines = loaded.engine.nearest(_unit(vector, loaded.vectors.shape[1]), k, among)
        return [(int(loaded.ids[row]), float(cosine)) for row, cosine in zip(rows, cosines, strict=True)]

    def cosines(self, vector: Sequence[float], ids: Collection[int]) -> dict[int, float]:
        """The likeness of these passages' vectors to this one; those without a vector are left out."""
        loaded = self._load()
        wanted, own = np.array(sorted(ids), np.int64), loaded.ids[loaded.order]
        if not len(own) or not len(wanted):
            return {}
        places = np.minimum(np.searchsorted(own, wanted), len(own) - 1)
        there = own[places] == wanted
        found = loaded.vectors[loaded.order[places[there]]] @ _unit(vector, loaded.vectors.shape[1])
        return dict(zip(wanted[there].tolist(), found.tolist(), strict=True))

    def _load(self) -> _Loaded:
        """The vectors as they are now: loaded again where any process has changed the index."""
        with self._lock, plainly(self.folder):
            version = self._base.execute("pragma data_version").fetchone()[0]
            if self._vectors is None or self._vectors.version != version:
                self._vectors = self._loaded(version)
            return self._vectors

    def _loaded(self, version: int) -> _Loaded:
        with transaction(self._base, write=False):  # the file that is named cannot go meanwhile
            about = dict(self._base.execute("select key, value from about"))
            placed = self._base.execute("select row, id, collection from passage where row is not null").fetchall()
            if "vectors" not in about:
                raise DataError(f"{self.folder}: an index without vectors; `upwell index ... --encoder MODEL` adds "
                                "them, and words can be searched without")  # fmt: skip
            found = vectors.opened(self.folder / about["vectors"], about["rows"], about["width"])
        ids, codes, names = np.zeros(len(found), np.int64), np.zeros(len(found), np.int32), {}
        for row, number, name in placed:
            ids[row], codes[row] = number, names.setdefault(name, len(names) + 1)
        engine = self._engine if len(found) else vectors.Exact
        return _Loaded(version, engine(found), found, ids, codes, names, np.argsort(ids, kind="stable"))

    # ---- the encoder ----

    def check(self, encoder: Backend) -> None:
        """DataError where this is not the encoder that the vectors come from."""
        name, width = self.encoder_name, self._about("width")
        if not name:
            raise DataError(f"{self.folder}: an index without vectors, made without an encoder; `upwell index ... "
                            f"--encoder {encoder.name}` adds them, or search it without one")  # fmt: skip
        own = encoders.probe(encoder)
        if len(own) != width:
            raise DataError(f"{self.folder}: its vectors come from {name} and have {width:,} numbers, those of "
                            f"{encoder.name} have {len(own):,}; name the encoder that it was made with")  # fmt: skip
        cosine = float(own @ np.frombuffer(self._about("probe"), np.float32))
        if cosine < ALIKE:
            raise DataError(f"{self.folder}: its vectors come from {name}, and {encoder.name} gives others (cosine "
                            f"{cosine:.3f} for the same sentence, expected {ALIKE}); name the encoder that it was made "
                            "with")  # fmt: skip

    # ---- writing ----

    def update(self, paths: Sequence[str | Path], collection: str = "", say: Callable[[str], None] | None = None,
               progress: Progress | None = None, prune: bool = True, reading: sources.Settings | None = None,
               step: Step | None = None, salt: str = "") -> Report:  # fmt: skip
        """Make a collection hold what these files and folders hold: what is new, what changed, and what is gone there.

        prune: take out what is gone below the paths. step, salt: what is done with each document before it is stored,
        and a name for it, which `personal` tells. Raises DataError for a path with no files; what cannot be read is
        among the faults.
        """
        with self._writing(say) as writer:
            if salt and self.personal(collection) != salt:
                writer.remember(f"personal {collection}", salt)
            return updating.update(writer, paths, collection, prune, reading or sources.Settings(), step, salt,
                                   progress or (lambda done, total, passages: None))  # fmt: skip

    def add(self, documents: Iterable[Document], collection: str = "") -> Report:
        """Put documents in; one of the same source is replaced. A long one is divided, as files are."""
        with self._writing() as writer:
            return updating.add(writer, documents, collection)

    def remove(self, source: str, collection: str = "") -> int:
        """Take out the document of this name, or all of a file, archive or folder of this name; how many there were."""
        inside = re.compile(re.escape(source.rstrip("/")) + r"([/:#].*)?", re.DOTALL)
        with self._writing(adding=False) as writer:
            names = [(one.source, one.id) for one in self.documents(collection)]
            ids = [number for name, number in names if inside.fullmatch(name)]
            writer.forget(collection, ids)
        return len(ids)

    @contextlib.contextmanager
    def _writing(self, say: Callable[[str], None] | None = None, adding: bool = True) -> Iterator[Writer]:
        if adding and self._encoder is None and self.encoder_name:
            raise SettingsError(f"{self.folder}: its vectors come from {self.encoder_name}; open it with this encoder "
                                "to put documents in")  # fmt: skip
        with alone(self.folder / "lock"):
            base = tables.connect(self.folder, create=True)
            try:
                writer = Writer(self.folder, base, self._encoder if adding else None)
                writer.begin(say or (lambda text: None))
                yield writer
                writer.end()
            finally:
                base.close()


def _match(question: str) -> str:
    """The question in FTS5's language: any of its words; a sign that stands alone also where it begins a pair."""
    return " OR ".join(f'"{word}"' + "*" * (len(word) == 1 and bool(FIRST.match(word)))
                       for word in sought(question)[:ASKED])  # fmt: skip


def _unit(vector: Sequence[float], width: int) -> np.ndarray:
    found = np.asarray(vector, np.float32).reshape(-1)
    length = float(np.linalg.norm(found))
    if len(found) != width or not np.isfinite(length) or not length:
        raise DataError(f"a question's vector has {len(found):,} numbers and length {length:g}, expected {width:,} "
                        "numbers and a length above 0")  # fmt: skip
    return found / length
