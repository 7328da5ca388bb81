"""What was translated before: a SQLite file, asked for the same sentence or for one much like it; TMX in and out.

Several processes may write one file. A sentence that is asked again takes the newest translation; what a person gave
(by TMX or `learn`) goes before what a model wrote.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from ..errors import DataError
from ..text.encodings import Unreadable
from ..text.markup import elements

VERSION = 1
CANDIDATES = 50  # units that are compared with a sentence
LONGEST = 10_000_000
TABLES = """
create table unit (id integer primary key, source_language text not null, target_language text not null,
    source text not null, target text not null, by_person integer not null, origin text not null,
    unique (source_language, target_language, source, by_person));
create virtual table words using fts5 (source, content='unit', content_rowid='id', tokenize='trigram');
create trigger added after insert on unit begin insert into words (rowid, source) values (new.id, new.source); end;
create trigger removed after delete on unit begin
    insert into words (words, rowid, source) values ('delete', old.id, old.source); end;
"""


class Unit(NamedTuple):
    """A sentence and its translation. alike: 1 for the very sentence, less for one like it."""

    source: str
    target: str
    origin: str = ""
    alike: float = 1.0


class Memory:
    """One file; `with Memory(path) as memory`."""

    def __init__(self, path: Path):
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._base.execute("pragma journal_mode = wal")
            (found,) = self._base.execute("pragma user_version").fetchone()
            if found == 0:
                self._base.executescript(f"begin immediate; {TABLES} pragma user_version = {VERSION}; commit;")
        except sqlite3.OperationalError as error:
            if "already exists" not in str(error):  # another process made the tables meanwhile
                raise DataError(f"{path}: the translation memory cannot be opened ({error}); expected a file that can "
                                "be written") from None  # fmt: skip
            self._base.rollback()
        except (sqlite3.DatabaseError, OSError) as error:
            raise DataError(f"{path}: this is no translation memory ({error}); name another file") from None
        if found > VERSION:
            raise DataError(f"{path}: a translation memory of version {found}, expected {VERSION}; update upwell")

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._base.close()

    def __len__(self) -> int:
        return self._base.execute("select count(*) from unit").fetchone()[0]

    def learn(self, units: Iterable[Unit], source: str, target: str, by_person: bool = False) -> int:
        """Keep units from one language to the other; how many there were. What is there already is replaced."""
        rows = [(source, target, one.source, one.target, by_person, one.origin) for one in units
                if one.source.strip() and one.target.strip()]  # fmt: skip
        with self._base:
            for row in rows:
                self._base.execute("delete from unit where source_language = ? and target_language = ? and source = ? "
                                   "and by_person = ?", (*row[:3], row[4]))  # fmt: skip
                self._base.execute("insert into unit (source_language, target_language, source, target, by_person, "
                                   "origin) values (?, ?, ?, ?, ?, ?)", row)  # fmt: skip
        return len(rows)

    def exact(self, text: str, source: str, target: str) -> Unit | None:
        """The translation of this very sentence."""
        row = self._base.execute(
            "select source, target, origin from unit where source_language = ? and target_language = ? and source = ? "
            "order by by_person desc limit 1", (source, target, text)).fetchone()  # fmt: skip
        return None if row is None else Unit(*row)

    def like(self, text: str, source: str, target: str, least: float = 0.7) -> list[Unit]:
        """Units whose source is alike to at least this share of its signs, the most alike one first."""
        parts = {text[at : at + 3] for at in range(len(text) - 2)}
        if not parts:
            return []
        wanted = " OR ".join('"' + part.replace('"', '""') + '"' for part in sorted(parts)[:200])
        rows = self._base.execute(
            "select unit.source, unit.target, unit.origin from words join unit on unit.id = words.rowid where words "
            "match ? and source_language = ? and target_language = ? order by rank limit ?",
            (wanted, source, target, CANDIDATES)).fetchall()  # fmt: skip
        found = []
        for one in rows:
            matcher = SequenceMatcher(None, text, one[0], autojunk=False)
            if matcher.quick_ratio() >= least and (alike := matcher.ratio()) >= least:
                found.append(Unit(*one, alike))
        return sorted(found, key=lambda unit: -unit.alike)

    # ---- TMX ----

    def read_tmx(self, path: Path) -> int:
        """Take the units of a TMX file over, in every direction; how many there were. DataError with its place."""
        count = 0
        try:
            with path.open("rb") as file:
                for line, unit in elements(file, ("tu",), LONGEST):
                    sides = [(one.get("lang", ""), one.find("seg")) for one in unit.iter("tuv")]
                    texts = [(language.partition("-")[0].lower(), "".join(words.itertext()).strip())
                             for language, words in sides if words is not None]  # fmt: skip
                    if len(texts) < 2 or not all(language for language, _ in texts):
                        raise Unreadable("expected a unit with two languages", line)
                    for source, text in texts:
                        for target, other in texts:
                            if source != target:
                                count += self.learn([Unit(text, other, path.name)], source, target, by_person=True)
        except Unreadable as error:
            raise DataError(f"{path}{f':{error.line}' if error.line else ''}: {error}") from None
        except OSError as error:
            raise DataError(f"{path}: it cannot be read ({error.strerror})") from None
        if not count:
            raise DataError(f"{path}: found no unit, expected a TMX file with <tu> units")
        return count

    def tmx(self) -> Iterator[str]:
        """The lines of a TMX file with all that is kept."""
        yield '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n<header creationtool="upwell" '
        yield 'creationtoolversion="1" segtype="sentence" o-tmf="upwell" adminlang="en" srclang="*all*" '
        yield 'datatype="plaintext"/>\n<body>\n'
        rows = self._base.execute("select source_language, target_language, source, target from unit order by id")
        for source, target, text, other in rows:
            sides = ((source, text), (target, other))
            yield "<tu>" + "".join(f"<tuv xml:lang={quoteattr(language)}><seg>{escape(words)}</seg></tuv>"
                                   for language, words in sides) + "</tu>\n"  # fmt: skip
        yield "</body>\n</tmx>\n"


@contextlib.contextmanager
def opened(path: Path | None) -> Iterator[Memory | None]:
    """The memory in a file, closed afterwards; None for none."""
    if path is None:
        yield None
        return
    with Memory(path) as memory:
        yield memory
