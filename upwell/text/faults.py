"""All faults at once: what cannot be read, the first of it line by line and the rest counted by kind.

    for document in sifted(documents, most=20): ...     # raises one DataError at the end, with all of them
    error = collect(faults, most=20)                    # the same of faults alone; None where there are none

Memory is bounded: of a million faults the first few and the number of each kind are kept. Knows no file.
"""

import re
from collections.abc import Iterable, Iterator

from upwell.errors import DataError
from upwell.text import Document, Fault

MOST = 20
MANY = 1000             # faults from which on they are told by kind as well
KINDS_KEPT, KINDS_SHOWN = 1000, 12
OTHERS = "others"
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
NUMBER = re.compile(r"(?<![\w-])\d+")  # not the 8 of UTF-8


class Faults:
    """A growing number of faults. most: how many are told line by line."""

    def __init__(self, most: int = MOST):
        self.most, self.count = most, 0
        self.first: list[Fault] = []
        self.kinds: dict[str, list] = {}

    def add(self, fault: Fault) -> None:
        self.count += 1
        if len(self.first) < self.most:
            self.first.append(fault)
        kind = kind_of(fault.message)
        kind = kind if kind in self.kinds or len(self.kinds) < KINDS_KEPT else OTHERS
        self.kinds.setdefault(kind, [0, fault.source])[0] += 1

    def error(self, of: str = "") -> DataError | None:
        """All of them in one sentence and a list; None where there are none. of: as in told."""
        return DataError(self.told(of)) if self.count else None

    def told(self, of: str = "") -> str:
        """One line that says how many, then the first of them, then the rest. of: whose flags it names, as "of x"."""
        them = "it" if self.count == 1 else "them"
        what = "1 file or line" if self.count == 1 else f"{self.count:,} files or lines"
        head = f"{what} cannot be read; mend {them}, take {them} out, or pass over {them} with --skip-unreadable{of}:"
        return "\n".join([head, *(f"  {fault}" for fault in self.first), *self._rest(of)])

    def _rest(self, of: str) -> list[str]:
        rest = self.count - len(self.first)
        if not rest:
            return []
        lines = [f"  and {rest:,} more; --max-errors {self.count}{of} lists all"]
        return [*lines, "All of them by kind:", *self._by_kind()] if self.count >= MANY else lines

    def _by_kind(self) -> list[str]:
        kinds = sorted(self.kinds.items(), key=lambda item: -item[1][0])
        lines = [f"  {count:,} times {kind} (first {source})" for kind, (count, source) in kinds[:KINDS_SHOWN]]
        rest = kinds[KINDS_SHOWN:]
        return lines + ([f"  {sum(count for _, (count, _) in rest):,} of {len(rest):,} other kinds"] if rest else [])


def collect(faults: Iterable[Fault], most: int = MOST) -> DataError | None:
    """One DataError with the first `most` faults listed and the rest counted, by kind where there are thousands."""
    found = Faults(most)
    for fault in faults:
        found.add(fault)
    return found.error()


def sifted(items: Iterable[Document | Fault], most: int = MOST, faults: Faults | None = None) -> Iterator[Document]:
    """The documents; at the end DataError with all faults, or, where `faults` is given, they are put there instead."""
    found = Faults(most) if faults is None else faults
    for item in items:
        if isinstance(item, Fault):
            found.add(item)
        else:
            yield item
    if faults is None and found.count:
        raise found.error()


def kind_of(message: str) -> str:
    """A message without what differs from line to line: what was found, numbers, quotations."""
    expected = message.split(", found ", 1)[0]
    return NUMBER.sub("N", QUOTED.sub("'...'", expected))
