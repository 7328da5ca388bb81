"""Two parallel files, one sentence a line, named alike but for the language: train.en and train.de.

They are read together, so this reader stands behind no suffix: sources finds such pairs among the files.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from upwell.text import Document, Fault, examples
from upwell.text.encodings import as_utf8
from upwell.text.readers.jsonlines import lines, too_long
from upwell.text.readers.plain import CODE

SUFFIXES = ()
LANGUAGES = frozenset(
    "aa ab af ak am ar as ay az ba be bg bh bi bm bn bo br bs ca ce ch co cs cv cy da de dv dz ee el en eo es et eu fa "
    "ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy ia id ie ig ik io is it iu ja jv ka kg ki kk kl km kn "
    "ko ks ku kv kw ky la lb lg li ln lo lt lv mg mh mi mk ml mn mr ms mt my na nb nd ne nl nn no nr nv ny oc oj om or "
    "os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn "
    "to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu "
    "zh_cn zh_tw zh-cn zh-tw zh-hans zh-hant pt_br pt-br "
    "deu eng spa fra ita rus zho jpn kor ara por nld pol tur ces ukr vie hin".split()
)
FEWEST, NEAR = 100, 0.02  # files of so many lines whose counts differ by less were meant to be parallel


def read(file: BinaryIO, name: str, settings) -> Iterator[Document | Fault]:
    """Never reached by a suffix: one file alone has no partner."""
    yield Fault(name, "one of two parallel files, expected both")


def read_both(files: tuple[BinaryIO, BinaryIO], names: tuple[str, str], settings) -> Iterator[Document | Fault]:
    """Documents of the pairs of lines, each named by its place in the first file."""
    languages = tuple(language(Path(name)) for name in names)
    faults: list[Fault] = []
    texts = [_texts(file, name, settings, faults) for file, name in zip(files, names, strict=True)]
    for number, found in examples.pairs(*texts, languages):
        yield from faults
        faults.clear()
        source = f"{names[0]}:{number}"
        yield Fault(source, found) if isinstance(found, str) else Document(found.text, source, kind=found.kind,
                                                                           fields=found.fields)  # fmt: skip
    yield from faults


def language(path: Path) -> str:
    """The language that a name ends in; "" where it names none."""
    found = path.suffix.lower().removeprefix(".")
    return found if found in LANGUAGES else ""


def partners(paths: Sequence[Path]) -> dict[Path, Path]:
    """First -> second of two parallel files: alike but for the language, as many lines or nearly."""
    together: dict[Path, list[Path]] = {}
    for path in paths:
        if language(path):
            together.setdefault(path.with_suffix(""), []).append(path)
    found = [two for two in together.values() if len(two) == 2]
    return {one: other for one, other in found if not _is_code(one, other) and _as_long(one, other)}


def _is_code(*paths: Path) -> bool:
    """Whether these may be programs: .cs is Czech and C#, .pl is Polish and Perl."""
    return all(path.suffix.lower() in CODE for path in paths)


def _as_long(*paths: Path) -> bool:
    try:
        counts = sorted(_count(path) for path in paths)
    except OSError:
        return False
    return counts[0] == counts[1] > 0 or counts[0] >= FEWEST and counts[1] - counts[0] < NEAR * counts[1]


def _count(path: Path) -> int:
    count, last = 0, b"\n"
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")


def _texts(file: BinaryIO, name: str, settings, faults: list[Fault]) -> Iterator[str]:
    for number, data in lines(as_utf8(file, settings.encoding)[0], settings.longest):
        if isinstance(data, int):
            faults.append(too_long(f"{name}:{number}", data, settings.longest))
            data = b""
        yield data.decode("utf-8", "surrogatepass")
